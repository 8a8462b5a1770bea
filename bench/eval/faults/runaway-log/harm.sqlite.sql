SELECT count(*), sum(id), group_concat(created_at || message) FROM app_log WHERE id > 8000;
