"""A tool as `aishell tools show` prints it: contract, parameters, results, and the SQL of its file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.text import Text

from aishell.cli.console import console
from aishell.cli.listing import entry, show_rows
from aishell.cli.streams import say
from aishell.cli.styled import Console
from aishell.registry.tool import STAGES, Tool
from aishell.reporting.units import duration, printable
from aishell.safety.gates import locks_told
from aishell.safety.locks import ROLES, lock_of, locks_of, wait_of

RISK_STYLES = {"safe": "green", "low": "green", "medium": "yellow", "high": "red", "critical": "bold red"}
#: Attributes that the JSON of a tool takes over unchanged.
_FIELDS = (
    "name", "engine", "source", "version", "category", "risk_level", "required_capabilities", "privileges",
    "requires_approval", "runs", "transaction", "max_execution_time", "idempotent", "rate_limit", "implementation",
    "parameters_schema", "returns_schema", "examples",
)  # fmt: skip
#: Facts that may differ between variants and are printed with each.
_VARYING = ("for", "risk", "needs", "lock", "limits", "runs", "undo")


def contract(tool: Tool) -> dict[str, Any]:
    """A tool as JSON."""
    lock, wait = lock_of(tool), wait_of(tool)
    return {
        **{name: getattr(tool, name) for name in _FIELDS},
        "servers": servers(tool),
        "description": tool.description.strip(),
        "lock": {"name": tool.lock, "blocks": lock.blocks, "timeout": wait.patience, "at_a_time": wait.seconds},
        "locks": [
            {"on": ROLES.get(role, "the table"), "name": one.name, "blocks": one.blocks}
            for role, one in locks_of(tool).items()
        ],
        "undo": tool.undo.how if tool.undo else None,
        "blocks": [{"name": b.name, "comment": b.comment, "sql": b.text} for b in tool.blocks.values()],
    }


def write_list(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print tools by name: one line each when piped; on a terminal, with the description below."""
    out = console()
    if not rows:
        out.print("no tool matches")
        return
    heads = [_head(row) for row in rows]
    widths = {name: max(len(head[name]) for head in heads) for name in heads[0]}
    for row, head in zip(rows, heads, strict=True):
        summary = printable(row["description"].partition(". ")[0].split("  ")[0].rstrip("."))
        sentence = f"{summary} (on {row['described']})" if row["described"] else summary
        cells = {name: f"{text:<{widths[name]}}" for name, text in head.items()}
        if not out.is_terminal:
            say(f"{'  '.join(cells.values())}  {sentence}")
            continue
        line = Text(cells["name"], style="bold")
        line.append(f"  {cells['risk']}", style=RISK_STYLES[row["risk_level"]])
        line.append(f"  {cells['category']}  {cells['engines'].rstrip()}", style="not bold")
        if len(line.plain) > out.width:
            line = Text(head["name"], style="bold")
            sentence = f"{head['risk']}, {head['category']}, {head['engines']}: {sentence}"
        out.print(line, soft_wrap=True)
        entry(out, "", sentence, 4, words="dim")


def _head(row: Mapping[str, Any]) -> dict[str, str]:
    engines = "every engine" if len(row["engines"]) == 3 else ", ".join(row["engines"])
    return {"name": row["name"], "risk": str(row["risk_level"]), "category": row["category"], "engines": engines}


def write(variants: Sequence[Tool]) -> None:
    """Print what the variants share once, then each with its SQL."""
    out, first = console(), variants[0]
    out.print(first.name, style="bold")
    _schema(out, "parameters", [_parameter(name, tool) for name, tool in _union(variants, "parameters")])
    _schema(out, "returns", [_field(name, tool) for name, tool in _union(variants, "returns")])
    for example in first.examples:
        out.print(f"example: {printable(example.get('params', example))}", style="dim")
    for tool in variants:
        out.print()
        out.rule(printable(tool.source), style="cyan", align="left")
        for paragraph in tool.description.strip().split("  "):
            out.print(printable(paragraph))
        for name, text in zip(_VARYING, _facts(tool), strict=True):
            out.print(f"{name + ':':<8} {printable(text)}", style="dim")
        _sql(out, tool)


def _sql(out: Console, tool: Tool) -> None:
    """Print the file below its header; blocks that change something are highlighted."""
    lines = tool.text.splitlines()
    end = next((n for n, line in enumerate(lines) if not line.startswith("--")), len(lines))
    style = ""
    for line in lines[end:]:
        comment = line.startswith("-- ")
        if comment and (name := line[3:].partition(":")[0]) in tool.blocks:
            style = "yellow" if not tool.read_only and name in (*STAGES, "cleanup") else "green"
        out.print(printable(line.expandtabs(4)), style="dim" if comment else style, soft_wrap=True)


def servers(tool: Tool) -> str:
    """The servers that a file is for, in the words of its header."""
    texts = []
    for clause in tool.clauses:
        bounds = " ".join(f"{operator} {'.'.join(map(str, version))}" for operator, version in clause.bounds)
        features = [f"with {f}" for f in sorted(clause.with_)] + [f"without {f}" for f in sorted(clause.without)]
        texts.append(", ".join(filter(None, (f"{clause.product} {bounds}".strip(), *features))))
    return "; ".join(texts) or "every engine"


def _facts(tool: Tool) -> Iterable[str]:
    wait = wait_of(tool)
    yield servers(tool)
    yield f"{tool.risk_level}, {tool.category}" + (", always needs approval" if tool.requires_approval else "")
    granted = f"; privileges: {', '.join(tool.privileges)}" if tool.privileges else ""
    yield ", ".join(sorted(tool.required_capabilities)) + granted
    yield "; ".join(locks_told(tool)) or "none"
    limit = (
        f"stopped after {duration(tool.max_execution_time)}" if tool.max_execution_time else "the agent's time limit"
    )
    rate = f", {tool.rate_limit} calls a minute" if tool.rate_limit else ""
    at_a_time = f", {duration(wait.seconds)} at a time" if wait.sliced else ""
    yield f"waits {duration(wait.patience)} for a lock{at_a_time}, {limit}{rate}"
    how = f"{tool.runs} ({tool.implementation})" if tool.implementation else tool.runs
    yield how + (", may be repeated after an interruption" if tool.idempotent else "")
    yield "nothing to undo" if tool.read_only else tool.undo_text


def _union(variants: Sequence[Tool], of: str) -> list[tuple[str, Tool]]:
    """Each name with the first variant that has it."""
    found: dict[str, Tool] = {}
    for tool in variants:
        for name in getattr(tool, of):
            found.setdefault(name, tool)
    return list(found.items())


def _parameter(name: str, tool: Tool) -> dict[str, Any]:
    parameter = tool.parameters[name]
    rules = [f"{key} {value}" for key, value in parameter.rules.items() if key != "description"]
    rules += ["editable"] if parameter.editable else []
    return {
        "name": name,
        "type": parameter.type,
        "default": "required" if parameter.required else "none" if parameter.default is None else parameter.default,
        "rules": ", ".join(rules),
        "description": parameter.rules.get("description"),
    }


def _field(name: str, tool: Tool) -> dict[str, Any]:
    schema = tool.returns[name].schema
    kind = schema.get("type", "any")
    aggregate = tool.returns[name]
    made = ", ".join(f"{block}.{column}" if column else block for block, column in aggregate.operands)
    return {
        "name": name,
        "type": kind if isinstance(kind, str) else " or ".join(kind),
        "from": f"{aggregate.function}({made})" if made else "",
        "description": schema.get("description"),
    }


def _schema(out: Console, title: str, rows: list[dict[str, Any]]) -> None:
    out.print()
    out.print(title, style="bold")
    if not rows:
        out.print("none", style="dim")
        return
    used = [name for name in rows[0] if any(row[name] not in (None, "") for row in rows)]
    show_rows([{name: row[name] for name in used} for row in rows], "table", empty="none")
