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
-- How large a full backup will be, to see whether there is room for it: half of the database without its indexes, which a dump
-- does not hold. Compressed rows take a third to a fifth of their tables as a rule; values that are compressed already, or that the
-- server has compressed, take as much as they do there.

-- size: files of the database, less the indexes as VACUUM counted them last; nothing is opened, so that no lock is waited for
SELECT (greatest(pg_database_size(current_database())
                 - (SELECT coalesce(sum(c.relpages::bigint), 0) FROM pg_class AS c WHERE c.relkind = 'i')
                   * current_setting('block_size')::bigint, 0) / 2)::bigint AS bytes
