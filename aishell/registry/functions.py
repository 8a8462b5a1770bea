"""The reviewed lists: functions that only read, by engine, and the shipped blocks that no parser takes. Data, names only.

A function is listed if it neither writes, nor locks, nor waits, nor reaches beyond the database: no sequence's next value, no
file, no other session, no setting, no text that is run as SQL. A missing function forces a higher risk on a site's tool; one too
many breaks the promise that such tools only read. Reasons: docs/decisions/0017-two-walls.md.
"""

from __future__ import annotations

_POSTGRESQL = """
    abs aclexplode age any_value area array_agg array_append array_cat array_dims array_length array_lower array_ndims
    array_position array_positions array_prepend array_remove array_replace array_to_json array_to_string array_upper ascii avg
    bit_and bit_count bit_length bit_or bool_and bool_or btrim cardinality cbrt ceil ceiling char_length character_length chr
    clock_timestamp
    coalesce col_description concat concat_ws convert_from convert_to corr count cume_dist current_database current_schema
    current_schemas current_setting date_bin date_part date_trunc decode degrees dense_rank div encode every exp extract factorial
    first_value floor format format_type gcd generate_series generate_subscripts getdatabaseencoding greatest
    has_any_column_privilege has_column_privilege has_database_privilege has_foreign_data_wrapper_privilege
    has_function_privilege has_language_privilege has_parameter_privilege has_schema_privilege has_sequence_privilege
    has_server_privilege has_table_privilege has_tablespace_privilege has_type_privilege hashtext host hostmask inet_client_addr
    inet_client_port inet_server_addr inet_server_port initcap isfinite json_agg json_array_elements json_array_elements_text
    json_array_length json_build_array json_build_object json_each json_each_text json_extract_path json_extract_path_text
    json_object json_object_agg json_object_keys json_populate_record json_populate_recordset json_strip_nulls json_to_record
    json_to_recordset json_typeof jsonb_agg jsonb_array_elements jsonb_array_elements_text jsonb_array_length jsonb_build_array
    jsonb_build_object jsonb_each jsonb_each_text jsonb_extract_path jsonb_extract_path_text jsonb_object jsonb_object_agg
    jsonb_object_keys jsonb_path_exists jsonb_path_query jsonb_path_query_array jsonb_path_query_first jsonb_populate_record
    jsonb_populate_recordset jsonb_pretty jsonb_set jsonb_strip_nulls jsonb_to_record jsonb_to_recordset jsonb_typeof
    justify_days justify_hours justify_interval lag last_value lcm lead least left length ln localtimestamp log lower lpad ltrim
    make_date make_interval make_time make_timestamp make_timestamptz max md5 min mod mode mxid_age netmask now nth_value ntile
    nullif num_nonnulls num_nulls obj_description octet_length oidvectortypes overlay percent_rank percentile_cont
    percentile_disc pg_age pg_backend_pid pg_blocking_pids pg_char_to_encoding pg_collation_is_visible pg_column_size
    pg_conf_load_time pg_control_checkpoint pg_control_init pg_control_recovery pg_control_system pg_current_snapshot
    pg_current_wal_flush_lsn pg_current_wal_insert_lsn pg_current_wal_lsn pg_database_size pg_describe_object
    pg_encoding_to_char pg_function_is_visible pg_get_constraintdef pg_get_expr pg_get_function_arguments
    pg_get_function_identity_arguments pg_get_function_result pg_get_functiondef pg_get_indexdef pg_get_keywords
    pg_get_partition_constraintdef pg_get_partkeydef pg_get_ruledef pg_get_serial_sequence pg_get_statisticsobjdef
    pg_get_triggerdef pg_get_userbyid pg_get_viewdef pg_has_role pg_identify_object pg_index_column_has_property
    pg_index_has_property pg_indexam_has_property pg_indexes_size pg_is_in_recovery pg_is_wal_replay_paused
    pg_last_committed_xact pg_last_wal_receive_lsn pg_last_wal_replay_lsn pg_last_xact_replay_timestamp pg_lock_status
    pg_my_temp_schema pg_opclass_is_visible pg_options_to_table pg_partition_ancestors pg_partition_root pg_partition_tree
    pg_postmaster_start_time pg_prepared_xact pg_relation_filenode pg_relation_filepath pg_relation_is_publishable
    pg_relation_size pg_safe_snapshot_blocking_pids pg_sequence_last_value pg_sequence_parameters pg_show_all_settings
    pg_size_bytes pg_size_pretty pg_snapshot_xip pg_snapshot_xmax pg_snapshot_xmin pg_stat_get_activity pg_stat_get_analyze_count
    pg_stat_get_archiver pg_stat_get_autoanalyze_count pg_stat_get_autovacuum_count pg_stat_get_backend_idset
    pg_stat_get_blocks_fetched pg_stat_get_blocks_hit pg_stat_get_db_numbackends pg_stat_get_dead_tuples
    pg_stat_get_ins_since_vacuum pg_stat_get_last_analyze_time pg_stat_get_last_autoanalyze_time
    pg_stat_get_last_autovacuum_time pg_stat_get_last_vacuum_time pg_stat_get_live_tuples pg_stat_get_mod_since_analyze
    pg_stat_get_numscans pg_stat_get_progress_info pg_stat_get_tuples_deleted pg_stat_get_tuples_fetched
    pg_stat_get_tuples_hot_updated pg_stat_get_tuples_inserted pg_stat_get_tuples_returned pg_stat_get_tuples_updated
    pg_stat_get_vacuum_count pg_stat_get_wal_receiver pg_stat_get_wal_senders pg_table_is_visible pg_table_size
    pg_tablespace_databases pg_tablespace_location pg_tablespace_size pg_timezone_abbrevs pg_timezone_names
    pg_total_relation_size pg_trigger_depth pg_type_is_visible pg_typeof pg_visible_in_snapshot pg_wal_lsn_diff
    pg_walfile_name pg_walfile_name_offset pg_xact_commit_timestamp pgstatindex pgstattuple pgstattuple_approx pi position power
    quote_ident quote_literal quote_nullable radians rank regexp_count regexp_instr regexp_like regexp_match regexp_matches
    regexp_replace regexp_split_to_array regexp_split_to_table regexp_substr regr_slope repeat replace reverse right round row
    row_number row_security_active row_to_json rpad rtrim scale sha224 sha256 sha384 sha512 shobj_description sign split_part sqrt
    starts_with statement_timestamp stddev stddev_pop stddev_samp string_agg string_to_array string_to_table strpos substr
    substring sum timeofday timezone to_ascii to_char to_date to_hex to_json to_jsonb to_number to_regclass to_regnamespace
    to_regoper to_regproc to_regprocedure to_regrole to_regtype to_timestamp transaction_timestamp translate trim trim_array
    trunc txid_current_if_assigned txid_current_snapshot txid_snapshot_xip txid_snapshot_xmax txid_snapshot_xmin
    txid_visible_in_snapshot unnest upper var_pop var_samp variance version width_bucket xmlagg xmlforest xpath_exists
    _pg_expandarray
    bt_index_check bt_index_parent_check gin_index_check verify_heapam
    gen_random_uuid pg_buffercache_pages pg_buffercache_summary pg_buffercache_usage_counts pg_freespace pg_stat_statements
    pg_stat_statements_info pg_visibility pg_visibility_map pg_visibility_map_summary random
"""
_MYSQL = """
    abs acos adddate addtime ascii asin atan avg bin bit_and bit_count bit_length bit_or bit_xor cast ceil ceiling char
    char_length character_length charset coalesce coercibility collation concat concat_ws connection_id conv convert convert_tz
    cos count crc32 cume_dist curdate current_date current_role current_time current_timestamp current_user curtime database
    date date_add date_format date_sub datediff day dayname dayofmonth dayofweek dayofyear degrees dense_rank elt exp export_set
    extract field find_in_set first_value floor format format_bytes format_pico_time from_days from_unixtime greatest
    group_concat hex hour if ifnull inet6_aton inet6_ntoa inet_aton inet_ntoa instr interval is_ipv4 is_ipv6 isnull
    json_array json_array_append json_arrayagg json_compact json_contains json_contains_path json_depth json_detailed json_exists
    json_extract json_insert json_keys json_length json_loose json_merge_patch json_merge_preserve json_object json_objectagg
    json_overlaps json_pretty json_query json_quote json_remove json_replace json_search json_set json_storage_size json_table
    json_type json_unquote json_valid json_value lag last_day last_value lcase lead least left length ln locate log log10 log2
    lower lpad ltrim make_set makedate maketime max md5 microsecond mid min minute mod month monthname now nth_value ntile nullif
    nvl nvl2 oct octet_length ord percent_rank period_add period_diff pi position pow power quarter quote radians rand rank
    regexp_instr regexp_like regexp_replace regexp_substr repeat replace reverse right round row_count row_number rpad rtrim
    schema sec_to_time second session_user sha sha1 sha2 sign sin soundex space sqrt std stddev stddev_pop stddev_samp str_to_date
    strcmp subdate substr substring substring_index subtime sum sysdate system_user tan time time_format time_to_sec timediff
    timestamp timestampadd timestampdiff to_base64 to_char to_days to_seconds trim truncate ucase unhex unix_timestamp upper user
    utc_date utc_time utc_timestamp uuid uuid_short var_pop var_samp variance version week weekday weekofyear weight_string year
    yearweek
"""
_SQLITE = """
    abs acos asin atan avg ceil ceiling changes char coalesce concat concat_ws cos count cume_dist current_date current_time
    current_timestamp date datetime dbstat degrees dense_rank exp first_value floor format generate_series glob group_concat hex
    ifnull iif instr json json_array json_array_length json_each json_error_position json_extract json_group_array
    json_group_object json_insert json_object json_patch json_pretty json_quote json_remove json_replace json_set json_tree
    json_type json_valid julianday lag last_insert_rowid last_value lead length like likelihood likely ln log log10 log2 lower
    ltrim max md5 min mod nth_value ntile nullif octet_length percent_rank pi pow power printf quote radians random randomblob
    rank
    real_text replace round row_number rtrim sign sin soundex sqlite_compileoption_get sqlite_compileoption_used sqlite_source_id
    sqlite_version sqrt strftime string_agg substr substring sum tan time timediff total total_changes trim trunc typeof unhex
    unicode unixepoch unlikely upper zeroblob
"""
FUNCTIONS = {
    "postgresql": frozenset(_POSTGRESQL.split()),
    "mysql": frozenset(_MYSQL.split()),
    "sqlite": frozenset(_SQLITE.split()),
}

#: Those that evaluate the expressions of an index, which may be user code: no site's tool calls them without approval.
OF_AN_INDEX = frozenset({"bt_index_check", "bt_index_parent_check", "gin_index_check"})

#: Functions in the schema sys of MySQL and MariaDB, called by its views; only an administrator can replace them.
SYS = frozenset(
    """
    extract_schema_from_file_name extract_table_from_file_name format_bytes format_path format_statement format_time
    list_add list_drop ps_thread_account ps_thread_id ps_thread_stack ps_thread_trx_info quote_identifier sys_get_config
    version_major version_minor version_patch
    """.split()
)

#: Keywords and names of types that may precede a parenthesis without being called.
WORDS = frozenset(
    """
    all and any array as asc between bigint binary bit blob bpchar by case cast char character columns cross cube date datetime
    decimal desc distinct double else end escape except exists filter float for from full glob group having ilike in index
    inner int integer intersect interval is isnull join lateral like limit materialized natural not notnull null numeric
    nvarchar of offset on or order ordinality outer over overlaps partition path real recursive regexp returning right rlike
    rollup row rows select separator sets signed similar some symmetric text then time timestamp timestamptz union unsigned
    using values varbinary varbit varchar varying when where window with within xor
    """.split()
)

#: The columns that PostgreSQL's listed functions return. Any other `s.name` on a function's result is a call.
COLUMNS = frozenset(
    """
    approx_free_percent approx_free_space approx_tuple_count approx_tuple_len approx_tuple_percent attnum avg_leaf_density bad
    blkno catalog_version_no data_page_checksum_version dead_tuple_count dead_tuple_len dead_tuple_percent deleted_pages detail
    empty_pages free_percent free_space grantee index_size internal_pages key leaf_fragmentation leaf_pages msg name offnum param1
    param2 param3 param4 param5 pg_control_last_modified pg_control_version pid privilege_type root_block_no scanned_percent
    severity
    system_identifier table_len tree_level tuple_count tuple_len tuple_percent value
    """.split()
)

#: PostgreSQL's own types that the parser takes for user-defined ones; a cast to a user-defined type may call user code.
TYPES = frozenset(
    """
    aclitem cidr cid circle box inet line lseg macaddr macaddr8 path pg_lsn pg_snapshot pg_node_tree polygon refcursor
    tid tsquery tsvector txid_snapshot varbit xid xid8 char oidvector int2vector
    """.split()
)

#: Shipped blocks that the parser rejects, or that lock, with the digest of all texts that each can be sent as. A person has
#: reviewed each. At most ten.
REVIEWED = {
    # CHECK TABLE
    "mysql/check_table_corruption.sql do": "c3b037270983fe86dc4033cf8a8ce774d3bd488c6fdfe5846ff4d57f5d03556b",
    # EXPLAIN
    "mysql/count_log_rows.sql estimated": "76124b71cdb61b235155b077ff89d3a1ae1952b1bcd8e6ad39a072454cdef845",
    # SET STATEMENT … FOR SELECT
    "mysql/mariadb/archive_old_records.sql do": "96fb426a0c1ec2fa163cdf9181cdae4f315583dd35320fa9e0a9871569683eac",
    # FOR UPDATE
    "mysql/mariadb/delete_archived_records.sql guard": "0fe7e77c456b81dab966e7dc523cb1a828ebbc2e614115d2a192b3a24d24e867",
    # a cast to oid[]
    "postgresql/analyze_database_health.sql collation_versions":
        "691f8ce9f4db396e344ae8191e588ce49e2e318196fa4eac3e83edfb5096f22a",
    # SHOW GRANTS
    "mysql/inspect_privileges.sql grants": "c0aeb949e194f3d7520a911da98c8f41260984b4386dc6ba53843842d0c3b3e4",
    # EXPLAIN
    "postgresql/count_log_rows.sql estimated": "97f2c9885c5338a698d13b3836526d2d084d9dec868a0a0d5cfe61778a89baef",
    # a cast to regtype[]
    "postgresql/inspect_archive_columns.sql columns": "511cdec0087bdc429a2727b80f477d83f5b652e73dac14e3d33cddca4279a3dc",
}  # fmt: skip
