"""The order of a plan's steps: a DAG of their needs, for the standard library's topological sorter."""

from __future__ import annotations

import graphlib
from collections.abc import Sequence
from dataclasses import replace

from aishell.errors import PlanError, UnknownNameError
from aishell.models import Step
from aishell.planning.variables import OF_WORKFLOWS, Reference, references


class Graph:
    """Steps and their dependencies: the `needs` of each, and every step that it references."""

    def __init__(self, steps: Sequence[Step]) -> None:
        """Raise UnknownNameError for an unknown step, PlanError for a cycle or two steps of one name."""
        self.steps = steps
        self.by_id = {step.id: step for step in steps}
        if len(self.by_id) < len(steps):
            ids = [step.id for step in steps]
            raise PlanError(f"two steps are called {next(i for i in ids if ids.count(i) > 1)!r}")
        self.needs = {step.id: self._needs(step) for step in steps}
        self.sorter()

    def referenced(self, reference: Reference) -> Step | None:
        """Return the step that a reference names; None for other roots. Raises PlanError for a root that only workflows have."""
        if reference.root in OF_WORKFLOWS:
            raise PlanError(f"${{{reference.text}}} is for workflows", hint="write ${steps.<id>.output.<field>}")
        if reference.step is None:
            return None
        if isinstance(reference.step, int):
            if reference.step < len(self.steps):
                return self.steps[reference.step]
            known = [f"step_{number}" for number in range(len(self.steps))]
            raise UnknownNameError("step", f"step_{reference.step}", known, f"${{{reference.text}}}")
        if reference.step not in self.by_id:
            raise UnknownNameError("step", reference.step, self.by_id, f"${{{reference.text}}}")
        return self.by_id[reference.step]

    def sorter(self) -> graphlib.TopologicalSorter[str]:
        """Return a prepared sorter of step ids. Raises PlanError, naming the cycle, if there is one."""
        sorter = graphlib.TopologicalSorter(self.needs)
        try:
            sorter.prepare()
        except graphlib.CycleError as error:
            raise PlanError(f"the steps wait for each other: {' → '.join(error.args[1])}") from error
        return sorter

    def before(self, step: Step, other: Step) -> bool:
        """Return whether `step` needs `other`, directly or indirectly."""
        seen: set[str] = set()
        todo = [*self.needs[step.id]]
        while todo:
            current = todo.pop()
            if current == other.id:
                return True
            if current not in seen:
                seen.add(current)
                todo += self.needs[current]
        return False

    def _needs(self, step: Step) -> frozenset[str]:
        for need in step.needs:
            if need not in self.by_id:
                raise UnknownNameError("step", need, self.by_id, f"the needs of step {step.id!r}")
        found = (self.referenced(r) for r in (*references(dict(step.params)), *references(step.when or "")))
        return frozenset(step.needs) | {other.id for other in found if other is not None}


def appended(steps: Sequence[Step], added: Sequence[Step], needs: Sequence[str]) -> tuple[Step, ...]:
    """Return the steps of a plan with `added` after them. The last steps (the report) also need those of `needs`."""
    last = last_of(steps)
    return (*(replace(step, needs=(*step.needs, *needs)) if step.id in last else step for step in steps), *added)


def last_of(steps: Sequence[Step]) -> set[str]:
    """Return the ids of the steps that always run and that no other needs."""
    needed = frozenset[str]().union(*Graph(steps).needs.values())
    return {step.id for step in steps if step.always and step.id not in needed}
