SELECT count(*), sum(id) FROM app_log;
