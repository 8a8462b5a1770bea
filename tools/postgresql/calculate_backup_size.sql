-- name: calculate_backup_size
-- engine: postgresql >= 12
-- category: analysis
-- risk: safe
-- capabilities: [database_read]
-- runs: query
-- transaction: none
-- lock: none
-- max_execution_time: 60
-- idempotent: true
-- returns:
--   bytes: first(size.bytes)
-- examples: [{params: {}}]
--
-- Estimate the size of a full backup: half the size of the database without its indexes, which a dump does not contain.
-- Compressed, rows usually take a third to a fifth of the size of their table; values that are already compressed, by the
-- application or by the server, take as much as in the table.

-- size: the database's files, less the indexes as of the last VACUUM; opens no relation, so it waits for no lock
SELECT (greatest(pg_database_size(current_database())
                 - (SELECT coalesce(sum(c.relpages::bigint), 0) FROM pg_class AS c WHERE c.relkind = 'i')
                   * current_setting('block_size')::bigint, 0) / 2)::bigint AS bytes
