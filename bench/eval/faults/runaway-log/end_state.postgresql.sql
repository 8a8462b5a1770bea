SELECT count(*) = 0 FROM app_log WHERE created_at < now() - interval '90 days';
