"""`config/workflows/NAME.yaml` as values: stages over agents and targets, with their dependencies."""

from __future__ import annotations

import graphlib
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from aishell.agents.checking import check_task
from aishell.agents.loading import load_agent
from aishell.errors import PlanError, UnknownNameError, UsageError
from aishell.models import server_of
from aishell.planning import conditions
from aishell.planning.variables import Reference, references
from aishell.scheduling.times import seconds
from aishell.settings.files import checked, read
from aishell.settings.schemas import WORKFLOW
from aishell.settings.settings import Settings
from aishell.settings.validation import Known, wrong
from aishell.settings.yamlfile import Document

FOLDER = "workflows"
#: The fields of the target and of the agent's configuration that a stage can reference, beside outputs of earlier stages.
ROOTS: Mapping[str, tuple[str, ...]] = {
    "target": ("name", "engine", "environment", "labels"),
    "agent": ("retention", "create_backup", "exclude"),
}
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,99}")


def fields_of(root: str, agent: str) -> tuple[str, ...]:
    """The fields that the stages of an agent can reference below a root; for `agent`, its own settings too."""
    own = load_agent(agent).settings if root == "agent" else ()
    return tuple(dict.fromkeys((*ROOTS[root], *own)))


@dataclass(frozen=True)
class Stage:
    """One agent on targets. `needs`: the stages before it, including those whose output it references.

    `review`: a person sees its result before the stages that need it begin.
    `timeout`: seconds of one attempt. `limit`: of concurrent targets; None: that of the workflow.
    """

    name: str
    agent: str
    input: Mapping[str, Any] = field(default_factory=dict)
    output: str = ""
    targets: tuple[str, ...] = ()
    label: str | None = None
    needs: tuple[str, ...] = ()
    when: str | None = None
    limit: int | None = None
    timeout: int | None = None
    retries: int = 0
    on_failure: str = "stop"
    review: bool = False

    @property
    def inputs(self) -> Mapping[str, Any]:
        """The agent's inputs; `on_failure: rollback` becomes the steps' `on_error`."""
        return {**self.input, "on_error": "rollback"} if self.on_failure == "rollback" else self.input

    def among(self, names: Sequence[str], settings: Settings) -> list[str]:
        """The targets among `names` that it runs on."""
        if self.targets:
            return [name for name in names if name in self.targets or server_of(name) in self.targets]
        if self.label is None:
            return list(names)
        return [name for name in names if name in settings.targets and self.label in settings.targets[name].labels]

    def referred(self) -> Iterator[Reference]:
        """The references in its condition and its input."""
        yield from references(self.when or "")
        yield from references(self.input)


@dataclass(frozen=True)
class Workflow:
    """The stages in the order of the file. `data`: the contents of the file, stored with each run of the workflow."""

    name: str
    stages: tuple[Stage, ...]
    data: Mapping[str, Any]
    description: str = ""
    time_zone: str = "UTC"
    max_concurrent: int = 4
    max_concurrent_per_host: int = 2
    asked: Mapping[str, Any] | None = None  # of a request in plain language: who read it; no file has this

    @classmethod
    def of(cls, name: str, data: Mapping[str, Any]) -> Workflow:
        """A workflow from the checked contents of its file."""
        given = {key: value for key, value in data.items() if key != "stages" and value is not None}
        stages = tuple(_stage(str(key), one) for key, one in data["stages"].items())
        outputs = {stage.output: stage.name for stage in stages}
        waiting = tuple(_with_implied(stage, outputs) for stage in stages)
        return cls(name, waiting, data, **given)

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.time_zone)

    def stage(self, name: str) -> Stage:
        return next(stage for stage in self.stages if stage.name == name)

    def source(self, reference: Reference) -> Stage | None:
        """The stage whose output a reference is to; None for other roots."""
        return next((one for one in self.stages if reference.root == "stage" and one.output == reference.step), None)

    def placed(self, chosen: Sequence[str] | None, settings: Settings) -> list[tuple[str, str]]:
        """Pairs of a stage and a target on which it runs, in the order of the file.

        `chosen`: the targets that were named; without them a stage with targets of its own runs on those, and others on the
        site's default. Raises UsageError where there is none, and where a stage refers to the output of one that does not run
        on its target.
        """
        on = {stage.name: stage.among(self._open_to(stage, chosen, settings), settings) for stage in self.stages}
        for stage in self.stages:
            for source in filter(None, map(self.source, stage.referred())):
                for target in sorted(set(on[stage.name]) - set(on[source.name])):
                    raise UsageError(
                        f"the stage {stage.name!r} references the output of {source.name!r}, which does not run on {target}",
                        hint="give both the same targets",
                    )
        return [(name, target) for name, targets in on.items() for target in targets]

    def _open_to(self, stage: Stage, chosen: Sequence[str] | None, settings: Settings) -> Sequence[str]:
        """The targets from which a stage chooses its own."""
        if chosen is not None:
            return chosen
        if stage.targets or stage.label is not None:
            return list(dict.fromkeys((*settings.targets, *stage.targets)))
        if settings.default_target is not None:
            return [settings.default_target]
        message = f"no target is named for the stage {stage.name!r} of {self.name}"
        raise UsageError(message, hint="give --target, --all or --label")


def names(config: Path, shipped: Path) -> dict[str, Path]:
    """The files of all workflows by name; those of a config folder replace those that come with aishell."""
    found: dict[str, Path] = {}
    for folder in (shipped, config):
        found |= {path.stem: path for path in sorted((folder / FOLDER).glob("*.yaml"))}
    return found


def load_workflow(
    name: str, files: Mapping[str, Path], known: Known, agents: Callable[[], Collection[str]]
) -> Workflow:
    """A workflow by its name.

    `known`: the targets and labels that exist; `agents`: the types of agents. Raises UnknownNameError, and SettingsError with
    file and line for any mistake that would otherwise show only when it runs.
    """
    if name not in files:
        raise UnknownNameError("workflow", name, files, f"config/{FOLDER}")
    path = str(files[name])
    document = read(files[name], path) or Document(path, {})
    stages = checked(document, WORKFLOW, {**known, "stage": lambda: list(map(str, document.data["stages"]))})["stages"]
    if not stages:
        raise wrong(document, "stages", message="the workflow has no stages", hint="write one: backup: {agent: backup}")
    outputs = _outputs(document, stages)
    for key, one in stages.items():
        at = ("stages", key)
        _check_keys(document, at, one)
        check_task(document, at, one, agents, later=_refers)
        _check_references(document, at, one, outputs)
    workflow = Workflow.of(name, document.data)
    _check_order(document, workflow)
    return workflow


def _stage(name: str, data: Mapping[str, Any]) -> Stage:
    given: dict[str, Any] = {"output": name}
    given |= {key: tuple(one) if isinstance(one, list) else one for key, one in data.items() if one is not None}
    most, parallel, timeout = (given.pop(key, None) for key in ("max_concurrent", "parallel", "timeout"))
    given["agent"] = given["agent"].replace("-", "_")
    limit = 1 if parallel is False else most
    return Stage(name=name, limit=limit, timeout=None if timeout is None else seconds(timeout), **given)


def _with_implied(stage: Stage, outputs: Mapping[Any, str]) -> Stage:
    """A stage with the stages that it references added to its needs."""
    implied = (outputs[one.step] for one in stage.referred() if one.root == "stage" and one.step in outputs)
    return replace(stage, needs=tuple(dict.fromkeys((*stage.needs, *implied))))


def _outputs(document: Document, stages: Mapping[Any, Any]) -> set[str]:
    """The names of outputs. Raises SettingsError where two are alike."""
    found: set[str] = set()
    for key, one in stages.items():
        name = one.get("output") or str(key)
        if name in found:
            message = f"two stages give the output {name!r}"
            raise wrong(document, "stages", key, "output", message=message, hint="give each a name of its own")
        found.add(name)
    return found


def _check_keys(document: Document, at: tuple[object, ...], data: Mapping[str, Any]) -> None:
    """Raises SettingsError for an invalid name, and for keys that contradict each other."""
    if not _NAME.fullmatch(str(at[-1])):
        message, hint = f"invalid stage name {at[-1]!r}", "use letters, digits, `_` and `-`"
        raise wrong(document, *at, message=message, hint=hint)
    if data.get("targets") and data.get("label"):
        message = f"the stage {at[-1]!r} has both `targets` and `label`"
        raise wrong(document, *at, "label", message=message, hint="give one of them")
    if data.get("parallel") is False and (data.get("max_concurrent") or 1) > 1:
        message, hint = "`parallel: false` and `max_concurrent` contradict each other", "write one of them"
        raise wrong(document, *at, "max_concurrent", message=message, hint=hint)
    if data.get("on_failure") == "rollback" and data.get("retries"):
        message, hint = "`on_failure: rollback` and `retries` contradict each other", "write one of them"
        raise wrong(document, *at, "retries", message=message, hint=hint)
    if data.get("on_failure") == "rollback" and "on_error" in (data.get("input") or {}):
        message, hint = "`on_failure: rollback` already sets `on_error`", "remove `on_error`"
        raise wrong(document, *at, "input", "on_error", message=message, hint=hint)
    if data.get("timeout") is not None and not seconds(data["timeout"]):
        raise wrong(document, *at, "timeout", message="a timeout must not be 0 s", hint="write e.g. 2h")


def _check_references(document: Document, at: tuple[object, ...], data: Mapping[str, Any], outputs: set[str]) -> None:
    """Raises SettingsError for an invalid reference or condition, and for a reference to an unknown stage or field."""
    condition = data.get("when") or ""
    given: list[tuple[tuple[object, ...], Any]] = [(("when",), condition)]
    given += [(("input", key), value) for key, value in (data.get("input") or {}).items()]
    for place, value in given:
        try:
            for reference in references(value):
                _check_reference(reference, outputs, data["agent"])
            if place == ("when",) and condition:
                conditions.check(condition)
        except UsageError as error:
            hint = error.hint or "write e.g. ${stages.backup.output.backup_id}"
            raise wrong(document, *at, *place, message=error.message, hint=hint) from error


def _check_reference(reference: Reference, outputs: set[str], agent: str) -> None:
    where = f"${{{reference.text}}}"
    if reference.root == "stage":
        if reference.step not in outputs:
            raise UnknownNameError("stage", str(reference.step), outputs, where)
    elif reference.root not in ROOTS:
        raise PlanError(f"{where} is not a variable of a workflow", hint="write ${stages.<name>.output.<field>}")
    elif not reference.path or reference.path[0] not in (fields := fields_of(reference.root, agent)):
        known = [f"{reference.root}.{one}" for one in fields]
        raise UnknownNameError("variable", ".".join(map(str, (reference.root, *reference.path))), known, where)


def _refers(value: Any) -> bool:
    return any(True for _ in references(value))


def _check_order(document: Document, workflow: Workflow) -> None:
    """Raises SettingsError for a circle of needs, at its first stage in the file."""
    needs = {stage.name: stage.needs for stage in workflow.stages}
    try:
        graphlib.TopologicalSorter(needs).prepare()
    except graphlib.CycleError as error:
        circle = error.args[1]
        first = next(name for name in needs if name in circle)
        message = f"the stages wait for each other: {' → '.join(circle)}"
        raise wrong(document, "stages", first, "needs", message=message, hint="remove one of these needs") from error
