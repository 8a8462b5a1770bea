-- Blocks that create and drop the database into which a backup is restored. Locales are pasted like names.

-- place_found: whether a database of this name exists, and whether this very step created it
SELECT EXISTS (SELECT FROM pg_database AS d WHERE d.datname = :place) AS found,
       EXISTS (SELECT FROM pg_db_role_setting AS x JOIN pg_database AS d ON d.oid = x.setdatabase
               WHERE d.datname = :place AND x.setrole = 0 AND :mark = ANY (x.setconfig)) AS ours

-- missing_roles: those of the named roles that do not exist
SELECT r.name AS name FROM jsonb_array_elements_text(CAST(:roles AS jsonb)) AS r(name)
WHERE NOT EXISTS (SELECT FROM pg_roles AS p WHERE p.rolname = r.name) ORDER BY r.name

-- create_plain: before version 15
CREATE DATABASE {scratch} TEMPLATE template0 ENCODING {encoding} LC_COLLATE {collation} LC_CTYPE {ctype}

-- create_libc: from version 15 on
CREATE DATABASE {scratch} TEMPLATE template0 ENCODING {encoding} LC_COLLATE {collation} LC_CTYPE {ctype} LOCALE_PROVIDER libc

-- create_icu: from version 15 on
CREATE DATABASE {scratch} TEMPLATE template0 ENCODING {encoding} LC_COLLATE {collation} LC_CTYPE {ctype} LOCALE_PROVIDER icu ICU_LOCALE {locale}

-- create_icu_rules: from version 16 on
CREATE DATABASE {scratch} TEMPLATE template0 ENCODING {encoding} LC_COLLATE {collation} LC_CTYPE {ctype} LOCALE_PROVIDER icu ICU_LOCALE {locale} ICU_RULES {rules}

-- create_builtin: from version 17 on
CREATE DATABASE {scratch} TEMPLATE template0 ENCODING {encoding} LC_COLLATE {collation} LC_CTYPE {ctype} LOCALE_PROVIDER builtin BUILTIN_LOCALE {locale}

-- without_public: drop the schema public, if the source has none
DROP SCHEMA public

-- chosen: a setting of the database, for this transaction
SELECT set_config(:setting, :value, true)

-- set_database: store the chosen setting for the database
ALTER DATABASE {scratch} SET {setting} FROM CURRENT

-- set_role: store the chosen setting for a role in the database
ALTER ROLE {role} IN DATABASE {scratch} SET {setting} FROM CURRENT

-- own: restore the owner
ALTER DATABASE {scratch} OWNER TO {owner}

-- endow: restore limit, comment and grants, which `chosen` has set: none of these statements accepts a bound value
DO $$
DECLARE
  itself jsonb := current_setting('aishell.itself');
  place text := current_setting('aishell.place');
  given jsonb;
BEGIN
  EXECUTE format('ALTER DATABASE %I CONNECTION LIMIT %s', place, CAST(itself ->> 'limit' AS integer));
  EXECUTE format('COMMENT ON DATABASE %I IS %L', place, itself ->> 'comment');
  IF jsonb_typeof(itself -> 'grants') = 'array' THEN
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC, %I', place,
                   (SELECT pg_get_userbyid(d.datdba) FROM pg_database AS d WHERE d.datname = place));
    FOR given IN SELECT * FROM jsonb_array_elements(itself -> 'grants') LOOP
      EXECUTE format('GRANT %s ON DATABASE %I TO %s%s',
                     (SELECT p FROM unnest(ARRAY['CONNECT', 'CREATE', 'TEMPORARY']) AS p WHERE p = given ->> 'privilege'), place,
                     CASE given ->> 'role' WHEN 'public' THEN 'PUBLIC' ELSE quote_ident(given ->> 'role') END,
                     CASE WHEN CAST(given ->> 'grantable' AS boolean) THEN ' WITH GRANT OPTION' ELSE '' END);
    END LOOP;
  END IF;
END $$

-- rename: give the complete database its name
ALTER DATABASE {scratch} RENAME TO {place}

-- oid: distinguishes a database from a later one of the same name
SELECT d.oid::text AS oid FROM pg_database AS d WHERE d.datname = :place

-- here: which database a session is in
SELECT current_database() AS database

-- nested_partitions: whether a partition has partitions of its own
SELECT EXISTS (SELECT FROM pg_class AS c WHERE c.relkind = 'p' AND c.relispartition) AS found

-- drop_plain: before version 13
DROP DATABASE IF EXISTS {scratch}

-- drop: a database created here, even with sessions connected
DROP DATABASE IF EXISTS {scratch} WITH (FORCE)
