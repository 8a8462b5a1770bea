"""The registry: one file fits each server, two never do, and tools are found by what they may do."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aishell.errors import PlanError, ToolFileError, UnknownNameError, UsageError
from aishell.locations import built_in
from aishell.models import Risk
from aishell.registry import registry as of_registry
from aishell.registry.clauses import Clause
from aishell.registry.registry import Registry
from aishell.safety.locks import contradiction
from tests.unit.making import BLOCKS, ENGINES, make_server, make_tool, query_tool, tool_text


def variants(*clauses: str, dialect: str = "postgresql") -> Registry:
    return Registry([make_tool(dialect=dialect, engine=clause, prose=clause) for clause in clauses])


def picked(registry: Registry, version: tuple[int, ...], *features: str, product: str = "postgresql") -> str:
    engine = "mysql" if product == "mariadb" else product
    server = make_server(engine, product=product, version=version, features=frozenset(features))
    return registry.pick("touch", server).description


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ((12,), "postgresql >= 12 < 14"),
        ((13, 99), "postgresql >= 12 < 14"),
        ((14,), "postgresql >= 14 <= 16"),
        ((16, 4), "postgresql >= 14 <= 16"),
        ((17, 0), "postgresql > 16 < 17.2"),
        ((17, 2), "postgresql == 17.2"),
        ((17, 3), "postgresql > 17.2"),
        ((18,), "postgresql > 17.2"),
    ],
)
def test_the_variant_for_the_servers_version_is_picked(version, expected):
    registry = variants(
        "postgresql >= 12 < 14",
        "postgresql >= 14 <= 16",
        "postgresql > 16 < 17.2",
        "postgresql == 17.2",
        "postgresql > 17.2",
    )
    assert picked(registry, version) == expected


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ((), "postgresql without a"),
        (("b",), "postgresql without a"),
        (("a",), "postgresql with a without b"),
        (("a", "b"), "postgresql with a with b"),
    ],
)
def test_the_variant_for_the_servers_features_is_picked(features, expected):
    registry = variants("postgresql without a", "postgresql with a with b", "postgresql with a without b")
    assert picked(registry, (15,), *features) == expected


def test_products_of_one_engine_are_told_apart():
    registry = variants("mysql >= 8, mariadb >= 10.6 < 10.11", "mariadb >= 10.11", dialect="mysql")
    assert picked(registry, (8, 4), product="mysql").startswith("mysql >= 8")
    assert picked(registry, (10, 6), product="mariadb").startswith("mysql >= 8")
    assert picked(registry, (11, 4), product="mariadb") == "mariadb >= 10.11"


def test_no_variant_for_a_server_is_a_plan_error_that_names_the_clauses():
    with pytest.raises(PlanError) as caught:
        picked(variants("postgresql >= 14", "postgresql < 12"), (13, 2))
    assert "postgresql 13.2" in caught.value.message
    assert "postgresql >= 14" in (caught.value.hint or "")


def test_a_tool_of_another_engine_and_one_that_nobody_knows_are_told_apart():
    registry = variants("postgresql")
    with pytest.raises(PlanError) as caught:
        registry.pick("touch", make_server("sqlite"))
    assert "does not exist for sqlite" in caught.value.message
    with pytest.raises(UnknownNameError) as unknown:
        registry.pick("tuch", make_server("sqlite"))
    assert unknown.value.nearest == "touch"
    assert not registry.has("touch", make_server("sqlite"))
    assert registry.has("touch", make_server())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("postgresql >= 12", "postgresql >= 14"),
        ("postgresql >= 12", "postgresql < 12.1"),
        ("postgresql == 12", "postgresql > 12.3"),
        ("postgresql <= 12", "postgresql >= 12.5"),
        ("postgresql", "postgresql with a"),
        ("postgresql with a", "postgresql with b"),
        ("postgresql without a", "postgresql without b"),
        ("postgresql >= 12 with a", "postgresql >= 12 < 13 with a without b"),
    ],
)
def test_two_files_for_some_of_the_same_servers_are_refused(one, other):
    for pair in ((one, other), (other, one)):
        with pytest.raises(ToolFileError) as caught:
            variants(*pair)
        assert "for some of the same servers" in caught.value.message


BOUND = st.tuples(
    st.sampled_from([">=", ">", "<", "<=", "=="]),
    st.integers(0, 2).map(lambda n: (n,)) | st.tuples(st.integers(0, 2), st.integers(0, 2)),
)
CLAUSE = st.builds(
    Clause,
    st.sampled_from(["p", "q"]),
    st.lists(BOUND, max_size=2).map(tuple),
    st.frozensets(st.sampled_from("ab")),
    st.frozensets(st.sampled_from("ab")),
)
VERSIONS = [v for size in (1, 2, 3) for v in itertools.product(range(5), repeat=size)]
FEATURES = [frozenset(), frozenset("a"), frozenset("b"), frozenset("ab")]


@given(CLAUSE, CLAUSE)
def test_clauses_are_disjoint_when_no_server_fits_both(one, other):
    both = any(
        one.fits(product, version, features) and other.fits(product, version, features)
        for product in "pq"
        for version in VERSIONS
        for features in FEATURES
    )
    assert one.disjoint(other) == other.disjoint(one)
    if both:
        assert not one.disjoint(other)
    empty = (one.with_ & one.without) or (other.with_ & other.without)
    if not one.disjoint(other) and not empty:
        assert both


TOOLS = Registry(
    [
        query_tool(name="look"),
        make_tool(name="touch", risk="low"),
        make_tool(name="build", risk="high", capabilities="[database_read, index_manage]"),
        make_tool(name="build", dialect="postgresql", risk="high", capabilities="[index_manage]"),
        make_tool({"do": "DROP TABLE {table}", "verify": BLOCKS["verify"]}, name="drop", risk="critical"),
    ]
)


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({}, ["build", "build", "drop", "look", "touch"]),
        ({"category": "analysis"}, ["look"]),
        ({"max_risk": Risk.SAFE}, ["look"]),
        ({"max_risk": Risk.HIGH}, ["build", "build", "look", "touch"]),
        ({"capabilities": ["database_read"]}, ["drop", "look", "touch"]),
        ({"capabilities": []}, []),
        ({"engine": "postgresql"}, ["build"]),
        ({"engine": "sqlite", "max_risk": Risk.LOW, "capabilities": ["database_read"]}, ["look", "touch"]),
    ],
)
def test_tools_are_found_by_what_they_may_do(wanted, names):
    assert [tool.name for tool in TOOLS.find_tools(**wanted)] == names


def test_the_variants_of_a_name_are_all_its_files():
    assert [tool.engine for tool in TOOLS.variants("build")] == ["postgresql", "sqlite"]
    assert TOOLS.names == ["build", "drop", "look", "touch"]
    with pytest.raises(UnknownNameError):
        TOOLS.variants("biuld")


def folder(path, **files: str):
    for name, text in files.items():
        file = path / name.replace("__", "/").replace("_sql", ".sql")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return path


def test_folders_and_their_sub_folders_are_loaded(tmp_path):
    postgresql = tool_text(name="more", **ENGINES["postgresql"])
    folder(tmp_path, sqlite__touch_sql=tool_text(), postgresql__deep__more_sql=postgresql, _old__x_sql="broken")
    assert [tool.source for tool in Registry.load([tmp_path])] == [
        "tools/postgresql/deep/more.sql",
        "tools/sqlite/touch.sql",
    ]
    assert Registry.load([tmp_path], engine="sqlite").names == ["touch"]


def test_the_same_operation_in_two_folders_is_refused(tmp_path):
    one, two = (
        folder(tmp_path / "a", sqlite__touch_sql=tool_text()),
        folder(tmp_path / "b", sqlite__touch_sql=tool_text()),
    )
    with pytest.raises(ToolFileError):
        Registry.load([one, two])


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: path / "nowhere", "the tools folder"),
        (lambda path: folder(path, oracle__x_sql=tool_text()), "unknown engine 'oracle'"),
    ],
)
def test_a_folder_that_holds_no_tools_is_refused(tmp_path, make, said):
    with pytest.raises(UsageError) as caught:
        Registry.load([make(tmp_path)])
    assert said in caught.value.message


def test_a_file_that_is_no_utf8_is_refused(tmp_path):
    folder(tmp_path, sqlite__touch_sql="")
    (tmp_path / "sqlite" / "touch.sql").write_bytes(b"-- \xff")
    with pytest.raises(ToolFileError) as caught:
        Registry.load([tmp_path])
    assert caught.value.message.startswith("tools/sqlite/touch.sql:1: not UTF-8")


def test_what_the_lock_check_says_is_told_at_the_line_of_the_lock():
    tool = make_tool()
    with pytest.raises(ToolFileError) as caught:
        Registry([tool], lock_check=lambda checked: "too weak")
    assert caught.value.line == tool.text.splitlines().index("-- lock: RESERVED") + 1


def test_a_plans_own_texts_take_the_place_of_todays_files():
    old = tool_text(prose="As it was.")
    registry = TOOLS.with_texts({"tools/sqlite/touch.sql": old})
    server = make_server("sqlite", version=(3, 40))
    assert registry.pick("touch", server).description == "As it was."
    assert registry.pick("touch", server).version != TOOLS.pick("touch", server).version
    assert len(list(registry)) == len(list(TOOLS))


def test_a_tool_outside_the_folder_of_an_engine_is_refused_not_overlooked(tmp_path):
    (tmp_path / "touch.sql").write_text(tool_text())
    with pytest.raises(ToolFileError, match=r"tools/touch\.sql:1: .*folder of its engine.*sqlite"):
        Registry.load([tmp_path])


def test_what_came_with_aishell_is_read_once_and_a_sites_each_time(tmp_path):
    first, again = ({tool.source: tool for tool in Registry.load([built_in("tools")])} for _ in range(2))
    assert all(again[source] is tool for source, tool in first.items())
    (tmp_path / "sqlite").mkdir()
    path = tmp_path / "sqlite" / "checkpoint_wal.sql"
    text = (built_in("tools") / "sqlite" / "checkpoint_wal.sql").read_text()
    path.write_text(text)
    (before,) = Registry.load([tmp_path])
    path.write_text(text.replace("-- name: checkpoint_wal", "-- name: checkpoint_later"))
    path.rename(path.with_name("checkpoint_later.sql"))
    (after,) = Registry.load([tmp_path])
    assert (before.name, after.name) == ("checkpoint_wal", "checkpoint_later")


def test_of_what_came_with_aishell_no_file_is_read_but_those_of_the_name_that_is_asked_for():
    of_registry._shipped.cache_clear()
    registry = Registry.load([built_in("tools")], lock_check=contradiction, engine="sqlite")
    assert "optimize_table" in registry.names
    assert of_registry._shipped.cache_info().misses == 0
    assert registry.pick("optimize_table", make_server("sqlite")) is registry.pick(
        "optimize_table", make_server("sqlite")
    )
    assert "optimize_table" in registry.known(make_server("sqlite"))
    assert "optimise_table" not in registry.known(make_server("sqlite"))
    assert of_registry._shipped.cache_info().misses == 1


def test_whatever_came_with_aishell_stands_the_checks_that_loading_it_lazily_leaves_out():
    registry = Registry.load([built_in("tools")], lock_check=contradiction)
    assert list(registry.dangling(registry)) == []
    assert {tool.name for tool in registry} == set(registry.names)


def test_a_shipped_file_that_is_wrong_is_an_error_and_not_a_tool_that_does_not_exist(tmp_path, monkeypatch):
    monkeypatch.setattr(of_registry, "wall_of", lambda folder: None)
    (tmp_path / "sqlite").mkdir()
    (tmp_path / "sqlite" / "touch.sql").write_text("-- name: touch\n")
    registry = Registry.load([tmp_path])
    with pytest.raises(ToolFileError, match=r"touch\.sql"):
        registry.has("touch", make_server("sqlite"))


def test_a_site_s_tool_for_the_same_servers_as_a_shipped_one_is_refused_though_that_was_not_read(tmp_path):
    (tmp_path / "sqlite").mkdir()
    (tmp_path / "sqlite" / "checkpoint_wal.sql").write_text(
        (built_in("tools") / "sqlite" / "checkpoint_wal.sql").read_text()
    )
    with pytest.raises(ToolFileError, match=r"checkpoint_wal is also defined in tools/sqlite/checkpoint_wal\.sql"):
        Registry.load([built_in("tools"), tmp_path])
