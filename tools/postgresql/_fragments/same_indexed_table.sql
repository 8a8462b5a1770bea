-- Block `same` of tools for the indexes of {schema}.{table}: whether the name still refers to the table that `find` saw.

-- same: the table is the one that was approved
SELECT to_regclass(format('%I.%I', CAST(:schema AS text), CAST(:table AS text))) = CAST(CAST(:table_oid AS text) AS oid) AS same
