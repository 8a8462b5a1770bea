SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'old_standby';
