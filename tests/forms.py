"""What was tried to write with under the name of reading: a form a line, `wall | name | block [;; block…]`.

`wall` says what stops it: `parse` when the tool is loaded, `server` when it runs, or `both`; `both>=16`: the server from that
version on; `asked`: neither, but the server tells before it runs what it is made of (`registry/touched.py`).
tests/tools/test_two_walls.py tries each against each wall by itself; where none stands, the server takes them all.
{file} is a file that the server could write.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Form:
    engine: str
    wall: str
    name: str
    blocks: tuple[str, ...]

    def held_by(self, version: tuple[int, ...]) -> frozenset[str]:
        """The walls that stop it on a server of this version."""
        wall, _, since = self.wall.partition(">=")
        if since and version < (int(since),):
            return frozenset({"parse"})
        return frozenset({"parse", "server"} if wall == "both" else {wall})


#: Before each form: the table `t` with three rows, and what the forms use.
PREPARED = {
    "postgresql": """
        DROP SCHEMA IF EXISTS app CASCADE
        CREATE SCHEMA app
        CREATE TABLE app.t (id int PRIMARY KEY, v text)
        INSERT INTO app.t VALUES (1, 'a'), (2, 'b'), (3, 'c')
        CREATE TABLE app.u (id int PRIMARY KEY)
        CREATE SEQUENCE app.s
        CREATE MATERIALIZED VIEW app.m AS SELECT id FROM app.t
        CREATE FUNCTION app.wipe() RETURNS int LANGUAGE sql AS 'DELETE FROM app.t RETURNING id'
        CREATE FUNCTION app.count(int) RETURNS int LANGUAGE sql AS 'DELETE FROM app.t RETURNING id'
        CREATE FUNCTION app.both(int, int) RETURNS int LANGUAGE sql AS 'DELETE FROM app.t RETURNING id'
        CREATE OPERATOR app.+ (LEFTARG = int, RIGHTARG = int, FUNCTION = app.both)
        CREATE VIEW app.w AS SELECT app.wipe() AS id
        CREATE DOMAIN app.d AS int CHECK (app.wipe() > VALUE)
        CREATE PROCEDURE app.p() LANGUAGE plpgsql AS 'BEGIN COMMIT; DELETE FROM app.t; END'
        SELECT lo_unlink(oid) FROM pg_largeobject_metadata
        SELECT lo_create(4711)
    """,
    "mysql": """
        DROP TABLE IF EXISTS t, t2, made
        DROP SEQUENCE IF EXISTS s
        DROP FUNCTION IF EXISTS wipe
        DROP PROCEDURE IF EXISTS p
        DROP PROCEDURE IF EXISTS made
        DROP VIEW IF EXISTS w
        DROP EVENT IF EXISTS made
        DROP TRIGGER IF EXISTS made
        CREATE TABLE t (id int PRIMARY KEY, v varchar(10), KEY tv (v))
        INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')
        CREATE TABLE t2 (id int PRIMARY KEY)
        CREATE SEQUENCE s
        CREATE FUNCTION wipe() RETURNS int BEGIN DELETE FROM t; RETURN 1; END
        CREATE PROCEDURE p() BEGIN COMMIT; DELETE FROM t; END
        CREATE VIEW w AS SELECT wipe() AS id
    """,
    "sqlite": """
        DROP TABLE IF EXISTS made
        DROP VIEW IF EXISTS w
        DROP TABLE IF EXISTS t
        CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, v TEXT)
        CREATE INDEX tv ON t (v)
        DROP VIEW IF EXISTS o
        CREATE VIEW o AS SELECT * FROM pragma_optimize
        CREATE VIEW w AS SELECT id FROM t
        CREATE TRIGGER wd INSTEAD OF INSERT ON w BEGIN DELETE FROM t; END
        INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')
    """,
}

POSTGRESQL = """
both | delete | DELETE FROM app.t
both | delete with rows back | DELETE FROM app.t RETURNING id
both | update | UPDATE app.t SET v = 'x'
both | insert | INSERT INTO app.t VALUES (9, 'x')
both | upsert | INSERT INTO app.t VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET v = 'x'
both | truncate | TRUNCATE app.t
both | delete in a CTE | WITH x AS (DELETE FROM app.t RETURNING id) SELECT * FROM x
both | insert in a CTE | WITH x AS (INSERT INTO app.t VALUES (9, 'x') RETURNING id) SELECT * FROM x
both | update in a CTE | WITH x AS (UPDATE app.t SET v = 'x' RETURNING id) SELECT * FROM x
both | CTE before a delete | WITH x AS (SELECT 1 AS id) DELETE FROM app.t USING x WHERE t.id = x.id
both | select into | SELECT * INTO app.made FROM app.t
both | create table as | CREATE TABLE app.made AS SELECT * FROM app.t
both | create table | CREATE TABLE app.made (id int)
both | create temporary table | CREATE TEMPORARY TABLE made AS SELECT 1 AS id
both | create index | CREATE INDEX made ON app.t (v)
both | create index concurrently | CREATE INDEX CONCURRENTLY made ON app.t (v)
both | create view | CREATE VIEW app.made AS SELECT 1 AS id
both | create function | CREATE FUNCTION app.made() RETURNS int LANGUAGE sql AS 'SELECT 1'
both | create role | CREATE ROLE made_by_a_form
both | create database | CREATE DATABASE made_by_a_form
both | drop table | DROP TABLE app.u
both | drop database | DROP DATABASE IF EXISTS made_by_a_form
both | alter table | ALTER TABLE app.t ADD COLUMN made int
both | alter system | ALTER SYSTEM SET work_mem = '5MB'
both | alter database | ALTER DATABASE {database} SET work_mem = '5MB'
both | alter role | ALTER ROLE CURRENT_USER SET work_mem = '5MB'
both | grant | GRANT SELECT ON app.t TO PUBLIC
both | comment | COMMENT ON TABLE app.t IS 'x'
parse | copy to a program | COPY app.t TO PROGRAM 'cat > {file}'
parse | copy a query to a program | COPY (SELECT 1) TO PROGRAM 'cat > {file}'
parse | copy to a file | COPY app.t TO '{file}'
both | copy from a program | COPY app.u FROM PROGRAM 'echo 7'
both | vacuum | VACUUM app.t
both | vacuum full | VACUUM FULL app.t
parse | analyze | ANALYZE app.t
parse | reindex | REINDEX TABLE app.t
both | reindex concurrently | REINDEX TABLE CONCURRENTLY app.t
parse | cluster | CLUSTER app.t USING t_pkey
both | refresh | REFRESH MATERIALIZED VIEW app.m
parse | checkpoint | CHECKPOINT
both | anonymous block | DO 'BEGIN DELETE FROM app.t; END'
both | anonymous block that commits | DO 'BEGIN COMMIT; DELETE FROM app.t; END'
both | call | CALL app.p()
both | prepared | PREPARE made AS DELETE FROM app.t ;; EXECUTE made
both | explain analyze | EXPLAIN ANALYZE DELETE FROM app.t
both | two statements | SELECT 1; DELETE FROM app.t
both | set_config of the default | SELECT set_config('default_transaction_read_only', 'off', false) ;; DELETE FROM app.t
both | set_config of the transaction | SELECT set_config('transaction_read_only', 'off', false) ;; DELETE FROM app.t
both | set the default | SET default_transaction_read_only = off ;; DELETE FROM app.t
both | set the transaction | SET TRANSACTION READ WRITE ;; DELETE FROM app.t
both | session characteristics | SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE ;; DELETE FROM app.t
both | begin read write | BEGIN READ WRITE ;; DELETE FROM app.t
both | commit and write | COMMIT ;; DELETE FROM app.t
both | rollback and write | ROLLBACK ;; VACUUM app.t
both | discard all and write | DISCARD ALL ;; DELETE FROM app.t
parse | reload the configuration | SELECT pg_reload_conf()
parse | the same, quoted | SELECT "pg_reload_conf"()
parse | the same, escaped | SELECT U&"pg\\005freload_conf"()
parse | the same, qualified | SELECT pg_catalog.pg_reload_conf()
parse | the same, under the name of a CTE | WITH pg_reload_conf(a) AS (SELECT 1) SELECT pg_reload_conf() FROM pg_reload_conf
parse | the same, behind an escaped quote | SELECT E'\\'', pg_reload_conf(), E'\\''
parse | read a file | SELECT pg_read_file('PG_VERSION')
parse | read a file, as an attribute | SELECT s.pg_read_file FROM lower('pg_hba.conf') AS s
parse | read a file, as an attribute of a column | SELECT s.pg_read_file FROM lower('pg_hba.conf') AS s(a)
parse | read a file, as an attribute of a value | SELECT ('PG_VERSION'::text).pg_read_file
parse | read a file, as an attribute without an alias | SELECT lower.pg_read_file FROM lower('pg_hba.conf')
parse | read bytes of a file | SELECT pg_read_binary_file('PG_VERSION')
parse | list a folder | SELECT * FROM pg_ls_dir('.')
parse | list a folder, among rows | SELECT * FROM ROWS FROM (pg_ls_dir('.'), generate_series(1, 2))
parse | look at a file | SELECT * FROM pg_stat_file('PG_VERSION')
both | next value | SELECT nextval('app.s')
both | set a sequence | SELECT setval('app.s', 9)
both>=16 | create a large object | SELECT lo_create(0)
both>=16 | large object of bytes | SELECT lo_from_bytea(0, 'x')
both>=16 | unlink a large object | SELECT lo_unlink(4711)
both>=16 | import a large object | SELECT lo_import('PG_VERSION')
parse | export a large object | SELECT lo_export(4711, '{file}')
parse | end a session | SELECT pg_terminate_backend(0)
parse | cancel a statement | SELECT pg_cancel_backend(0)
parse | switch WAL | SELECT pg_switch_wal()
parse | restore point | SELECT pg_create_restore_point('made')
parse | replication slot | SELECT pg_create_physical_replication_slot('made_by_a_form', false, true)
parse | message in WAL | SELECT pg_logical_emit_message(false, 'a', 'b')
parse | reset the statistics | SELECT pg_stat_reset()
parse | rotate the log | SELECT pg_rotate_logfile()
parse | import collations | SELECT pg_import_system_collations('app')
parse | advisory lock | SELECT pg_advisory_lock(1)
parse | sleep | SELECT pg_sleep(0)
parse | notify by function | SELECT pg_notify('a', 'b')
parse | notify | NOTIFY a
parse | lock a table | LOCK TABLE app.t IN ACCESS SHARE MODE
parse | lock a table exclusively | LOCK TABLE app.t IN ACCESS EXCLUSIVE MODE
both | lock rows | SELECT * FROM app.t FOR UPDATE
both | lock rows to share | SELECT * FROM app.t FOR KEY SHARE
both | function that writes | SELECT app.wipe()
both | function with a listed name | SELECT app.count(1)
both | operator that writes | SELECT 1 OPERATOR(app.+) 2
server | view that writes | SELECT * FROM app.w
both | domain that writes | SELECT CAST(0 AS app.d)
parse | load a library | LOAD 'auto_explain'
parse | set the role | SET ROLE NONE
parse | set the search path | SELECT set_config('search_path', 'app', false)
parse | listen | LISTEN a
parse | cursor | DECLARE made CURSOR FOR SELECT 1
parse | executable comment | SELECT 1 /*! + 1 */
"""
MYSQL = """
both | delete | DELETE FROM t
both | delete with rows back | DELETE FROM t RETURNING id
both | delete by a join | DELETE t FROM t JOIN t2 USING (id)
both | update | UPDATE t SET v = 'x'
both | update by a join | UPDATE t LEFT JOIN t2 USING (id) SET v = 'x'
both | insert | INSERT INTO t VALUES (9, 'x')
both | insert from a query | INSERT INTO t2 SELECT id FROM t
both | upsert | INSERT INTO t VALUES (1, 'x') ON DUPLICATE KEY UPDATE v = 'x'
both | replace | REPLACE INTO t VALUES (1, 'x')
both | truncate | TRUNCATE TABLE t
both | load data | LOAD DATA INFILE '{rows}' INTO TABLE t2
both | create table | CREATE TABLE made (id int)
both | create table as | CREATE TABLE made AS SELECT * FROM t
both | create or replace | CREATE OR REPLACE TABLE t (id int)
both | create temporary table | CREATE TEMPORARY TABLE made (id int)
both | create index | CREATE INDEX made ON t (v)
both | create view | CREATE OR REPLACE VIEW w AS SELECT 1 AS id
both | create database | CREATE DATABASE IF NOT EXISTS made_by_a_form
both | drop database | DROP DATABASE IF EXISTS made_by_a_form
both | create user | CREATE USER IF NOT EXISTS made_by_a_form
both | drop user | DROP USER IF EXISTS made_by_a_form
both | create role | CREATE ROLE IF NOT EXISTS role_by_a_form
both | create procedure | CREATE PROCEDURE made() SELECT 1
both | create trigger | CREATE TRIGGER made BEFORE INSERT ON t FOR EACH ROW SET @x = 1
both | create event | CREATE EVENT made ON SCHEDULE EVERY 1 YEAR DO SELECT 1
both | create sequence | CREATE OR REPLACE SEQUENCE s START 5
both | drop table | DROP TABLE t
both | drop index | DROP INDEX tv ON t
both | alter table | ALTER TABLE t ADD COLUMN made int
both | alter database | ALTER DATABASE COMMENT = 'x'
both | rename table | RENAME TABLE t TO made
both | grant | GRANT SELECT ON *.* TO CURRENT_USER
both | set password | SET PASSWORD = PASSWORD('')
both | execute immediate | EXECUTE IMMEDIATE 'DELETE FROM t'
both | execute immediate of DDL | EXECUTE IMMEDIATE 'DROP TABLE t'
parse | execute immediate into a file | EXECUTE IMMEDIATE 'SELECT 1 INTO OUTFILE "{file}"'
both | prepared | PREPARE made FROM 'DELETE FROM t' ;; EXECUTE made
parse | into an outfile | SELECT * FROM t INTO OUTFILE '{file}'
parse | into an outfile, in the middle | SELECT 1 INTO OUTFILE '{file}' FROM t
parse | into a dumpfile | SELECT 1 INTO DUMPFILE '{file}'
parse | into an outfile, from values | VALUES (1) INTO OUTFILE '{file}'
parse | into an outfile, from a union | SELECT 1 UNION SELECT 2 INTO OUTFILE '{file}'
parse | into an outfile, behind two dashes | SELECT 1 --1 INTO OUTFILE '{file}'
parse | into an outfile, in an executable comment | SELECT 1 /*!50000 INTO OUTFILE '{file}' */
parse | into an outfile, in MariaDB's comment | SELECT 1 /*M!100000 INTO OUTFILE '{file}' */
parse | into a variable | SELECT 1 INTO @x
parse | assignment | SELECT @x := 1
both | executable comment | /*!50000 DELETE FROM t */
both | executable comment, half | DELETE /*! FROM t */
both | next value | SELECT NEXT VALUE FOR s
both | next value by function | SELECT NEXTVAL(s)
both | set a sequence | SELECT SETVAL(s, 9)
both | function that writes | SELECT wipe()
both | function that writes, quoted | SELECT `wipe`()
both | function that writes, qualified | SELECT {database}.wipe()
server | view that writes | SELECT * FROM w
both | call | CALL p()
both | do | DO wipe()
both | begin not atomic | BEGIN NOT ATOMIC DELETE FROM t; END
both | begin not atomic with a commit | BEGIN NOT ATOMIC COMMIT; DELETE FROM t; END
both | if | IF 1 THEN DELETE FROM t; END IF
both | two statements | SELECT 1; DELETE FROM t
both | start and write | START TRANSACTION ;; DELETE FROM t
both | commit and write | COMMIT ;; DELETE FROM t
both | rollback and write | ROLLBACK ;; DELETE FROM t
both | begin and write | BEGIN ;; DELETE FROM t
both | set the transaction | SET SESSION TRANSACTION READ WRITE ;; DELETE FROM t
both | set autocommit | SET autocommit = 0 ;; DELETE FROM t
both | analyze a delete | ANALYZE DELETE FROM t
both | set statement for | SET STATEMENT max_statement_time = 9 FOR DELETE FROM t
parse | set a global variable | SET GLOBAL max_connections = @@global.max_connections
parse | analyze table | ANALYZE TABLE t
both | optimize table | OPTIMIZE TABLE t
both | repair table | REPAIR TABLE t
parse | check table | CHECK TABLE t
parse | flush tables | FLUSH TABLES t
parse | flush logs | FLUSH ERROR LOGS
both | flush tables with a lock | FLUSH TABLES t FOR EXPORT ;; UNLOCK TABLES
parse | reset | RESET QUERY CACHE
parse | purge the binary log | PURGE BINARY LOGS BEFORE '2000-01-01'
parse | lock a table | LOCK TABLES t READ ;; UNLOCK TABLES
both | lock rows | SELECT * FROM t FOR UPDATE
parse | lock rows to share | SELECT * FROM t LOCK IN SHARE MODE
parse | handler | HANDLER t OPEN ;; HANDLER t CLOSE
both | xa | XA START 'made' ;; XA END 'made' ;; XA ROLLBACK 'made'
parse | load a file | SELECT LOAD_FILE('{rows}')
parse | user lock | SELECT GET_LOCK('made', 0)
parse | sleep | SELECT SLEEP(0)
parse | benchmark | SELECT BENCHMARK(1, 1)
parse | backup stage | BACKUP STAGE START ;; BACKUP STAGE END
parse | change the database | USE information_schema
parse | optimizer hint | SELECT /*+ SET_VAR(sql_mode = '') */ 1
parse | the end of a literal by sql_mode | SELECT '\\' , 2 -- '
"""
SQLITE = """
both | delete | DELETE FROM t
both | delete with rows back | DELETE FROM t RETURNING id
both | update | UPDATE t SET v = 'x'
both | insert | INSERT INTO t VALUES (9, 'x')
both | insert or replace | INSERT OR REPLACE INTO t VALUES (1, 'x')
both | upsert | INSERT INTO t VALUES (1, 'x') ON CONFLICT (id) DO UPDATE SET v = 'x'
both | replace | REPLACE INTO t VALUES (1, 'x')
both | CTE before a delete | WITH x AS (SELECT 1 AS id) DELETE FROM t WHERE id IN (SELECT id FROM x)
both | CTE before an insert | WITH x AS (SELECT 9 AS id) INSERT INTO t SELECT id, 'x' FROM x
both | CTE before an update | WITH x AS (SELECT 1 AS id) UPDATE t SET v = 'x' WHERE id IN (SELECT id FROM x)
both | insert into a view | INSERT INTO w VALUES (1)
both | create table | CREATE TABLE made (id)
both | create table as | CREATE TABLE made AS SELECT * FROM t
both | create temporary table | CREATE TEMP TABLE made (id)
both | create temporary view | CREATE TEMP VIEW made AS SELECT 1 AS id
both | create temporary trigger | CREATE TEMP TRIGGER made AFTER INSERT ON t BEGIN DELETE FROM t; END
both | create index | CREATE INDEX made ON t (v)
both | create view | CREATE VIEW made AS SELECT 1
both | create trigger | CREATE TRIGGER made AFTER INSERT ON t BEGIN DELETE FROM t; END
both | create virtual table | CREATE VIRTUAL TABLE made USING fts5(a)
both | drop table | DROP TABLE t
both | drop index | DROP INDEX tv
both | drop view | DROP VIEW w
both | drop trigger | DROP TRIGGER wd
both | alter table | ALTER TABLE t ADD COLUMN made
both | rename table | ALTER TABLE t RENAME TO made
both | rename column | ALTER TABLE t RENAME COLUMN v TO made
both | drop column | ALTER TABLE t ADD COLUMN made ;; ALTER TABLE t DROP COLUMN made
both | delete of a sequence | DELETE FROM sqlite_sequence
both | update of a sequence | UPDATE sqlite_sequence SET seq = 9
both | writable schema | PRAGMA writable_schema = ON ;; UPDATE sqlite_schema SET sql = sql
both | vacuum | VACUUM
both | vacuum into | VACUUM INTO '{file}'
both | vacuum of one schema | VACUUM main
both | attach the same file | ATTACH '{database}' AS again ;; INSERT INTO again.t VALUES (9, 'x')
both | attach the same file by a URI | ATTACH 'file:{database}?mode=rw' AS again ;; DELETE FROM again.t
both | attach a new file | ATTACH '{file}' AS made ;; CREATE TABLE made.t (id)
both | attach memory | ATTACH ':memory:' AS made
both | attach a temporary file | ATTACH '' AS made
both | reindex | REINDEX
both | reindex a table | REINDEX t
both | analyze | ANALYZE
both | analyze a table | ANALYZE t
both | journal to WAL | PRAGMA journal_mode = WAL
both | journal to WAL, in parentheses | PRAGMA journal_mode(WAL)
both | journal of a schema | PRAGMA main.journal_mode = MEMORY
both | user version | PRAGMA user_version = 9
both | application id | PRAGMA application_id = 9
both | schema version | PRAGMA schema_version = 99
both | auto vacuum | PRAGMA auto_vacuum = FULL
both | page size | PRAGMA page_size = 8192
both | encoding | PRAGMA encoding = 'UTF-16'
both | checkpoint | PRAGMA wal_checkpoint
both | checkpoint to truncate | PRAGMA wal_checkpoint(TRUNCATE)
both | incremental vacuum | PRAGMA incremental_vacuum
both | incremental vacuum of pages | PRAGMA incremental_vacuum(9)
both | optimize | PRAGMA optimize
both | optimize by a mask | PRAGMA optimize(0xfffe)
both | optimize as a table | SELECT * FROM pragma_optimize
both | optimize as a function | SELECT * FROM pragma_optimize(0xfffe)
server | view of a pragma | SELECT * FROM o
both | query_only off | PRAGMA query_only = OFF ;; DELETE FROM t
both | query_only off, in parentheses | PRAGMA query_only(0) ;; DELETE FROM t
both | foreign keys off | PRAGMA foreign_keys = OFF
both | synchronous off | PRAGMA synchronous = OFF
both | exclusive locking | PRAGMA locking_mode = EXCLUSIVE
both | trusted schema | PRAGMA trusted_schema = ON
both | secure delete | PRAGMA secure_delete = ON
both | mmap size | PRAGMA mmap_size = 0
both | cache spill | PRAGMA cache_spill = OFF
both | journal size limit | PRAGMA journal_size_limit = 1
both | shrink memory | PRAGMA shrink_memory
both | ignore checks | PRAGMA ignore_check_constraints = ON
both | begin immediate | BEGIN IMMEDIATE
both | begin exclusive | BEGIN EXCLUSIVE
both | begin and write | BEGIN ;; DELETE FROM t ;; COMMIT
both | savepoint and write | SAVEPOINT made ;; DELETE FROM t ;; RELEASE made
both | two statements | SELECT 1; DELETE FROM t
both | explain a delete | EXPLAIN DELETE FROM t
"""


#: What the forms use that only the server sees through, after PREPARED: each of these functions writes {file}.
SEEN_THROUGH = {
    "postgresql": """
        ALTER DATABASE {database} SET search_path = public, app
        CREATE FUNCTION app.sent() RETURNS text LANGUAGE plpgsql AS 'BEGIN COPY (SELECT 1) TO ''{file}''; RETURN 1; END'
        CREATE FUNCTION app.evil(app.t) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT app.sent()'
        CREATE FUNCTION app.lower(app.t) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT app.sent()'
        CREATE FUNCTION app.less(app.t, int) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT app.sent() IS NULL'
        CREATE FUNCTION app.step(text, app.t) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT app.sent()'
        CREATE OPERATOR app.< (LEFTARG = app.t, RIGHTARG = int, FUNCTION = app.less)
        CREATE CAST (app.t AS text) WITH FUNCTION app.evil (app.t) AS IMPLICIT
        CREATE AGGREGATE app.max (app.t) (SFUNC = app.step, STYPE = text)
        CREATE DOMAIN app.sending AS int CHECK (app.sent() = '1')
        CREATE TYPE app.pair AS (a app.sending)
        CREATE TABLE app.r (id int, p app.pair)
        INSERT INTO app.r VALUES (1)
        CREATE VIEW app.w1 AS SELECT app.evil(t) AS x FROM app.t
        CREATE VIEW app.w2 AS SELECT * FROM app.w1
        CREATE VIEW app.w3 AS SELECT pg_ls_dir('.') AS x
        CREATE VIEW app.w4 AS SELECT table_to_xml('app.w1', true, true, '') AS x
        CREATE VIEW app.w5 AS SELECT a::app.sending AS x FROM generate_series(1, 2) AS a
        CREATE VIEW app.w6 AS SELECT x.a AS x FROM json_to_record('{"a": 1}') AS x (a app.sending)
        CREATE FUNCTION app.checked(text) RETURNS boolean LANGUAGE sql AS 'SELECT app.sent() IS NOT NULL'
        CREATE DOMAIN app.dom AS text CHECK (app.checked(value))
        CREATE TYPE app.ct AS (d app.dom, n int)
        CREATE DOMAIN app.over AS app.ct
        CREATE TABLE app.tc (id int, c app.ct, da app.dom[], o app.over)
        CREATE TABLE app.td (id int, d app.dom)
        CREATE VIEW app.w8 AS SELECT count(domain_in('x'::cstring, 'app.dom'::regtype::oid, -1)) AS x
        CREATE TYPE app.mood AS ENUM ('sad', 'ok')
        CREATE FUNCTION app.mood_json(app.mood) RETURNS json LANGUAGE sql AS 'SELECT to_json(app.sent())'
        CREATE CAST (app.mood AS json) WITH FUNCTION app.mood_json (app.mood)
        CREATE DOMAIN app.moody AS app.mood
        CREATE TABLE app.tm (id int, m app.mood, many app.mood[], y app.moody)
        INSERT INTO app.tm VALUES (1, 'sad', '{sad}', 'ok')
        CREATE VIEW app.w9 AS SELECT json_build_object('m', m) AS x FROM app.tm
        CREATE TYPE app.c2 AS (n int)
        CREATE FUNCTION app.c2cmp(app.c2, app.c2) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT length(app.sent())'
        CREATE OPERATOR CLASS app.c2ops DEFAULT FOR TYPE app.c2 USING btree AS FUNCTION 1 app.c2cmp(app.c2, app.c2)
        CREATE TABLE app.t2 (id int, a app.c2)
        INSERT INTO app.t2 VALUES (1, '(1)'), (2, '(2)')
        CREATE FUNCTION app.cmp(int, int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT length(app.sent())'
        CREATE OPERATOR CLASS app.evilops FOR TYPE int USING btree AS OPERATOR 1 pg_catalog.<, FUNCTION 1 app.cmp(int, int)
        CREATE TABLE app.ti (x int)
        CREATE INDEX ix ON app.ti (x app.evilops)
        CREATE TYPE app.c2range AS RANGE (SUBTYPE = app.c2, SUBTYPE_OPCLASS = app.c2ops)
        CREATE TABLE app.tr (r app.c2range)
        CREATE INDEX ixi ON app.ti (app.cmp(x, x))
        DROP FOREIGN DATA WRAPPER IF EXISTS elsewhere CASCADE
        CREATE FOREIGN DATA WRAPPER elsewhere
        CREATE SERVER elsewhere FOREIGN DATA WRAPPER elsewhere
        CREATE FOREIGN TABLE app.ft (x int) SERVER elsewhere
        CREATE TABLE app.parted (x int) PARTITION BY LIST (x)
        CREATE FOREIGN TABLE app.far PARTITION OF app.parted FOR VALUES IN (1) SERVER elsewhere
    """,
    "mysql": """
        DROP VIEW IF EXISTS w1, w2, w3, w4, w7
        DROP FUNCTION IF EXISTS sent
        DROP FUNCTION IF EXISTS regexp_like
        DROP FUNCTION IF EXISTS `count`
        CREATE FUNCTION sent() RETURNS int BEGIN SELECT 1 INTO OUTFILE '{file}'; RETURN 1; END
        CREATE FUNCTION regexp_like(a text, b text) RETURNS int RETURN sent()
        CREATE FUNCTION `count`(a int) RETURNS int RETURN sent()
        CREATE VIEW w1 AS SELECT sent() AS x
        CREATE VIEW w2 AS SELECT w1.x FROM t JOIN w1 ON t.id = w1.x
        CREATE VIEW w3 AS SELECT SLEEP(0) AS x
        CREATE VIEW w4 AS SELECT LOAD_FILE('{file}') AS x
        CREATE VIEW w7 AS SELECT REGEXP_LIKE('a', 'b') AS x
    """,
}
ASKED = {
    "postgresql": """
asked | function as an attribute of a row | SELECT t.evil AS x FROM app.t AS t
asked | the same, to order by | SELECT t.id FROM app.t AS t ORDER BY t.evil
asked | function with a listed name, of a row | SELECT lower(t) AS x FROM app.t AS t
asked | operator of a row | SELECT t < 1 AS x FROM app.t AS t
asked | implicit cast of a row | SELECT length(t) AS x FROM app.t AS t
asked | aggregate with a listed name | SELECT max(t) AS x FROM app.t AS t
asked | a listed function that makes a domain | SELECT json_populate_record(r, '{"p": {"a": 1}}') AS x FROM app.r AS r
asked | cast to json by to_json | SELECT to_json(t.m) AS x FROM app.tm AS t
asked | the same, of a row | SELECT row_to_json(t) AS x FROM app.tm AS t
asked | the same, of a list | SELECT json_agg(t.many) AS x FROM app.tm AS t
asked | the same, of a domain | SELECT jsonb_agg(t.y) AS x FROM app.tm AS t
asked | the same, in a view | SELECT x FROM app.w9
asked | view that makes a domain by its number | SELECT x FROM app.w8
asked | literal of a row with a domain | SELECT COALESCE(t.c, '(hello,1)') AS x FROM app.tc AS t
asked | literal of a list of a domain | SELECT t.id AS x FROM app.tc AS t WHERE t.da = '{world}'
asked | literal of a domain of a row | SELECT COALESCE(t.o, '(hello,1)') AS x FROM app.tc AS t
asked | literal of a row in a UNION | SELECT t.c AS x FROM app.tc AS t UNION ALL SELECT '(u,1)'
asked | literal of a table's row | SELECT COALESCE(t, '(1,u)') AS x FROM app.td AS t
asked | comparison by an operator class | SELECT GREATEST(t.a, t.a) AS x FROM app.t2 AS t
asked | the same, in a row | SELECT DISTINCT ROW(t.a) AS x FROM app.t2 AS t
asked | view on a function | SELECT x FROM app.w1
asked | view on a view on a function | SELECT x FROM app.w2
asked | view on the server's own function | SELECT x FROM app.w3
asked | view on a function that runs a query | SELECT x FROM app.w4
asked | view with a cast to a domain | SELECT x FROM app.w5
asked | view with a record of a domain | SELECT x FROM app.w6
asked | foreign table | SELECT x FROM app.ft
asked | foreign table as a partition | SELECT x FROM app.parted
asked | operator class of an index | SELECT t.x AS x FROM app.ti AS t WHERE t.x = 77
asked | comparison of ranges | SELECT t.r < u.r AS x FROM app.tr AS t CROSS JOIN app.tr AS u
asked | comparison in a list | SELECT array_position(ARRAY[t.a], t.a) AS x FROM app.t2 AS t
asked | check of an index of an expression | SELECT count(bt_index_check('app.ixi'::regclass, true)) AS x
""",
    "mysql": """
asked | stored function with a listed name | SELECT REGEXP_LIKE('a', 'b') AS x
asked | the same, behind a blank | SELECT COUNT (1) AS x
asked | view on a function with a listed name | SELECT x FROM w7
asked | view on a function | SELECT x FROM w1
asked | view on a view on a function | SELECT x FROM w2
asked | view on the server's own function | SELECT x FROM w3
asked | view that reads a file | SELECT x FROM w4
""",
}


def _forms(engine: str, lines: str) -> list[Form]:
    found = []
    for line in lines.strip().splitlines():
        wall, name, sql = (part.strip() for part in line.split(" | ", 2))
        found.append(Form(engine, wall, name, tuple(block.strip() for block in sql.split(";;"))))
    return found


FORMS = [*_forms("postgresql", POSTGRESQL), *_forms("mysql", MYSQL), *_forms("sqlite", SQLITE)]
#: Those that both other walls let through.
ONLY_ASKED = [form for engine, lines in ASKED.items() for form in _forms(engine, lines)]

#: Engine -> the head of its column in the table of docs/decisions/0017-two-walls.md.
COLUMNS = {"postgresql": "PostgreSQL", "mysql": "MariaDB", "sqlite": "SQLite"}


def table() -> list[str]:
    """The lines of the table: a form a line, and the wall that stops it on each engine."""
    walls: dict[str, dict[str, str]] = {}
    for form in (*FORMS, *ONLY_ASKED):
        wall, _, since = form.wall.partition(">=")
        walls.setdefault(form.name, {})[form.engine] = f"{wall}, before {since} parse" if since else wall
    head = [f"| form | {' | '.join(COLUMNS.values())} |", f"|---|{'---|' * len(COLUMNS)}"]
    return head + [f"| {name} | {' | '.join(on.get(engine, '') for engine in COLUMNS)} |" for name, on in walls.items()]
