SET enable_seqscan = off;
SET enable_bitmapscan = off;
SELECT count(*) = 1 FROM orders WHERE n = 'lost 5050';
