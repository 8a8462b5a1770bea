"""There is one door for what is printed: no other module writes to a stream, and none lets a text hold mark-up."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "aishell"
DOOR = {"cli/streams.py", "cli/styled.py", "cli/console.py"}
#: One travels with each repository of backups, and uses nothing of aishell; the other gives a fork of tests its streams.
APART = {"backups/sqlite/without_aishell.py", "testing/forked.py"}
#: What else may be called on the streams: nothing that writes, but what a site's tool has printed, to a stream of the door's.
ASKED = {"isatty", "flush", "fileno", "encoding"}
PASSED_ON = {"running/python_process.py": {"write"}}
#: Of rich, what is laid out; the console that prints it is the door's.
LAID_OUT = {"rich.cells", "rich.table", "rich.text", "rich.padding", "rich.progress", "rich.markdown"}
PRINTS = {"print", "input", "breakpoint", "exec"}
CLICK = set("echo secho style prompt confirm pause progressbar echo_via_pager clear edit get_text_stream".split())
ANYWHERE = set(
    """from_markup from_ansi render_markup set_window_title print_exc print_exception print_tb print_stack print_last
    basicConfig StreamHandler dumpconfig print_json""".split()
)
STREAMS = {"stdout", "stderr", "__stdout__", "__stderr__"}


def doors(source: str, asked: set[str] = ASKED) -> Iterator[str]:
    """What of a module prints, or lets a text be obeyed: line and what it is."""
    tree = ast.parse(source)
    above = {child: parent for parent in ast.walk(tree) for child in ast.iter_child_nodes(parent)}
    for node in ast.walk(tree):
        found = None
        match node:
            case ast.Call(func=ast.Name(id=name)) if name in PRINTS:
                found = name
            case ast.Attribute(value=ast.Name(id="click"), attr=name) if name in CLICK:
                found = f"click.{name}"
            case ast.Attribute(value=ast.Name(id="sys"), attr=name) if name in STREAMS:
                used = above[node]
                found = None if isinstance(used, ast.Attribute) and used.attr in asked else f"sys.{name}"
            case ast.Attribute(attr=name) | ast.Name(id=name) if name in ANYWHERE:
                found = name
            case ast.ImportFrom(module="click", names=names) if {alias.name for alias in names} & CLICK:
                found = "from click"
            case ast.ImportFrom(module="sys", names=names) if {alias.name for alias in names} & STREAMS:
                found = "from sys"
            case ast.ImportFrom(module=str(name)) if name.split(".")[0] == "rich" and name not in LAID_OUT:
                found = f"from {name}"
            case ast.Import(names=names) if any(alias.name.split(".")[0] == "rich" for alias in names):
                found = "import rich"
            case ast.keyword(arg="markup" | "emoji" | "link" as name, value=value) if not _is(value, False):
                found = f"{name}="
            case ast.Call(func=ast.Name(id="TextColumn"), keywords=words) if "markup" not in {w.arg for w in words}:
                found = "TextColumn reads mark-up"
            case ast.Call(func=ast.Attribute(value=ast.Name(id="os"), attr="write"), args=[number, *_]) if _is(
                number, 1
            ) or _is(number, 2):
                found = "os.write"
            case ast.Call(func=ast.Attribute(value=ast.Name(id="subprocess"), attr=name), keywords=words):
                kept = {word.arg for word in words}
                found = None if "capture_output" in kept or {"stdout", "stderr"} <= kept else f"subprocess.{name}"
        if found:
            yield f"{node.lineno}: {found}"


def _is(node: ast.expr, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def test_no_other_module_prints() -> None:
    found = {}
    for path in PACKAGE.rglob("*.py"):
        name = path.relative_to(PACKAGE).as_posix()
        if name not in DOOR | APART:
            found[name] = list(doors(path.read_text(encoding="utf-8"), ASKED | PASSED_ON.get(name, set())))
    assert {name: lines for name, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "line",
    [
        "print(name)",
        "click.echo(name)",
        "click.secho(name, fg='red')",
        "from click import echo",
        "sys.stdout.write(name)",
        "sys.stderr.buffer.write(name)",
        "write = sys.stderr.write",
        "print_to(sys.stdout)",
        "from sys import stderr",
        "sys.__stdout__.write(name)",
        "os.write(2, name)",
        "from rich.console import Console",
        "from rich import print",
        "import rich",
        "from rich.panel import Panel",
        "out.print(name, markup=True)",
        "out.print(name, emoji=found)",
        "Text.from_markup(name)",
        "TextColumn('{task.description}')",
        "traceback.print_exc()",
        "logging.basicConfig()",
        "subprocess.run(words, check=True)",
        "subprocess.Popen(words, stdout=subprocess.PIPE)",
    ],
)
def test_every_other_door_is_seen(line: str) -> None:
    assert list(doors(f"def f():\n    {line}\n"))


def test_the_door_is_where_it_is_looked_for() -> None:
    assert all(list(doors((PACKAGE / name).read_text(encoding="utf-8"))) for name in DOOR)
    assert {path for path in DOOR | APART | set(PASSED_ON) if not (PACKAGE / path).is_file()} == set()
