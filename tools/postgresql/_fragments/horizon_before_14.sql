-- The transaction from which on rows are too new for an archive that begins now; from version 13 on the function has another name.

(txid_snapshot_xmin(txid_current_snapshot())::numeric % 4294967296)::text AS horizon
