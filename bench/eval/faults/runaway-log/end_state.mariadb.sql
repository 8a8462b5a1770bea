SELECT COUNT(*) = 0 FROM app_log WHERE created_at < NOW() - INTERVAL 90 DAY;
