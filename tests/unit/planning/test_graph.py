"""The order of steps: needs, implied needs, cycles, unknown names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aishell.errors import PlanError, UnknownNameError
from aishell.models import Step
from aishell.planning.graph import Graph
from aishell.planning.variables import parse


def order(graph: Graph) -> list[str]:
    """The ids as the sorter hands them out."""
    sorter, found = graph.sorter(), []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        found += ready
        sorter.done(*ready)
    return found


def test_a_step_waits_for_its_needs_and_for_every_step_it_refers_to():
    graph = Graph(
        [
            Step("a", "t"),
            Step("b", "t"),
            Step("c", "t", params={"x": ["${steps.a.output.x}"]}, needs=("b",)),
            Step("d", "t", when="${step_2.output.n} > 1"),
        ]
    )
    assert graph.needs == {"a": frozenset(), "b": frozenset(), "c": {"a", "b"}, "d": {"c"}}
    assert order(graph) == ["a", "b", "c", "d"]


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ([Step("a", "t", needs=("a",))], "a → a"),
        ([Step("a", "t", needs=("b",)), Step("b", "t", needs=("a",))], "wait for each other"),
        ([Step("a", "t", params={"x": "${steps.b.output}"}), Step("b", "t", needs=("a",))], "wait for each other"),
        ([Step("a", "t", when="${step_0.output.n} > 1")], "a → a"),
        ([Step("a", "t"), Step("b", "t"), Step("a", "u")], "two steps are called 'a'"),
    ],
)
def test_a_cycle_or_a_name_that_stands_twice_is_refused(steps, said):
    with pytest.raises(PlanError) as caught:
        Graph(steps)
    assert said in caught.value.message


@pytest.mark.parametrize(
    ("step", "nearest"),
    [
        (Step("b", "t", needs=("analyse",)), "analyze"),
        (Step("b", "t", params={"x": "${steps.analyse.output.n}"}), "analyze"),
        (Step("b", "t", when="${steps.analyse.output.n} > 1"), "analyze"),
        (Step("b", "t", params={"x": "${step_2.output.n}"}), "step_1"),
    ],
)
def test_a_step_that_does_not_exist_is_refused_with_the_nearest_that_does(step, nearest):
    with pytest.raises(UnknownNameError) as caught:
        Graph([Step("analyze", "t"), step])
    assert caught.value.nearest == nearest


@pytest.mark.parametrize("text", ["task.agent", "target.name", "run.id"])
def test_what_is_no_step_implies_no_need(text):
    graph = Graph([Step("a", "t", params={"x": f"${{{text}}}"})])
    assert graph.needs == {"a": frozenset()}
    assert graph.referenced(parse(text)) is None


@st.composite
def dags(draw):
    """Steps that need earlier ones only, in shuffled order, with the edges."""
    count = draw(st.integers(1, 9))
    edges = {n: draw(st.sets(st.integers(0, n - 1))) if n else set() for n in range(count)}
    steps = [Step(f"s{n}", "t", needs=tuple(f"s{m}" for m in edges[n])) for n in range(count)]
    return draw(st.permutations(steps)), edges


def reachable(edges: dict[int, set[int]], start: int) -> set[int]:
    found: set[int] = set()
    for need in edges[start]:
        found |= {need} | reachable(edges, need)
    return found


@given(dags())
def test_every_step_comes_after_all_it_needs(dag):
    steps, edges = dag
    found = order(Graph(steps))
    assert sorted(found) == sorted(step.id for step in steps)
    for number, needs in edges.items():
        for need in needs:
            assert found.index(f"s{need}") < found.index(f"s{number}")


@given(dags())
def test_before_is_the_transitive_closure_of_needs(dag):
    steps, edges = dag
    graph = Graph(steps)
    for number in edges:
        before = {int(o.id[1:]) for o in steps if graph.before(graph.by_id[f"s{number}"], o)}
        assert before == reachable(edges, number)


@given(dags(), st.data())
def test_one_arrow_back_makes_any_plan_a_cycle(dag, data):
    steps, edges = dag
    linked = [(number, need) for number in edges for need in reachable(edges, number)]
    if not linked:
        return
    number, need = data.draw(st.sampled_from(linked))
    closed = [
        Step(step.id, "t", needs=(*step.needs, f"s{number}")) if step.id == f"s{need}" else step for step in steps
    ]
    with pytest.raises(PlanError):
        Graph(closed)
