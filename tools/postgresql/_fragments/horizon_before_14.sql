-- The transaction from which on rows are too young for an archive that begins now; from version 13 on there is another name for it.

(txid_snapshot_xmin(txid_current_snapshot())::numeric % 4294967296)::text AS horizon
