CREATE TABLE "we""ird`x %s :y; -- 50% \" (id integer PRIMARY KEY, "we""ird`x %s :y; -- 50% \" text);
CREATE INDEX "we""ird`x %s :y; -- 50% \ i" ON "we""ird`x %s :y; -- 50% \" ("we""ird`x %s :y; -- 50% \");
INSERT INTO "we""ird`x %s :y; -- 50% \" WITH RECURSIVE i(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM i WHERE i < 5000) SELECT i, hex(i * 7919) FROM i;
DELETE FROM "we""ird`x %s :y; -- 50% \" WHERE id % 20 <> 10;
CREATE TABLE "MiXed.Case" (id integer PRIMARY KEY, "MiXed.Case" text);
CREATE INDEX "MiXed.Case i" ON "MiXed.Case" ("MiXed.Case");
INSERT INTO "MiXed.Case" WITH RECURSIVE i(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM i WHERE i < 5000) SELECT i, hex(i * 7919) FROM i;
DELETE FROM "MiXed.Case" WHERE id % 20 <> 10;
CREATE TABLE "new
line" (id integer PRIMARY KEY, "new
line" text);
CREATE INDEX "new
line i" ON "new
line" ("new
line");
INSERT INTO "new
line" WITH RECURSIVE i(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM i WHERE i < 5000) SELECT i, hex(i * 7919) FROM i;
DELETE FROM "new
line" WHERE id % 20 <> 10;
CREATE TABLE "select" (id integer PRIMARY KEY, "select" text);
CREATE INDEX "select i" ON "select" ("select");
INSERT INTO "select" WITH RECURSIVE i(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM i WHERE i < 5000) SELECT i, hex(i * 7919) FROM i;
DELETE FROM "select" WHERE id % 20 <> 10;
CREATE TABLE "quote'single" (id integer PRIMARY KEY, "quote'single" text);
CREATE INDEX "quote'single i" ON "quote'single" ("quote'single");
INSERT INTO "quote'single" WITH RECURSIVE i(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM i WHERE i < 5000) SELECT i, hex(i * 7919) FROM i;
DELETE FROM "quote'single" WHERE id % 20 <> 10;
CREATE TABLE "[red]x[/red] [31m" (id integer PRIMARY KEY, "[red]x[/red] [31m" text);
CREATE INDEX "[red]x[/red] [31m i" ON "[red]x[/red] [31m" ("[red]x[/red] [31m");
INSERT INTO "[red]x[/red] [31m" WITH RECURSIVE i(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM i WHERE i < 5000) SELECT i, hex(i * 7919) FROM i;
DELETE FROM "[red]x[/red] [31m" WHERE id % 20 <> 10;
CREATE TABLE "emoji 🐘" (id integer PRIMARY KEY, "emoji 🐘" text);
CREATE INDEX "emoji 🐘 i" ON "emoji 🐘" ("emoji 🐘");
INSERT INTO "emoji 🐘" WITH RECURSIVE i(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM i WHERE i < 5000) SELECT i, hex(i * 7919) FROM i;
DELETE FROM "emoji 🐘" WHERE id % 20 <> 10;
