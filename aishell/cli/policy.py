"""`aishell policy`: explain the policy's decision on a tool and a target, rule by rule."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from aishell.cli.common import ENVIRONMENT, OUTPUT, SAFETY_LEVEL, URL, open_site
from aishell.cli.console import write_json
from aishell.cli.listing import show_rows, title
from aishell.cli.main import LazyGroup
from aishell.cli.tools import variants_of
from aishell.errors import UsageError
from aishell.models import Subject, Tally

if TYPE_CHECKING:
    from aishell.agents.base import Agent
    from aishell.models import Decision, Earning, Reason
    from aishell.registry.tool import Tool
    from aishell.settings.targets import Target
    from aishell.site import Site


@click.group(cls=LazyGroup)
def policy() -> None:
    """Explain what runs, what needs approval, and what is refused."""


@policy.command(
    epilog="Examples:  aishell policy test --tool rebuild_table --target shop   ·   "
    "aishell policy test --tool drop_old_partitions --target shop --safety-level strict --output json"
)
@click.option("--tool", "name", required=True, metavar="NAME", help="A tool of `aishell tools list`.")
@click.option("--target", metavar="T", help="A target of config/targets.yaml (default: the site's default target).")
@URL
@click.option(
    "--agent", metavar="NAME", help="Agent that would use it, e.g. log-cleanup (default: one that usually does)."
)
@ENVIRONMENT
@SAFETY_LEVEL
@OUTPUT
@click.pass_context
def test(
    ctx: click.Context,
    /,
    name: str,
    target: str | None,
    url: str | None,
    agent: str | None,
    environment: str | None,
    safety_level: str | None,
    output: str,
) -> None:
    """Print the decision on a tool, and each rule behind it. No database is contacted.

    Facts known only for a step (its tables, the hour, the disk) can make a decision stricter, never milder. The constraints
    of the policy and of the agent that check them are listed too.
    """
    from aishell.agents.loading import load_agent
    from aishell.databases.connections import parse_url
    from aishell.safety.policy import decide

    if target is not None and url is not None:
        raise UsageError("--target and --url exclude each other")
    site = open_site(ctx)
    chosen = site.target(url or target, environment=environment)
    variants = variants_of(site, name, parse_url(chosen.url, password="").engine)
    bound = load_agent(agent) if agent else _usual(variants[0].category)
    _, in_force, level = site.governing(bound, safety_level)
    judged = [
        (tool, *_judged(site, tool, chosen, tuple(decide(tool, chosen, site.policy, level)))) for tool in variants
    ]
    tool, decision, reasons, earned = max(judged, key=lambda one: one[1].rank)
    document = {
        "tool": tool.name,
        "source": tool.source,
        "risk_level": tool.risk_level,
        "agent": bound.type,
        "target": chosen.name,
        "environment": chosen.environment,
        "safety_level": level,
        "decision": decision,
        "reasons": reasons,
        **({"earned": earned} if earned is not None else {}),
        "constraints": [
            {"type": one.type, **{key: value for key, value in vars(one).items() if key != "where"}} for one in in_force
        ],
    }
    if output == "json":
        write_json(document)
        return
    _show(document, assumed=agent is None)


def _judged(
    site: Site, tool: Tool, target: Target, reasons: tuple[Reason, ...]
) -> tuple[Decision, tuple[Reason, ...], Earning | None]:
    """The decision and its reasons, with earned autonomy; the database's identity is not checked."""
    from aishell.safety import autonomy

    decision = max((reason.decision for reason in reasons), key=lambda one: one.rank)
    rule = autonomy.rule_for(site.policy, tool, target)
    if rule is None:
        return decision, reasons, None
    subject = Subject(tool.name, tool.version, target.name, "", target.environment)
    tally = site.autonomy.tally(subject) if site.state_path.exists() else Tally()
    earned = autonomy.earning(rule, tally, reasons, ())
    if earned is None:
        return decision, reasons, None
    reason = autonomy.told(earned, tally)
    if earned.events:
        reason = replace(reason, text=f"{reason.text}, if it is still the same database")
    return reason.decision, (*reasons, reason), earned


def _usual(category: str) -> Agent:
    """The agent that usually uses tools of a category."""
    from aishell.agents.loading import BUILT_IN, load_agent

    agents = map(load_agent, BUILT_IN)
    return next(agent for agent in agents if category in agent.categories)


def _show(document: dict[str, Any], *, assumed: bool) -> None:
    where = f"{document['environment']}, {document['safety_level']}"
    title(f"{document['decision']}: {document['tool']} ({document['risk_level']}) on {document['target']} ({where})")
    rows = [{"decision": one.decision, "rule": one.rule, "why": one.text} for one in document["reasons"]]
    show_rows(rows, "table", empty="")
    how = "assumed; --agent names another" if assumed else "as given"
    title(f"Constraints that can make it stricter for the agent {document['agent']} ({how}):")
    limits = [
        {
            "constraint": one["type"],
            "then": {"ask": "confirm", "block": "deny"}.get(one.get("on_violation", ""), ""),
            "as": ", ".join(f"{k}: {v}" for k, v in one.items() if k not in ("type", "on_violation") and v is not None),
        }
        for one in document["constraints"]
    ]
    once = [
        row for number, row in enumerate(limits) if row not in limits[:number]
    ]  # the agent may repeat a constraint of the policy
    show_rows(once, "table", empty="nothing")
