-- name: checkpoint_wal
-- engine: sqlite >= 3.35
-- category: maintenance
-- risk: low
-- capabilities: [database_read, database_write]
-- runs: statement
-- transaction: none
-- lock: EXCLUSIVE
-- max_execution_time: 600
-- privileges: [WRITE]
-- idempotent: true
-- parameters:
--   schema: {type: identifier}
-- returns:
--   bytes: {from: sum(verify.bytes), description: "the size the file has when everything is checkpointed"}
-- examples: [{params: {schema: main}}]
--
-- Copies the write-ahead log into the database file and cuts the log to nothing. After VACUUM in WAL mode this is what
-- makes the file on disk small. Waits for readers and writers within the lock timeout; with one of them still there it
-- copies what it can and says `busy` = 1, which fails the step: nothing is lost, it only has to be run again.

-- find: no row when the file is not in WAL mode: then there is nothing to do
SELECT c.page_count AS pages
  FROM pragma_page_count AS c, pragma_journal_mode AS j
 WHERE j.journal_mode = 'wal' AND EXISTS (SELECT 1 FROM {schema}.sqlite_schema)

-- do: returns one row: busy, log (frames in the log), checkpointed (frames copied)
PRAGMA {schema}.wal_checkpoint(TRUNCATE)

-- verify: the database is still what it was; the state of the log cannot be seen by a SELECT, `busy` tells it
SELECT c.page_count > 0 AND j.journal_mode = 'wal' AS ok, c.page_count * s.page_size AS bytes
  FROM pragma_page_count AS c, pragma_page_size AS s, pragma_journal_mode AS j
