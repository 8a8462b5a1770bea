-- The transaction from which on rows are too new for an archive that begins now.

(pg_snapshot_xmin(pg_current_snapshot())::text::numeric % 4294967296)::text AS horizon
