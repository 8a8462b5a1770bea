SELECT count(*) = 0 FROM app_log WHERE created_at < datetime('now', '-90 days');
