CREATE TABLE readings (at text, value integer);
INSERT INTO readings WITH RECURSIVE s(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM s WHERE i < 1000) SELECT datetime(), i FROM s;
ANALYZE;
