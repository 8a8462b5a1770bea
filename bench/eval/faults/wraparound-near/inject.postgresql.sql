CREATE TABLE orders (id int PRIMARY KEY, n text);
INSERT INTO orders SELECT i, md5(i::text) FROM generate_series(1, 2000) AS i;
DO $$ BEGIN FOR i IN 1..97000 LOOP PERFORM pg_current_xact_id(); COMMIT; END LOOP; END $$;
