"""`aishell doctor`: what is wrong is a finding with a remedy, and nothing stops it from looking at the rest."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests import ollama_double as double
from tests.ollama_double import Model
from tests.servers import HOST, free_port, wait_until


def findings(ended, code):
    """Subject -> the finding; the last of several."""
    return {finding["subject"]: finding for finding in ended.expect(code).json["findings"]}


def doctor(aishell, *arguments, code=0):
    return findings(aishell("doctor", *arguments, "--output", "json"), code)


def test_a_good_sqlite_file(aishell, sqlite):
    found = doctor(aishell, "--url", sqlite.url)
    assert {
        found[name]["level"] for name in ("state", "config", "policy", "tools", "connection", "version", "disk")
    } == {"ok"}
    assert not aishell.state.exists(), "a check makes no state"


def test_every_finding_that_is_not_ok_has_a_remedy(aishell, pg_current):
    for finding in doctor(aishell, "--url", pg_current.url).values():
        assert finding["level"] == "ok" or finding["remedy"], finding


def test_the_default_target_is_looked_at_and_printed_for_people(aishell, sqlite):
    aishell.configure("targets.yaml", f"targets: {{shop: {{url: {sqlite.url!r}}}}}")
    aishell.configure("aishell.yaml", "default_target: shop")
    said = aishell("doctor").expect(0)
    assert "✓ connection" in said.out
    assert str(sqlite.path) in said.out


def test_who_names_a_target_is_told_of_that_one_alone(aishell, sqlite):
    aishell.configure("targets.yaml", f"targets: {{shop: {{url: {sqlite.url!r}}}, other: {{url: 'sqlite:////x.db'}}}}")
    aishell.configure("aishell.yaml", "default_target: shop")
    both = {"backup of shop", "backup of other"}
    assert both & doctor(aishell).keys() == both
    assert both & doctor(aishell, "--target", "shop").keys() == {"backup of shop"}
    assert both & doctor(aishell, "--target", "other", code=1).keys() == {"backup of other"}
    assert both & doctor(aishell, "--url", sqlite.url).keys() == {"backup of shop"}  # it is that target
    assert not both & doctor(aishell, "--url", f"sqlite:///{aishell.site / 'new.db'}", code=1).keys()


def test_all_targets_are_looked_at_and_two_names_of_one_database_are_told(aishell, sqlite, tmp_path):
    shutil.copy(sqlite.path, tmp_path / "other.db")
    urls = {"shop": sqlite.url, "other": f"sqlite:///{tmp_path / 'other.db'}", "again": sqlite.url}
    lines = "".join(f"  {name}: {{url: {url!r}}}\n" for name, url in urls.items())
    aishell.configure("targets.yaml", f"targets:\n{lines}")
    found = aishell("doctor", "--all", "--output", "json").expect(0).json["findings"]
    assert {one["target"] for one in found if one["subject"] == "connection"} == set(urls)
    (same,) = (one for one in found if one["subject"] == "same database")
    assert same["target"] == "again"
    assert "the target shop is the same database" in same["text"]
    assert "exclude each other" in aishell("doctor", "--all", "--target", "shop").expect(2).err
    aishell.configure("targets.yaml", f"targets:\n{lines}  gone: {{url: 'sqlite:////gone.db'}}\n")
    assert "\ngone\n✗ connection" in aishell("doctor", "--all").expect(1).out


def test_without_a_target_the_rest_is_still_checked(aishell):
    found = doctor(aishell)
    assert found["target"]["level"] == "warning"
    assert found["tools"]["level"] == "ok"


def test_a_broken_site_is_told_whole(aishell, sqlite):
    """Every broken part is a problem of its own, and the database is looked at all the same."""
    aishell.configure("aishell.yaml", "default_target: shop\njbos: 3\n")
    aishell.configure("policy.yaml", "mode: sometimes\n")
    (aishell.site / "tools" / "sqlite").mkdir(parents=True)
    (aishell.site / "tools" / "sqlite" / "x.sql").write_text("nothing")
    aishell.state.write_bytes(b"")
    found = doctor(aishell, "--url", sqlite.url, code=1)
    for name, words in (("config", "jobs"), ("policy", "aishell.yaml"), ("tools", "x.sql:1"), ("state", "is empty")):
        if name != "policy":
            assert words in f"{found[name]['text']} {found[name]['remedy']}", found[name]
        assert found[name]["level"] == "problem", name
    assert found["connection"]["level"] == "ok"


def test_an_agent_nobody_knows_is_a_problem(aishell):
    (aishell.config / "agents" / "mantenance.yaml").write_text("{}")
    assert "did you mean 'maintenance'" in doctor(aishell, code=1)["policy"]["remedy"]


def test_state_that_others_can_read(aishell, sqlite):
    aishell("run", "maintenance", "--type", "quick", "--url", sqlite.url, "--environment", "test").expect(0)
    assert "1 run(s)" in doctor(aishell)["state"]["text"]
    aishell.state.chmod(0o644)
    assert doctor(aishell)["state"]["level"] == "warning"


def test_a_file_that_cannot_be_written_is_for_inspection_only(aishell, sqlite):
    if os.geteuid() == 0:
        pytest.skip("root may write everything")
    sqlite.path.chmod(0o444)
    assert doctor(aishell, "--url", sqlite.url)["file"]["level"] == "warning"


def test_usage(aishell):
    aishell("doctor", "--url", "sqlite:///x.db", "--target", "y").expect(2)
    assert "not a URL" in aishell("doctor", "--url", "shop").expect(2).err
    aishell("doctor", "--target", "nobody").expect(2)


def test_what_does_not_answer_is_a_problem_without_its_password(aishell):
    said = aishell("doctor", "--url", "postgresql://app:s3cret@127.0.0.1:1/shop").expect(1)
    assert "s3cret" not in said.out + said.err
    assert "✗ connection" in said.out


def test_a_wrong_password_on_mariadb(aishell, mariadb):
    mariadb.make_user("app", "right")
    found = doctor(aishell, "--url", mariadb.url_as("app", "wr0ng"), code=1)
    assert "check user and password" in found["connection"]["remedy"]


def test_a_standby_is_for_inspection(aishell, pg_standby):
    found = doctor(aishell, "--url", pg_standby.url)
    assert "standby" in found["server"]["text"]


def test_a_read_only_mariadb_is_for_inspection(aishell, mariadb_server_factory):
    database = mariadb_server_factory({"read-only": "ON"}).create("shop")
    assert "read-only" in doctor(aishell, "--url", database.url)["server"]["text"]


def test_the_role_for_inspection_is_tried_too(aishell, pg_current):
    looker = pg_current.make_role("looker")
    for url, level in ((looker, "ok"), (looker.replace("secret", "wr0ng"), "problem")):
        aishell.configure("targets.yaml", f"targets: {{shop: {{url: {pg_current.url!r}, inspection_url: {url!r}}}}}")
        said = aishell("doctor", "--target", "shop", "--output", "json")
        assert "wr0ng" not in said.out + said.err
        assert findings(said, 0 if level == "ok" else 1)["inspector"]["level"] == level


def test_missing_extensions_come_with_their_statement(aishell, pg_current):
    pg_current.execute("DROP EXTENSION pgstattuple")
    pg_current.execute("DROP EXTENSION amcheck")
    found = doctor(aishell, "--url", pg_current.url)
    for name in ("pgstattuple", "amcheck"):
        assert found[name]["level"] == "warning"
        for statement in found[name]["sql"]:
            pg_current.execute(statement)
    assert doctor(aishell, "--url", pg_current.url)["amcheck"]["level"] == "ok"


def test_client_programs_are_looked_for(aishell, pg_current):
    """With an empty PATH there are none; one that is older than the server cannot dump it."""
    assert "pg_dump" in doctor_in(aishell, pg_current, "")["programs"]["text"]
    folder = aishell.home / "bin"
    folder.mkdir()
    for name in ("pg_dump", "pg_dumpall", "pg_restore", "pg_basebackup"):
        (folder / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) 11.2 (Debian 11.2-1)'\n")
        (folder / name).chmod(0o755)
    old = doctor_in(aishell, pg_current, str(folder))["programs"]
    assert "older than the server (postgresql 18): pg_dump 11.2, pg_dumpall 11.2" in old["text"]
    for name in ("pg_dump", "pg_dumpall", "pg_restore", "pg_basebackup"):
        (folder / name).write_text(f"#!/bin/sh\necho '{name} (PostgreSQL) 99.1'\n")
    assert doctor_in(aishell, pg_current, str(folder))["programs"]["level"] == "ok"
    aishell.configure("aishell.yaml", f"programs: {folder}")
    assert "pg_dump 99.1" in doctor_in(aishell, pg_current, "")["programs"]["text"], "where they are said to be"


def doctor_in(aishell, db, path):
    return findings(aishell("doctor", "--url", db.url, "--output", "json", PATH=path), 0)


def test_without_a_language_model_nobody_is_asked(aishell, sqlite, ollama):
    ended = aishell("doctor", "--url", sqlite.url, "--output", "json", OLLAMA_HOST=ollama.url)
    found = findings(ended, 0)["ollama"]
    assert (found["level"], "no language model is configured" in found["text"]) == ("ok", True)
    assert ollama.requests == []


def with_model(aishell, sqlite, ollama, more="", **environment):
    """The findings with a model that is configured; none of them is a problem."""
    aishell.configure("aishell.yaml", f"llm: {{model: 'small:1b', host: '{ollama.url}', timeout: 20{more}}}\n")
    return findings(aishell("doctor", "--url", sqlite.url, "--output", "json", **environment), 0)


def test_a_language_model_is_looked_at(aishell, sqlite, ollama):
    found = with_model(aishell, sqlite, ollama, ", max_tokens: 500")
    told = {name: found[name]["text"] for name in ("ollama", "model", "context", "structured output", "speed")}
    assert told == {
        "ollama": f"Ollama 0.12.6 at {ollama.url}",
        "model": "small:1b is there (1.2B, Q4_K_M)",
        "context": "small:1b holds 32,768 tokens, num_ctx is 8,192",
        "structured output": "small:1b answers in the form that is asked for",
        "speed": "50.0 tokens a second, 1.0 s to load",
    }
    assert {found[name]["level"] for name in told} == {"ok"}
    assert len(ollama.asked) == 1


@pytest.mark.parametrize("behaviour", [double.HANG, double.RESET, double.HTML, double.GARBAGE, double.page(502)])
def test_a_server_that_is_none_is_a_warning(aishell, sqlite, ollama, behaviour):
    ollama.at["/api/version"] = behaviour
    found = with_model(aishell, sqlite, ollama, ", connect_timeout: 0.5")
    assert found["ollama"]["level"] == "warning"
    assert "plans are made by rules" in found["ollama"]["text"]
    assert found["ollama"]["remedy"]
    assert "model" not in found


def test_a_server_that_is_not_there_is_a_warning_with_what_to_start(aishell, sqlite):
    aishell.configure("aishell.yaml", "llm: {model: small}\n")
    host = f"127.0.0.1:{free_port()}"
    found = findings(aishell("doctor", "--url", sqlite.url, "--output", "json", OLLAMA_HOST=host), 0)["ollama"]
    assert f"Ollama at http://{host} cannot be reached" in found["text"]
    assert "ollama serve" in found["remedy"]


def test_a_model_that_is_missing_is_named_with_its_pull(aishell, sqlite, ollama):
    ollama.models = [Model("other:latest")]
    found = with_model(aishell, sqlite, ollama)
    assert (found["model"]["level"], found["model"]["remedy"]) == ("warning", "run `ollama pull small:1b`")
    assert "structured output" not in found


def test_a_model_that_runs_elsewhere_is_a_warning(aishell, sqlite, ollama):
    ollama.models = [Model("big:120b-cloud")]
    aishell.configure("aishell.yaml", f"llm: {{model: 'big:120b-cloud', host: '{ollama.url}'}}\n")
    found = doctor(aishell, "--url", sqlite.url)["model"]
    assert (found["level"], "runs at ollama.com" in found["text"]) == ("warning", True)


def test_a_context_that_the_model_does_not_hold(aishell, sqlite, ollama):
    ollama.models = [Model(context_length=4096)]
    found = with_model(aishell, sqlite, ollama)["context"]
    assert found["level"] == "warning"
    assert "holds 4,096 tokens, less than num_ctx (8,192)" in found["text"]


@pytest.mark.parametrize("behaviour", [double.PROSE, double.WRONG_SCHEMA, double.BLANK, double.TRUNCATED])
def test_a_build_that_ignores_the_form_is_found_out(aishell, sqlite, ollama, behaviour):
    ollama.says(behaviour)
    found = with_model(aishell, sqlite, ollama)
    assert found["structured output"]["level"] == "warning"
    assert "another model" in found["structured output"]["remedy"]
    assert "speed" not in found


def test_an_answer_that_would_take_longer_than_its_timeout(aishell, sqlite, ollama):
    found = with_model(aishell, sqlite, ollama, ", max_tokens: 2000")["speed"]
    assert found["level"] == "warning"
    assert "an answer of 2,000 tokens takes 41 s, and timeout is 20 s" in found["text"]


def test_an_agents_model_is_looked_at_too_and_each_once(aishell, sqlite, ollama):
    of_agent = f"llm_config: {{model: 'big:70b', host: '{ollama.url}'}}"
    aishell.configure("agents/maintenance.yaml", f"maintenance_agent: {{{of_agent}}}\n")
    aishell.configure("agents/backup.yaml", f"backup_agent: {{{of_agent}}}\n")
    aishell.configure("aishell.yaml", f"llm: {{model: 'small:1b', host: '{ollama.url}'}}\n")
    ended = aishell("doctor", "--url", sqlite.url, "--output", "json").expect(0)
    told = [one["text"] for one in ended.json["findings"] if one["subject"] == "model"]
    assert len(told) == 2
    assert "does not have the model 'big:70b'" in told[1]


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


@pytest.fixture
def pgbouncer(pg_current):
    """A maker of poolers in front of `pg_current`: `pgbouncer("transaction", "options")` gives a URL."""
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if program is None:
        pytest.skip("pgbouncer is not installed")
    started = []

    def make(mode: str, ignored: str = "") -> str:
        port, folder = free_port(), Path(tempfile.mkdtemp(prefix="aishell-pgbouncer-"))
        folder.chmod(0o755)  # it refuses to run as root and reads this as somebody else
        file = folder / "pgbouncer.ini"
        file.write_text(
            f"[databases]\n{pg_current.dbname} = host={HOST} port={pg_current.server.port} user=postgres\n"
            f"[pgbouncer]\nlisten_addr = {HOST}\nlisten_port = {port}\nunix_socket_dir =\nauth_type = any\n"
            f"pool_mode = {mode}\nignore_startup_parameters = extra_float_digits{ignored and ', ' + ignored}\n"
        )
        as_user = {"user": 65534, "group": 65534} if os.geteuid() == 0 else {}
        started.append((subprocess.Popen([program, str(file)], stderr=subprocess.DEVNULL, **as_user), file))
        wait_until(lambda: listens(port), "pgbouncer listens")
        return f"postgresql://postgres@{HOST}:{port}/{pg_current.dbname}"

    yield make
    for process, file in started:
        process.terminate()
        process.wait()
        shutil.rmtree(file.parent)


@pytest.mark.parametrize(
    ("mode", "ignored", "words"),
    [
        ("transaction", "", "this is PgBouncer"),
        ("transaction", "options", "two sessions share one server process"),
        ("session", "options", "drops startup options"),
    ],
)
def test_a_pooler_is_told_from_a_server(aishell, pgbouncer, mode, ignored, words):
    found = doctor(aishell, "--url", pgbouncer(mode, ignored), code=1)
    assert words in found["pooler"]["text"]
    assert "URL" in found["pooler"]["remedy"]
