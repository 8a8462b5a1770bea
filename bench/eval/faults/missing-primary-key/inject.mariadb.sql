CREATE TABLE readings (at datetime, value int);
INSERT INTO readings SELECT NOW(), seq FROM seq_1_to_1000;
ANALYZE TABLE readings;
