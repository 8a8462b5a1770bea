"""`inspect_privileges`: what a role may do, as the server itself would decide it."""

from __future__ import annotations

from tests.servers import HOST


def privileges(engine):
    return engine.call("inspect_privileges").output


def test_a_superuser_may_do_everything(pg_engine):
    pg_engine.samples.table()
    found = privileges(pg_engine)
    assert found["role"]["superuser"]
    assert {"pg_monitor", "pg_read_all_stats"} <= set(found["role"]["held"])
    (owner,) = found["owners"]
    assert (owner["owner"], owner["superuser"]) == ("postgres", True)
    assert owner["tables"] == owner["readable"] == owner["maintainable"] == 1
    assert all(function["allowed"] for function in found["functions"])
    assert {e["name"]: e["installed_version"] is not None for e in found["extensions"]} == {
        "amcheck": True,
        "pgstattuple": True,
    }


def test_a_stranger_may_do_nothing_until_it_is_granted(pg_engine):
    pg_engine.samples.table()
    stranger = pg_engine.connected(pg_engine.db.make_role("stranger"))
    found = privileges(stranger)
    assert found["role"]["held"] == []
    (owner,) = found["owners"]
    assert (owner["tables"], owner["readable"], owner["maintainable"], owner["held"]) == (1, 0, 0, False)
    assert not any(function["allowed"] for function in found["functions"])

    pg_engine.samples.do("GRANT pg_monitor TO stranger", "GRANT SELECT ON plain TO stranger")
    found = privileges(stranger)
    assert {"pg_monitor", "pg_read_all_stats", "pg_stat_scan_tables"} <= set(found["role"]["held"])
    assert found["owners"][0]["readable"] == 1
    assert {f["extension"] for f in found["functions"] if f["allowed"]} == {"pgstattuple"}


def test_maintain_counts_from_version_17_on(pg_engine):
    pg_engine.samples.table()
    keeper = pg_engine.connected(pg_engine.db.make_role("keeper"))
    if pg_engine.database.version < (17,):
        pg_engine.samples.do("ALTER TABLE plain OWNER TO keeper")
    else:
        pg_engine.samples.do("GRANT MAINTAIN ON plain TO keeper")
    (owner,) = privileges(keeper)["owners"]
    assert owner["maintainable"] == 1
    pg_engine.samples.do("ALTER TABLE plain OWNER TO postgres")  # else the role cannot be dropped


def test_signatures_can_be_granted(pg_engine):
    pg_engine.db.make_role("stranger")
    for function in privileges(pg_engine)["functions"]:
        pg_engine.samples.do(f"GRANT EXECUTE ON FUNCTION {function['signature']} TO stranger")
        pg_engine.samples.do(f"REVOKE EXECUTE ON FUNCTION {function['signature']} FROM stranger")


def test_mariadb_tells_where_a_privilege_is_held(mariadb_engine):
    db = mariadb_engine.db
    mariadb_engine.samples.table()
    account = mariadb_engine.connected(db.make_user("odd@name", grants="SELECT, ALTER"))
    db.execute(f"GRANT PROCESS ON *.* TO `odd@name`@'{HOST}'")
    db.execute(f"GRANT INSERT ON `{db.dbname}`.plain TO `odd@name`@'{HOST}'")
    found = privileges(account)
    assert found["role"]["role_name"] == f"odd@name@{HOST}"
    assert found["role"]["active_role"] is None
    held = {(row["privilege"], row["place"], row["pattern"]) for row in found["privileges"]}
    assert held == {
        ("PROCESS", "server", None),
        ("SELECT", "database", db.dbname),
        ("ALTER", "database", db.dbname),
        ("INSERT", "tables", None),
    }


def test_mariadb_names_the_active_role(mariadb_engine):
    db = mariadb_engine.db
    account = mariadb_engine.connected(db.make_user("stranger", grants="SELECT"))
    db.execute("CREATE ROLE keepers")
    try:
        db.execute(f"GRANT keepers TO stranger@'{HOST}'")
        db.execute(f"SET DEFAULT ROLE keepers FOR stranger@'{HOST}'")
        assert privileges(account)["role"]["active_role"] == "keepers"
    finally:
        db.execute("DROP ROLE keepers")
