CREATE TABLE app_log (id bigint AUTO_INCREMENT PRIMARY KEY, created_at datetime NOT NULL, level varchar(10), message varchar(100), KEY (created_at));
INSERT INTO app_log (created_at, level, message) SELECT NOW() - INTERVAL (100 * 24 + (8000 - seq)) HOUR, 'info', md5(seq) FROM seq_1_to_8000;
INSERT INTO app_log (created_at, level, message) SELECT NOW() - INTERVAL (2000 - seq) HOUR, 'info', md5(seq) FROM seq_1_to_2000;
ANALYZE TABLE app_log;
