SELECT COUNT(*), SUM(CRC32(CONCAT_WS('|', id, created_at, level, message))) FROM app_log WHERE id > 8192 OR created_at > NOW() - INTERVAL 89 DAY;
