"""The roles `doctor` prints are enough: made with exactly its statements, they inspect and maintain, and warn of nothing."""

from __future__ import annotations

from typing import Any

import pytest

from tests.commands.test_doctor import doctor
from tests.fix_aishell import bloated_on
from tests.fix_tools import POSTGRESQL, label
from tests.servers import HOST

pytestmark = pytest.mark.versions

ABOUT_ROLES = ("privileges", "inspection", "maintenance", "pgstattuple", "amcheck")


@pytest.fixture(params=POSTGRESQL, ids=label)
def owned(request):
    """A database with work to do, whose tables belong to a role that is no superuser."""
    with bloated_on(request, request.param) as made:
        database = made.make()
        database.make_role("shop owner")
        for table in ("orders", "customers"):
            database.execute(f'ALTER TABLE {table} OWNER TO "shop owner"')
        yield database
    for role in ("aishell_inspect", "aishell_maintain"):
        made.db.execute(f"DROP ROLE IF EXISTS {role}")


def url_of(db: Any, role: str) -> str:
    db.execute(f"ALTER ROLE {role} PASSWORD 'secret'")
    return db.url_as(role, "secret")


def run(aishell, url, *more):
    small = ("--set", "min_index_size=65536", "--environment", "test", "--yes", "--output", "json")
    return aishell("run", "maintenance", "--type", "full", "--url", url, *small, *more)


def planned(document):
    """The steps of a plan and those that the role may not do, without the measurements that are made for these alone."""
    steps, left = document["plan"]["steps"], document["output_data"]["left_out"]
    return {step["id"] for step in steps if not step["id"].startswith("measure")} | {one["step"] for one in left}


def levels(found):
    return {name: found[name]["level"] for name in ABOUT_ROLES if name in found}


def test_postgresql_roles_are_enough(aishell, owned):
    printed = doctor(aishell, "--url", owned.url)["privileges"]
    assert printed["level"] == "warning"
    for statement in printed["sql"]:
        if not statement.startswith("--"):
            owned.execute(statement)
    inspect, maintain = (url_of(owned, role) for role in ("aishell_inspect", "aishell_maintain"))

    assert levels(doctor(aishell, "--url", inspect)) == {
        "inspection": "ok", "maintenance": "warning", "pgstattuple": "ok", "amcheck": "ok",
    }  # fmt: skip
    assert set(levels(doctor(aishell, "--url", maintain)).values()) == {"ok"}

    seen, same = (run(aishell, url, "--dry-run").expect(0).json for url in (owned.url, inspect))
    assert same["output_data"]["left_out"]
    assert planned(same) == planned(seen)
    assert [w for w in same["output_data"]["warnings"] if "permission" in w or "not be" in w] == []

    done = run(aishell, maintain).expect(0)
    assert set(done.statuses().values()) == {"done"}
    assert done.json["output_data"]["indexes_rebuilt"] > 0
    assert done.json["output_data"]["bytes_reclaimed"] > 0


def test_a_role_without_grants_gets_exactly_those_it_lacks(aishell, owned):
    app = owned.make_role("app")
    found = doctor(aishell, "--url", app)
    assert set(levels(found).values()) == {"warning"}
    for _ in range(3):  # a grant may bring the next lack to light
        for finding in found.values():
            for statement in finding["sql"]:
                owned.execute(statement)
        found = doctor(aishell, "--url", app)
    assert set(levels(found).values()) == {"ok"}
    assert set(run(aishell, app).expect(0).statuses().values()) == {"done"}


def test_what_may_not_be_checked_for_damage_is_told_with_the_grant_that_allows_it(aishell, owned):
    """The role of a newcomer: pg_monitor brings pgstattuple's functions and not amcheck's, which are in the same schema."""
    app = owned.make_role("app")
    owned.execute('GRANT pg_monitor, "shop owner" TO app')
    done = run(aishell, app).expect(1)
    (one,) = done.json["output_data"]["left_out"]
    assert (done.json["status"], one["step"], one["privileges"]) == ("partial", "corruption", ["EXECUTE"])
    assert "lacks EXECUTE on public.bt_index_check(regclass, boolean)" in one["reason"]
    assert "corruption" not in done.statuses()
    assert set(done.statuses().values()) == {"done"}
    assert done.json["output_data"]["indexes_rebuilt"] > 0
    assert any("nothing is checked for corruption" in warning for warning in done.json["output_data"]["warnings"])
    assert "Pipeline" not in done.err
    (grant,) = one["grants"]
    owned.execute(grant.replace(" TO app", " TO PUBLIC"))
    checked = run(aishell, app).expect(0).json["output_data"]
    assert (checked["left_out"], checked["corruption_found"]) == ([], False)
    owned.execute("DROP EXTENSION amcheck")
    assert "amcheck extension is not installed" in run(aishell, app).expect(0).json["reasoning"]


def test_before_version_17_tables_of_superusers_are_named(aishell, pg_distribution):
    if pg_distribution.server.major >= 17:
        pytest.skip("pg_maintain is enough")
    pg_distribution.execute("CREATE TABLE t (i int)")
    lines = doctor(aishell, "--url", pg_distribution.url)["privileges"]["sql"]
    assert any("1 table(s) belong to superusers" in line for line in lines)


#: A database of several owners, with what a dump or a check may be refused.
MIXED = """
CREATE TABLE mine (id int PRIMARY KEY); ALTER TABLE mine OWNER TO "ma int";
CREATE SCHEMA "o dd"; CREATE TABLE "o dd"."t:1" (id serial PRIMARY KEY); ALTER TABLE "o dd"."t:1" OWNER TO "shop owner";
CREATE TABLE "Parts" (id int) PARTITION BY RANGE (id); CREATE TABLE parts_1 PARTITION OF "Parts" FOR VALUES FROM (1) TO (9);
CREATE MATERIALIZED VIEW figures AS SELECT count(*) FROM mine;
ALTER TABLE mine ENABLE ROW LEVEL SECURITY; ALTER TABLE mine FORCE ROW LEVEL SECURITY;
SELECT lo_create(4711);
"""


@pytest.mark.parametrize("on", POSTGRESQL)
def test_what_is_printed_works_and_is_all(aishell, request, on):
    """Each statement, run by a superuser, succeeds, and then there is none to run."""
    db = request.getfixturevalue(on)
    maint = db.make_role("ma int").replace(" ", "%20")
    db.make_role("shop owner")
    db.execute(MIXED)
    found = doctor(aishell, "--url", maint)
    if db.server.major < 17:
        assert "public.figures of postgres" in found["maintenance"]["text"]
        assert "o dd.t:1 of shop owner" in found["maintenance"]["text"]
        assert not any('"ma int" TO "ma int"' in line for line in found["maintenance"]["sql"])
    run_all(db, found)
    assert {name: one for name, one in doctor(aishell, "--url", maint).items() if one["sql"]} == {}
    if on == "pg_distribution":  # the others' client programs are not here
        aishell("run", "backup", "--url", maint, "--environment", "test", "--yes").expect(0)


def run_all(db, found):
    printed = [line for one in found.values() for line in one["sql"]]
    assert printed
    for statement in printed:
        db.execute(statement.rstrip(";"))


@pytest.mark.parametrize("name", ["maint", "o'brien", "a\\b"])
@pytest.mark.parametrize(
    "grants", ["", "SELECT, SHOW VIEW, TRIGGER, EVENT", "SELECT, SHOW VIEW, TRIGGER, EVENT, EXECUTE"]
)
def test_what_is_printed_works_and_is_all_on_mariadb(aishell, mariadb, name, grants):
    """An account that sees no routines, or not what they do, is told before the first night is."""
    mariadb.execute("CREATE TABLE t (id int PRIMARY KEY)")
    mariadb.execute("CREATE PROCEDURE p() SELECT 1")
    maint = mariadb.make_user(name, grants=grants or "CREATE TEMPORARY TABLES")
    found = doctor(aishell, "--url", maint)
    assert "SELECT ON mysql.proc" in " ".join(found["full backup"]["sql"])
    refused = aishell("run", "backup", "--url", maint, "--environment", "test", "--yes", "--output", "json").expect(1)
    if grants:  # the very same is asked
        reason = found["full backup"]["text"].removesuffix(": a full backup fails")
        told = f"{reason}; an administrator can allow it: {found['full backup']['sql'][0]}"
        assert refused.json["error"]["message"] == told
    run_all(mariadb, found)
    assert {name: one for name, one in doctor(aishell, "--url", maint).items() if one["sql"]} == {}
    aishell("run", "backup", "--url", maint, "--environment", "test", "--yes").expect(0)


@pytest.fixture
def wiki(bloated_mariadb):
    """The same on MariaDB; the underscore in its name stands for any character in a GRANT."""
    database = bloated_mariadb.make()
    yield database
    for name in ("aishell_inspect", "aishell_maintain"):
        database.execute(f"DROP USER IF EXISTS {name}@'{HOST}'")


def test_mariadb_accounts_are_enough(aishell, wiki):
    printed = doctor(aishell, "--url", wiki.url)["privileges"]
    for statement in printed["sql"]:
        if not statement.startswith("--"):
            wiki.execute(statement.replace("choose one", "secret").rstrip(";"))
    inspect, maintain = (wiki.url_as(name, "secret") for name in ("aishell_inspect", "aishell_maintain"))
    assert levels(doctor(aishell, "--url", inspect)) == {"inspection": "ok", "maintenance": "warning"}
    assert levels(doctor(aishell, "--url", maintain)) == {"inspection": "ok", "maintenance": "ok"}

    seen, same = (run(aishell, url, "--dry-run").expect(0).json for url in (wiki.url, inspect))
    assert same["output_data"]["left_out"]
    assert planned(same) == planned(seen)
    done = run(aishell, maintain).expect(0)
    assert set(done.statuses().values()) == {"done"}
    assert done.json["output_data"]["bytes_reclaimed"] > 0


def test_a_mariadb_account_without_grants_gets_exactly_those_it_lacks(aishell, wiki):
    app = wiki.make_user("app", grants="SELECT")
    found = doctor(aishell, "--url", app)
    assert levels(found) == {"inspection": "warning", "maintenance": "warning"}
    for finding in found.values():
        for statement in finding["sql"]:
            wiki.execute(statement)
    assert set(levels(doctor(aishell, "--url", app)).values()) == {"ok"}
    assert set(run(aishell, app).expect(0).statuses().values()) == {"done"}


def test_a_mariadb_role_is_not_called_missing(aishell, wiki):
    app = wiki.make_user("app", grants="SELECT")
    wiki.execute("CREATE ROLE keepers")
    try:
        wiki.execute(f"GRANT INSERT, ALTER, CREATE ON `{wiki.dbname}`.* TO keepers")
        wiki.execute(f"GRANT keepers TO app@'{HOST}'")
        wiki.execute(f"SET DEFAULT ROLE keepers FOR app@'{HOST}'")
        found = doctor(aishell, "--url", app)
        assert found["maintenance"]["level"] == "ok"
        assert "keepers" in found["maintenance"]["text"]
    finally:
        wiki.execute("DROP ROLE keepers")


def test_a_grant_adds_to_the_pattern_that_is_in_force(aishell, wiki):
    """MariaDB takes the one entry that fits a database best, not the sum: an entry of its own would take SELECT away."""
    user = f"app@'{HOST}'"
    app = wiki.make_user("app", grants="SELECT, INSERT")  # on a name whose _ stands for anything
    escaped = str(wiki.dbname).replace("_", "\\_")
    for pattern, privileges in (("%", "ALTER, CREATE"), (escaped, "SELECT")):
        wiki.execute(f"GRANT {privileges} ON `{pattern}`.* TO {user}")
        finding = doctor(aishell, "--url", app)["maintenance"]
        lacking = {"%": "ALTER, CREATE", escaped: "INSERT, ALTER, CREATE"}[pattern]
        assert f"lacks {lacking} on" in finding["text"]
    for statement in finding["sql"]:
        wiki.execute(statement)
    assert doctor(aishell, "--url", app)["maintenance"]["level"] == "ok"
    statuses = run(aishell, app).expect(0).statuses()
    # What InnoDB's own statistics would tell, which this account may not read, is looked for and not found.
    assert statuses.pop("optimize_orders") == "skipped"
    assert set(statuses.values()) == {"done"}
