"""Every command that people are told to paste exists, and takes the options that are told, and no fewer.

The members are found in the source: each call of `command`, and each command in the help, in its examples and in SQL.
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import click
import pytest

from aishell import commands
from aishell.cli.main import cli

ROOT = Path(__file__).parents[3]
PACKAGE = ROOT / "aishell"
#: A command in a text, up to what ends it there.
_NAMES = "|".join(map(re.escape, cli.list_commands(click.Context(cli))))
TOLD = re.compile(rf"\baishell (?=(?:{_NAMES})\b)([^`\n·]+)")
#: What stands for a word that is only known at run time.
SOME = "1"


def parsed(words: list[str], *, whole: bool = True) -> None:
    """Read words as the command line does. Raises click.ClickException for what it would refuse.

    `whole`: it is to be pasted as it is; else it may name a group of commands, and lack what has to be given.
    """
    words = words[: words.index("<")] if "<" in words else words  # the shell's, not the command's
    context, at, rest = click.Context(cli, info_name="aishell"), cli, list(words)
    while rest and rest[0] in ("--site", "--state"):
        rest = rest[2:]
    while isinstance(at, click.Group) and rest and not (at.invoke_without_command and rest[0].startswith("-")):
        name = rest.pop(0)
        found = at.get_command(context, at.list_commands(context)[0] if name == SOME else name)
        if found is None:
            raise click.UsageError(f"no command {name!r}")
        at = found
        context = click.Context(at, parent=context, info_name=name)
    if isinstance(at, click.Group) and not at.invoke_without_command:
        if whole:
            raise click.UsageError(f"{context.command_path} is a group of commands")
        return
    try:
        at.make_context(str(context.info_name), rest, parent=context.parent).close()
    except click.exceptions.Exit:  # --help
        return
    except click.MissingParameter:
        if whole:
            raise
    except click.BadParameter as error:  # a file of an example need not be there
        if not isinstance(error.param and error.param.type, click.Path):
            raise


@cache
def trees() -> dict[str, ast.Module]:
    """The modules of the package."""
    return {
        path.relative_to(PACKAGE).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def _words(call: ast.Call) -> Iterator[str]:
    for word in call.args:
        match word:
            case ast.Constant(value=str(text)):
                yield text
            case ast.Starred(value=ast.Call(func=ast.Name(id="on"))):
                yield from ("--target", SOME)
            case ast.Starred():
                continue  # options that may be there; a test of its own shows them
            case _:
                yield SOME


def suggested() -> Iterator[tuple[str, list[str]]]:
    """Where a command is made, and its words."""
    for name, tree in trees().items():
        meant = {
            alias.name
            for n in ast.walk(tree)
            if isinstance(n, ast.ImportFrom) and n.module == "aishell.commands"
            for alias in n.names
        }
        for node in ast.walk(tree) if "command" in meant else ():
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "command":
                yield f"{name}:{node.lineno}", list(_words(node))


def texts() -> Iterator[tuple[str, ast.expr, str, bool]]:
    """Every string of the package that is no docstring; whether it is help, which is there before a command is called."""
    for name, tree in trees().items():
        calm: set[ast.expr] = set()  # docstrings
        static: set[ast.expr] = set()
        inner: set[ast.AST] = set()
        for node in ast.walk(tree):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                calm.add(node.value)
            if isinstance(node, ast.keyword) and node.arg in ("help", "epilog", "short_help"):
                static.update(n for n in ast.walk(node.value) if isinstance(n, ast.expr))
            if (
                isinstance(node, ast.AnnAssign)
                and getattr(node.target, "id", "") in ("help", "examples")
                and node.value
            ):
                static.update(n for n in ast.walk(node.value) if isinstance(n, ast.expr))
            if isinstance(node, ast.Dict):  # of an input: what its option's `--help` says
                keyed = zip(node.keys, node.values, strict=True)
                static.update(v for k, v in keyed if isinstance(k, ast.Constant) and k.value == "description")
            if isinstance(node, ast.JoinedStr):
                inner.update(node.values)
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and not {node} & (calm | inner):
                yield f"{name}:{node.lineno}", node, node.value, node in static
            if isinstance(node, ast.JoinedStr):
                text = "".join(p.value if isinstance(p, ast.Constant) else SOME for p in node.values)  # type: ignore[misc]
                yield f"{name}:{node.lineno}", node, text, node in static


SUGGESTED = dict(suggested())


def test_there_are_suggestions() -> None:
    assert len(SUGGESTED) > 30


@pytest.mark.parametrize("where", SUGGESTED)
def test_a_suggested_command_is_one(where: str) -> None:
    parsed(SUGGESTED[where])


#: Texts of files that `init` writes, the beginnings that `plan` makes its own examples of, and what `ask` says by `spelled`.
WRITTEN = {"cli/init.py", "cli/plan.py", "asking/understanding.py", "asking/words.py", "agents/residue.py"} | {
    f"agents/{agent}/words.py" for agent in ("backup", "log_cleanup", "maintenance")
}


def test_no_command_is_told_otherwise() -> None:
    """What is printed at run time is made by `command`, which knows the site: no text has one written into it."""
    found = [f"{where}: {text}" for where, _, text, static in texts() if not static and TOLD.search(text)]
    assert [one for one in found if one.partition(":")[0] not in WRITTEN] == []


HELP = [
    (where, told[1])
    for where, _, text, static in texts()
    if static and not text.startswith("Example")
    for told in TOLD.finditer(text)
]


@pytest.mark.parametrize(("where", "told"), HELP, ids=[where for where, _ in HELP])
def test_a_command_that_help_names_is_one(where: str, told: str) -> None:
    parsed(shlex.split(told), whole=False)


EXAMPLES = [
    (where, one.strip())
    for where, _, text, static in texts()
    if static and re.match(r"Examples?:", text)
    for one in text.partition(":")[2].split("·")
]


@pytest.mark.parametrize(("where", "example"), EXAMPLES, ids=[one for _, one in EXAMPLES])
def test_an_example_can_be_pasted(where: str, example: str) -> None:
    name, *words = shlex.split(example.split(" > ")[0])
    assert name == "aishell", where
    parsed(words)


SQL = [
    (path.relative_to(ROOT).as_posix(), told)
    for path in sorted((ROOT / "tools").rglob("*.sql"))
    for told in re.findall(r"`aishell ([^`]+)`", path.read_text(encoding="utf-8"))
]


@pytest.mark.parametrize(("where", "told"), SQL, ids=[f"{where}: {told}" for where, told in SQL])
def test_a_command_that_a_tool_names_is_one(where: str, told: str) -> None:
    parsed(shlex.split(told))


def test_what_was_given_before_the_command_stays_before_it() -> None:
    commands.before("--site", "/srv/the shop")
    try:
        assert commands.command("runs", "resume", "3f2a") == "aishell --site '/srv/the shop' runs resume 3f2a"
        told = "Run `aishell run maintenance --type quick`."
        expected = "Run `aishell --site '/srv/the shop' run maintenance --type quick --target shop`."
        assert commands.addressed(told, "shop") == expected
    finally:
        commands.before()
    assert commands.command("doctor", *commands.on("sqlite:///x.db")) == "aishell doctor --url sqlite:///x.db"
