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
--   bytes: {from: sum(verify.bytes), description: "size of the file once everything is checkpointed"}
-- examples: [{params: {schema: main}}]
--
-- Checkpoint the write-ahead log into the database file and truncate the log. After VACUUM in WAL mode this is what shrinks the
-- file on disk. Waits for readers and writers up to the lock timeout; if one is still active then, it copies what it can and
-- returns `busy` = 1, which fails the step. Nothing is lost: run it again.

-- find: no row if the file is not in WAL mode, since there is nothing to do then
SELECT c.page_count AS pages
  FROM pragma_page_count AS c, pragma_journal_mode AS j
 WHERE j.journal_mode = 'wal' AND EXISTS (SELECT 1 FROM {schema}.sqlite_schema)

-- do: returns one row: busy, log (frames in the log), checkpointed (frames copied)
PRAGMA {schema}.wal_checkpoint(TRUNCATE)

-- verify: the file is still in WAL mode; a SELECT cannot see the state of the log, which `busy` reports
SELECT c.page_count > 0 AND j.journal_mode = 'wal' AS ok, c.page_count * s.page_size AS bytes
  FROM pragma_page_count AS c, pragma_page_size AS s, pragma_journal_mode AS j
