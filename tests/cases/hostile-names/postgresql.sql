CREATE TABLE "we""ird`x %s :y; -- 50% \" (id int PRIMARY KEY, "we""ird`x %s :y; -- 50% \" text);
CREATE INDEX "we""ird`x %s :y; -- 50% \ i" ON "we""ird`x %s :y; -- 50% \" ("we""ird`x %s :y; -- 50% \");
INSERT INTO "we""ird`x %s :y; -- 50% \" SELECT i, md5(i::text) FROM generate_series(1, 20000) AS i;
DELETE FROM "we""ird`x %s :y; -- 50% \" WHERE id % 10 <> 0;
VACUUM ANALYZE "we""ird`x %s :y; -- 50% \";
DELETE FROM "we""ird`x %s :y; -- 50% \" WHERE id % 20 = 0;
CREATE TABLE "MiXed.Case" (id int PRIMARY KEY, "MiXed.Case" text);
CREATE INDEX "MiXed.Case i" ON "MiXed.Case" ("MiXed.Case");
INSERT INTO "MiXed.Case" SELECT i, md5(i::text) FROM generate_series(1, 20000) AS i;
DELETE FROM "MiXed.Case" WHERE id % 10 <> 0;
VACUUM ANALYZE "MiXed.Case";
DELETE FROM "MiXed.Case" WHERE id % 20 = 0;
CREATE TABLE "new
line" (id int PRIMARY KEY, "new
line" text);
CREATE INDEX "new
line i" ON "new
line" ("new
line");
INSERT INTO "new
line" SELECT i, md5(i::text) FROM generate_series(1, 20000) AS i;
DELETE FROM "new
line" WHERE id % 10 <> 0;
VACUUM ANALYZE "new
line";
DELETE FROM "new
line" WHERE id % 20 = 0;
CREATE TABLE "select" (id int PRIMARY KEY, "select" text);
CREATE INDEX "select i" ON "select" ("select");
INSERT INTO "select" SELECT i, md5(i::text) FROM generate_series(1, 20000) AS i;
DELETE FROM "select" WHERE id % 10 <> 0;
VACUUM ANALYZE "select";
DELETE FROM "select" WHERE id % 20 = 0;
CREATE TABLE "quote'single" (id int PRIMARY KEY, "quote'single" text);
CREATE INDEX "quote'single i" ON "quote'single" ("quote'single");
INSERT INTO "quote'single" SELECT i, md5(i::text) FROM generate_series(1, 20000) AS i;
DELETE FROM "quote'single" WHERE id % 10 <> 0;
VACUUM ANALYZE "quote'single";
DELETE FROM "quote'single" WHERE id % 20 = 0;
CREATE TABLE "[red]x[/red] [31m" (id int PRIMARY KEY, "[red]x[/red] [31m" text);
CREATE INDEX "[red]x[/red] [31m i" ON "[red]x[/red] [31m" ("[red]x[/red] [31m");
INSERT INTO "[red]x[/red] [31m" SELECT i, md5(i::text) FROM generate_series(1, 20000) AS i;
DELETE FROM "[red]x[/red] [31m" WHERE id % 10 <> 0;
VACUUM ANALYZE "[red]x[/red] [31m";
DELETE FROM "[red]x[/red] [31m" WHERE id % 20 = 0;
CREATE TABLE "emoji 🐘" (id int PRIMARY KEY, "emoji 🐘" text);
CREATE INDEX "emoji 🐘 i" ON "emoji 🐘" ("emoji 🐘");
INSERT INTO "emoji 🐘" SELECT i, md5(i::text) FROM generate_series(1, 20000) AS i;
DELETE FROM "emoji 🐘" WHERE id % 10 <> 0;
VACUUM ANALYZE "emoji 🐘";
DELETE FROM "emoji 🐘" WHERE id % 20 = 0;
