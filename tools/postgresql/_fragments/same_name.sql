-- Block `same`: whether the name still refers to the table that `find` saw, by its OID, which a rewrite of the table keeps. Looked up
-- as the server resolves names, outside any snapshot. Takes no lock: for statements that bind the OID, or run outside a transaction.

-- same: the table is the one that was approved
SELECT to_regclass(format('%I.%I', CAST(:schema AS text), CAST(:table AS text))) = CAST(CAST(:oid AS text) AS oid) AS same
