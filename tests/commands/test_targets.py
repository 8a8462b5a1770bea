"""`aishell targets`: what is configured, and whether it answers; passwords are never shown."""

from __future__ import annotations

import pytest

from tests.fix_tools import ENGINES, label
from tests.servers import HOST


@pytest.fixture(params=ENGINES, ids=label)
def db(request):
    return request.getfixturevalue(request.param)


def configure(aishell, **targets):
    lines = ["targets:", *(f"  {name}: {{url: {url!r}, environment: test}}" for name, url in targets.items())]
    aishell.configure("targets.yaml", "\n".join(lines))


def test_list_masks_passwords_and_marks_the_default(aishell):
    configure(aishell, shop="postgresql://app:s3cret@db1.example/shop", wiki="mysql://wiki@db2.example/wiki")
    aishell.configure("aishell.yaml", "default_target: wiki\n")
    for output in ("table", "json"):
        said = aishell("targets", "list", "--output", output).expect(0)
        assert "s3cret" not in said.out + said.err
        assert "postgresql://app:***@db1.example/shop" in said.out
    rows = {row["name"]: row for row in said.json}
    assert rows["wiki"]["default"]
    assert not rows["shop"]["default"]
    assert rows["shop"]["environment"] == "test"


def test_a_site_without_targets_says_so(aishell):
    assert "no targets" in aishell("targets", "list").expect(0).out
    assert "has no targets" in aishell("targets", "test").expect(2).err


def test_all_targets_of_a_site_without_any_is_nothing_to_do(aishell):
    for command in (("run", "maintenance"), ("plan", "maintenance"), ("run", "log-cleanup", "--discover")):
        aishell(*command, "--all").expect(0)


def test_a_target_that_answers(aishell, db):
    configure(aishell, here=db.url)
    (row,) = aishell("targets", "test", "--output", "json").expect(0).json
    assert row["error"] is None
    assert row["mode"] == "read-write"
    assert row["connect_ms"] > 0
    assert row["statement_ms"] >= 0
    engine = {"postgresql": "postgresql", "mysql": "mariadb", "sqlite": "sqlite"}[db.url.partition(":")[0]]
    assert row["server"].startswith(f"{engine} ")
    assert row["database"] == getattr(db, "dbname", None) or row["database"] == str(getattr(db, "path", None))


def test_one_that_does_not_answer_is_exit_2_and_the_others_are_tested(aishell, sqlite):
    configure(aishell, down="postgresql://app:s3cret@127.0.0.1:1/shop", here=sqlite.url, gone="sqlite:///gone.db")
    said = aishell("targets", "test").expect(2)
    assert "s3cret" not in said.out + said.err
    assert "down: postgresql://app:***@127.0.0.1:1/shop: connection failed" in said.out
    assert "there is no SQLite database" in said.out
    rows = {row["target"]: row for row in aishell("targets", "test", "--output", "json").expect(2).json}
    assert rows["down"]["mode"] == "unreachable"
    assert rows["down"]["hint"]
    assert rows["here"]["error"] is None
    aishell("targets", "test", "here").expect(0)


def test_a_wrong_password_is_not_shown(aishell, pg_current):
    pg_current.make_role("app", "right")
    configure(aishell, shop=pg_current.url_as("app", "wr0ng"))
    said = aishell("targets", "test").expect(2)
    assert "wr0ng" not in said.out + said.err
    assert "check user and password" in said.out


def test_a_password_that_is_not_set(aishell, sqlite):
    aishell.configure(
        "targets.yaml", "targets: {shop: {url: 'postgresql://a@127.0.0.1:1/x', password_env: NOT_SET_HERE}}"
    )
    assert "NOT_SET_HERE is not set" in aishell("targets", "test").expect(2).out


def test_a_standby_is_told(aishell, pg_standby):
    configure(aishell, replica=pg_standby.url)
    (row,) = aishell("targets", "test", "--output", "json").expect(0).json
    assert row["mode"] == "standby"


def test_an_unknown_name_is_answered_with_the_nearest(aishell, sqlite):
    configure(aishell, shop=sqlite.url)
    assert "did you mean 'shop'" in aishell("targets", "test", "shopp").expect(2).err


@pytest.mark.parametrize("way", ["port", "address", "all", "service", "socket", "no database"])
def test_a_url_that_its_surroundings_lead_to_a_target_is_that_target(aishell, pg_current, mariadb, way, tmp_path):
    """What libpq takes from the environment and a service file counts as if it stood in the URL, and so does a socket."""
    database = mariadb if way in ("socket", "no database") else pg_current
    port, name, host = str(database.server.port), database.dbname, HOST
    services = tmp_path / "services"
    services.write_text(f"[prod]\nhost={host}\nport={port}\ndbname={name}\nuser=postgres\n", encoding="utf-8")
    url, environment = {
        "port": (f"postgresql://postgres@{host}/{name}", {"PGPORT": port}),
        "address": (f"postgresql://postgres@nowhere.invalid:{port}/{name}", {"PGHOSTADDR": host}),
        "all": ("postgresql://", {"PGHOST": host, "PGPORT": port, "PGDATABASE": name, "PGUSER": "postgres"}),
        "service": ("postgresql:///?service=prod", {"PGSERVICEFILE": str(services)}),
        "socket": (f"mysql://root@localhost/{name}?unix_socket={mariadb.server.socket}", {}),
        "no database": (f"mysql://root@{host}:{port}", {}),
    }[way]
    aishell.configure("targets.yaml", f"targets: {{prod: {{url: {database.url!r}}}}}")
    run = ("run", "maintenance", "--url", url, "--environment", "local", "--dry-run", "--output", "json")
    refused = aishell(*run, **environment).expect(2)
    assert refused.json["error"]["message"] == "the target prod is production, not local"


@pytest.mark.parametrize("way", ["as it is", "another way"])
def test_a_url_of_a_configured_target_is_that_target(aishell, db, way, tmp_path):
    """With its environment and labels, and the rules for it: never looser."""
    url = db.url
    if way == "another way":
        if url.startswith("sqlite"):
            (tmp_path / "link.db").symlink_to(db.path)
            url = f"sqlite:///{tmp_path}/link.db"
        else:
            url = url.replace("127.0.0.1", "localhost") if "127.0.0.1" in url else url.replace("localhost", "127.0.0.1")
    aishell.configure("targets.yaml", f"targets: {{prod: {{url: {db.url!r}, labels: [billing]}}}}")
    aishell.configure("policy.yaml", "rules: [{name: never, label: billing, decision: deny}]\n")
    run = ("run", "maintenance", "--url", url, "--type", "full", "--set", "min_index_size=65536", "--output", "json")
    refused = aishell(*run, "--environment", "local", "--yes").expect(2)
    assert refused.json["error"]["message"] == "the target prod is production, not local"
    planned = aishell(*run, "--dry-run").expect(0).json
    assert planned["target"] == "prod"
    verdicts = [step["verdict"] for step in planned["plan"]["steps"] if step["verdict"]]
    assert verdicts
    assert {one["decision"] for one in verdicts} == {"deny"}
