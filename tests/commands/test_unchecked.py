"""The check for damage that the role may not make: told with the GRANT, in the preview and afterwards, and never a success."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.fix_aishell import bloated_on
from tests.fix_tools import POSTGRESQL, label

INDEXES, TABLES = "bt_index_check(regclass, boolean)", "verify_heapam(regclass, boolean, boolean, text, bigint, bigint)"
FULL = ("run", "maintenance", "--type", "full", "--set", "min_index_size=65536", "--environment", "test")


class Shop:
    """A database with work to do that belongs to the role `app`, which may not call amcheck."""

    def __init__(self, db: Any) -> None:
        self.db, self.url = db, db.make_role("app")
        for statement in (
            "GRANT pg_monitor TO app",
            "ALTER TABLE orders OWNER TO app",
            "ALTER TABLE customers OWNER TO app",
        ):
            db.execute(statement)


@pytest.fixture
def shop(bloated_pg):
    return Shop(bloated_pg.make())


def run(aishell: Any, url: str, *more: str) -> Any:
    return aishell(*FULL, "--url", url, "--yes", "--output", "json", *more)


def left_out(ended: Any) -> list[dict[str, Any]]:
    return list(ended.json["output_data"]["left_out"])


def needs_of(aishell: Any, ended: Any) -> list[dict[str, Any]]:
    """What the digest says of a run that a person is needed for, but for what the health check has found."""
    needs = aishell("digest", "--format", "json").json["needs"]
    return [need for need in needs if need["run_id"] == ended.run_id and need["kind"] != "finding"]


def ended_well(ended: Any) -> None:
    """A run with its check, which did all that it was for."""
    assert ended.json["status"] == "success"
    assert left_out(ended) == []
    assert ended.statuses()["corruption"] == "done"
    (checked,) = (one["output"] for one in ended.json["actions_taken"] if one["step_id"] == "corruption")
    assert {row["relation"] for row in checked["checked"]} >= {"orders", "orders_pkey", "customers"}
    assert [w for w in ended.json["output_data"]["warnings"] if "unchecked" in w] == []


@pytest.mark.parametrize("which", POSTGRESQL, ids=label)
def test_a_check_that_the_role_may_not_make_is_left_out_until_it_is_granted(aishell, request, which):
    with bloated_on(request, which) as made:
        shop = Shop(made.make())
        previewed = run(aishell, shop.url, "--dry-run").expect(0)
        ended = run(aishell, shop.url).expect(1)
        assert ended.json["status"] == "partial"
        assert left_out(previewed) == left_out(ended)
        (left,) = left_out(ended)
        assert (left["step"], left["tool"], left["privileges"]) == ("corruption", "check_table_corruption", ["EXECUTE"])
        assert left["grants"] == [f'GRANT EXECUTE ON FUNCTION public.{INDEXES}, public.{TABLES} TO "app";']
        # What does not need the check is done all the same, as where amcheck is not there, and the run says so.
        assert set(ended.statuses().values()) == {"done"}
        assert "corruption" not in ended.statuses()
        assert ended.json["output_data"]["indexes_rebuilt"] > 0
        for document in (previewed.json, ended.json):
            assert any("made unchecked" in warning for warning in document["output_data"]["warnings"])
        assert "any changes were made unchecked" in ended.json["reasoning"]
        report = next(a["output"]["report"] for a in ended.json["actions_taken"] if a["step_id"] == "report")
        assert "Any changes of this run were made unchecked." in report
        assert left["grants"][0] in report
        # Doctor names the very same statement, and the digest the run.
        found = aishell("doctor", "--url", shop.url, "--output", "json").json["findings"]
        assert [one["sql"] for one in found if one["subject"] == "amcheck"] == [left["grants"]]
        assert [need["kind"] for need in needs_of(aishell, ended)] == ["privileges"]
        for statement in left["grants"]:
            shop.db.execute(statement)
        ended_well(run(aishell, shop.url).expect(0))


@pytest.mark.parametrize(("granted", "missing"), [(INDEXES, TABLES), (TABLES, INDEXES)], ids=["indexes", "tables"])
def test_half_a_check_is_left_out_with_the_other_half(aishell, shop, granted, missing):
    shop.db.execute(f"GRANT EXECUTE ON FUNCTION {granted} TO app")
    (left,) = left_out(run(aishell, shop.url, "--dry-run").expect(0))
    assert left["grants"] == [f'GRANT EXECUTE ON FUNCTION public.{missing} TO "app";']
    shop.db.execute(left["grants"][0])
    assert left_out(run(aishell, shop.url, "--dry-run").expect(0)) == []


def test_a_schema_that_the_role_may_not_look_into_is_granted_too(aishell, shop):
    for statement in ("CREATE SCHEMA ext", "ALTER EXTENSION amcheck SET SCHEMA ext"):
        shop.db.execute(statement)
    (left,) = left_out(run(aishell, shop.url, "--dry-run").expect(0))
    assert left["privileges"] == ["USAGE", "EXECUTE"]
    for statement in left["grants"]:
        shop.db.execute(statement)
    ended_well(run(aishell, shop.url).expect(0))


def test_what_everybody_may_call_is_called(aishell, shop):
    shop.db.execute(f"GRANT EXECUTE ON FUNCTION {INDEXES}, {TABLES} TO PUBLIC")
    ended_well(run(aishell, shop.url).expect(0))


def test_a_superuser_checks(aishell, bloated_pg):
    ended_well(run(aishell, bloated_pg.make().url).expect(0))


def test_where_amcheck_is_not_installed_the_preview_says_that_nothing_is_checked(aishell, shop):
    shop.db.execute("DROP EXTENSION amcheck")
    ended = run(aishell, shop.url).expect(0)
    assert ended.json["status"] == "success", "no role lacks anything: it is for whoever installs extensions"
    assert any("amcheck is not installed" in warning for warning in ended.json["output_data"]["warnings"])
    assert "Nothing was checked for corruption: the amcheck extension is not installed." in ended.json["reasoning"]
    assert ended.json["output_data"]["indexes_rebuilt"] > 0


@pytest.mark.parametrize("functions", [(INDEXES, TABLES), (TABLES,)], ids=["all", "half"])
def test_a_right_that_is_gone_when_the_plan_is_run(aishell, shop, tmp_path, functions):
    """The plan was approved with a check before its changes: without that they are not made."""
    shop.db.execute(f"GRANT EXECUTE ON FUNCTION {INDEXES}, {TABLES} TO app")
    saved = tmp_path / "night.json"
    aishell("plan", *FULL[1:], "--url", shop.url, "--out", str(saved)).expect(0)
    for function in functions:
        shop.db.execute(f"REVOKE EXECUTE ON FUNCTION {function} FROM app")
    ended = aishell(
        "apply", str(saved), "--url", shop.url, "--environment", "test", "--yes", "--output", "json"
    ).expect(1)
    assert ended.json["status"] == "partial"
    assert ended.json["output_data"]["indexes_rebuilt"] == 0
    actions = {one["step_id"]: one for one in ended.json["actions_taken"]}
    check = actions.pop("corruption")
    assert (check["status"], check["cause"]) == ("failed", "privilege")
    named = ", ".join(f"public.{function}" for function in functions)
    assert "permission denied for function" in check["error"]
    assert f'an administrator can allow it: GRANT EXECUTE ON FUNCTION {named} TO "app";' in check["error"]
    changes = [
        one for name, one in actions.items() if name not in ("health", "report") and not name.startswith("measure")
    ]
    assert changes
    assert {one["reason"] for one in changes} == {"needs step 'corruption', which failed"}
    assert "GRANT EXECUTE" in ended.json["reasoning"]
    (need,) = needs_of(aishell, ended)
    assert need["kind"] == "privileges"
    assert "GRANT EXECUTE" in need["text"]
    # Nothing of the driver's own, whatever the server refused.
    assert "pipeline" not in ended.err
    assert "psycopg" not in json.dumps(ended.json) + ended.err
