"""`aishell doctor`: check the prerequisites of maintenance, with a remedy for each problem."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from aishell.cli.common import OUTPUT, URL, open_site, require_url
from aishell.cli.console import console, write_json
from aishell.cli.listing import entry
from aishell.cli.main import ShowsExamples
from aishell.cli.streams import say
from aishell.commands import command
from aishell.errors import AishellError, SettingsError, UsageError
from aishell.models import OK, PROBLEM, WARNING, Finding
from aishell.reporting.diagnosis import backup, failed, left
from aishell.reporting.units import printable

if TYPE_CHECKING:
    from aishell.execution.target_context import Job
    from aishell.settings.targets import Target
    from aishell.site import Site

_MARKS = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "problem": ("✗", "red")}


@click.command(
    cls=ShowsExamples,
    epilog="Examples:  aishell doctor   ·   aishell doctor --target shop   ·   aishell doctor --all --output json",
)
@click.option("--target", metavar="T", help="A target of config/targets.yaml (default: the default target).")
@click.option("--all", "every", is_flag=True, help="Every configured target, one after another.")
@URL
@OUTPUT
@click.pass_context
def doctor(ctx: click.Context, /, target: str | None, every: bool, url: str | None, output: str) -> None:
    """Check state store, configuration, tools, connection, version, privileges, extensions, client programs, disk, backups.

    Also the language model, if one is configured, and the residue of killed runs. Each finding comes with a remedy; for
    roles and grants, with SQL to copy. Nothing is changed. Exit 1 if there is a problem. Without --target, --url and --all,
    the default target is checked, and the backups of every target.
    """
    if (target is not None) + (url is not None) + every > 1:
        raise UsageError("--target, --url and --all exclude each other")
    if url is not None:
        require_url(url)
    site = open_site(ctx)
    findings = [*_site(site), *_models(site), *(_every(site) if every else _target(site, url or target))]
    problems, warnings = (sum(1 for f in findings if f.level == level) for level in ("problem", "warning"))
    if output == "json":
        write_json({"problems": problems, "warnings": warnings, "findings": findings})
    else:
        _print(findings)
    ctx.exit(1 if problems else 0)


def _site(site: Site) -> Iterator[Finding]:
    """Findings that concern no target."""
    for look in (_state, _hold, _config, _policy, _schedules, _workflows, _notifications, _hooks, _tools):
        try:
            yield look(site)
        except AishellError as error:
            yield failed(look.__name__.removeprefix("_"), error)


def _state(site: Site) -> Finding:
    path = site.state_path
    if not path.exists():
        above = next(folder for folder in path.absolute().parents if folder.exists())
        if not os.access(above, os.W_OK):
            remedy = "choose a writable place with --site, --state or AISHELL_SITE"
            return Finding(PROBLEM, "state", f"{path} does not exist and cannot be created", remedy)
        return Finding(OK, "state", f"{path} does not exist yet; the first run creates it")
    waiting = site.approvals.pending()
    text = f"{path}: {site.runs.count()} run(s), {len(waiting)} waiting for an approval"
    if path.stat().st_mode & 0o077:
        return Finding(
            WARNING, "state", f"{text}; others can read it", "chmod 600: it may hold sensitive names and figures"
        )
    return Finding(OK, "state", text)


def _hold(site: Site) -> Finding:
    holds = site.held()
    if not holds:
        return Finding(OK, "hold", "nothing is on hold")
    return Finding(WARNING, "hold", "; ".join(one.text for one in holds), " or ".join(one.way_out for one in holds))


def _config(site: Site) -> Finding:
    settings = site.settings
    folder = site.places.config
    if not folder.is_dir():
        remedy = f"make a site with `{command('init')}`"
        return Finding(WARNING, "config", f"{folder} does not exist: built-in defaults, no targets", remedy)
    default = f", default {settings.default_target}" if settings.default_target else ""
    return Finding(OK, "config", f"{folder}: {len(settings.targets)} target(s){default}, {settings.safety_level}")


def _policy(site: Site) -> Finding:
    from aishell.agents.configuration import configured
    from aishell.agents.loading import load_agent
    from aishell.safety import constraints

    folder = site.places.config / "agents"
    names = {path.stem for path in folder.glob("*.yaml")}
    for name in sorted(names):
        config = configured(site.places.config, load_agent(name))
        constraints.build((*site.policy.constraints, *config.constraints), site.known)
    mode = f"{len(site.policy.rules)} rule(s), {site.policy.mode}, --yes up to {site.policy.preapprove_max_risk} risk"
    return Finding(OK, "policy", f"{mode}; agents configured: {', '.join(sorted(names)) or 'none'}")


def _schedules(site: Site) -> Finding:
    names = ", ".join(site.schedules.by_name)
    return Finding(OK, "schedules", f"{names}; `{command('schedule', 'next')}` lists the times" if names else "none")


def _workflows(site: Site) -> Finding:
    names = ", ".join(site.workflow(name).name for name in sorted(site.workflow_files))
    return Finding(OK, "workflows", names)


def _notifications(site: Site) -> Finding:
    rules, services = len(site.notifications.rules), ", ".join(site.notifications.services)
    if not rules:
        return Finding(OK, "notifications", "none: no one is notified when a run fails")
    text = f"{rules} rule(s), services: {services or 'none'}"
    late = (
        [row for row in site.outbox.recent(limit=1000, waiting=True) if row.reason] if site.state_path.exists() else []
    )
    if late:
        why = f"{len(late)} could not be delivered yet; the latest: {late[0].service}: {late[0].reason}"
        return Finding(WARNING, "notifications", f"{text}; {why}", f"see `{command('notify', 'list', '--waiting')}`")
    return Finding(OK, "notifications", f"{text}; test them with `{command('notify', 'test')}`")


def _hooks(site: Site) -> Finding:
    from aishell.registry.hooks import Hooks

    hooks = Hooks.load(site.settings.hooks, site.trust, site.base)
    called = [f"{one.on}: {one.name} ({one.what})" for one in hooks.programs]
    objects = [f"around each step: {name}" for name in hooks.names]
    return Finding(OK, "hooks", "; ".join((*called, *objects)) or "none")


def _tools(site: Site) -> Finding:
    registry = site.registry()
    return Finding(OK, "tools", f"{len(registry.names)} tools in {len({tool.source for tool in registry})} files")


def _models(site: Site) -> Iterator[Finding]:
    """Findings on each configured language model."""
    from aishell.agents.configuration import configured
    from aishell.agents.loading import agent_types, load_agent
    from aishell.settings.language_models import ModelSettings

    try:
        models = [site.settings.llm] if site.settings.llm is not None else []
        agents = (configured(site.places.config, load_agent(name)) for name in sorted(agent_types()))
        models += [ModelSettings.of(agent.llm_config) for agent in agents if agent.llm_config is not None]
    except AishellError:
        return  # `_config` reports it
    if not models:
        yield Finding(OK, "ollama", "no language model is configured (llm in aishell.yaml); plans are made by rules")
        return
    from aishell.llm.examination import examine

    for model in dict.fromkeys(models):
        try:
            yield from examine(model)
        except AishellError as error:
            yield failed("ollama", error)


def _every(site: Site) -> Iterator[Finding]:
    """Findings on each configured target. Raises SettingsError if the configuration cannot be read."""
    seen: dict[str, str] = {}
    for name in site.target_names:
        yield from (replace(finding, target=name) for finding in _target(site, name, seen))


def _target(site: Site, wanted: str | None, seen: dict[str, str] | None = None) -> Iterator[Finding]:
    """Findings on the `wanted` target, else the default one. `seen`: identity of each checked database -> its target."""
    from aishell.services.doctor import examine, inspector

    target = _chosen(site, wanted)
    if target is None:
        yield Finding(
            WARNING,
            "target",
            "no database was checked",
            "give --target or --url, or set default_target in aishell.yaml",
        )
        yield from _backups(site, None, None)
        yield from _others(site, None)
        return
    alone = wanted is not None
    identity: str | None = None
    try:
        with site.look(target) as job:
            yield from examine(job, _programs(site))
            identity = (job.server.identity if job.server else None) or None
            if identity:
                yield from _agents(site, job)
            yield from _residue(site, target, job if identity else None)
        if target.inspection_url is not None:
            role = replace(target.without_password(), url=target.inspection_url)
            with site.look(role) as job:
                yield inspector(job)
    except AishellError as error:
        yield failed("connection", error)
    if identity and seen is not None and seen.setdefault(identity, target.name) != target.name:
        text = f"the target {seen[identity]} is the same database: work scheduled for both runs twice"
        yield Finding(WARNING, "same database", text, "remove one of the two from config/targets.yaml")
    yield from _backups(site, target, identity, alone=alone)
    if not alone:
        yield from _others(site, target)


def _agents(site: Site, job: Job) -> Iterator[Finding]:
    """Findings of each configured agent on a target that answers."""
    from aishell.agents.configuration import configured
    from aishell.agents.loading import agent_types, load_agent

    for name in sorted(agent_types()):
        try:
            agent = load_agent(name)
            around = site.surroundings(job.target, configured(site.places.config, agent))
            yield from agent.examine(around, lambda tool: [row for block in job.read(tool).values() for row in block])
        except AishellError as error:
            yield failed(name, error)


def _residue(site: Site, target: Target, job: Job | None) -> Iterator[Finding]:
    """The residue of killed runs on a target; only that in files without a `job`."""
    from aishell.backups.leftovers import leftovers
    from aishell.execution.residue import residue

    try:
        found = (
            residue(job, site.backup_store, site.archives)
            if job
            else leftovers(site.backup_store, site.archives, target.name)
        )
        yield from left(target.name, found, whole=job is not None)
    except AishellError as error:
        yield failed("residue", error)


def _others(site: Site, target: Target | None) -> Iterator[Finding]:
    """The residue of killed runs of the other targets, without contacting them."""
    try:
        targets = [site.settings.targets[name] for name in site.target_names]
        others = [one for one in targets if target is None or one.name != target.name]
    except AishellError:
        return  # `_config` reports it
    for one in others:
        yield from _residue(site, one, None)


def _programs(site: Site) -> Path | None:
    """The configured folder of client programs, if any."""
    try:
        return site.backup_store.programs
    except UsageError:
        return None  # `_config` reports it


def _backups(site: Site, target: Target | None, identity: str | None, *, alone: bool = False) -> Iterator[Finding]:
    """The last verified backup of the target, whose server has this `identity`, and of all others unless `alone`."""
    from datetime import UTC, datetime

    try:
        entries, configured = site.backup_store.entries(), site.target_names
    except AishellError as error:
        yield failed("backups", error)
        return
    now = datetime.now(UTC)
    if target is not None and not target.databases:
        mine = [entry for entry in entries if entry.target == target.name]
        yield backup(target.name, mine, now, identity=identity)
    for name in () if alone else configured:
        if target is None or name != target.name:
            yield backup(name, [entry for entry in entries if entry.target == name], now)


def _chosen(site: Site, wanted: str | None) -> Target | None:
    """The target to check; None if none is named, or if the configuration cannot be read.

    A URL is checked even then, although the target that it belongs to is unknown.
    """
    from aishell.databases.urls import read_url
    from aishell.settings.targets import PRODUCTION, Target

    try:
        if wanted is not None:
            return site.target(wanted)
    except SettingsError:
        if wanted is None or "://" not in wanted:
            raise
        return Target(str(read_url(wanted)), wanted, PRODUCTION)
    try:
        return site.target(None) if site.settings.default_target else None
    except UsageError:
        return None  # `_config` reports it


def _print(findings: Sequence[Finding]) -> None:
    out = console()
    subjects = [printable(finding.subject) for finding in findings]
    width = max(map(len, subjects)) + 2
    last: str | None = None
    for finding, subject in zip(findings, subjects, strict=True):
        if finding.target != last:
            last = finding.target
            say()
            say(printable(last) if last else "the site", style="bold")
        mark, style = _MARKS[finding.level]
        entry(out, f"{mark} {subject}", printable(finding.text), width + 2, style=style)
        if finding.remedy:
            words = "dim" if finding.level == OK else ""
            entry(out, "", f"→ {printable(finding.remedy)}", width + 2, words=words)
        for line in finding.sql:  # never wrapped: it is meant to be copied
            out.print(f"    {printable(line)}", style="dim" if line.startswith("--") else "cyan", soft_wrap=True)
