"""`make eval`: let planners at faults on real servers, and print who solved what. README.md beside this file."""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

# Each command of aishell is a fork that imports this module: what is heavy is imported where it is used.
if TYPE_CHECKING:
    from bench.eval.faults import Fault
    from bench.eval.trial import Trial

RESULTS = Path(__file__).parent.parent / "results"
#: A planner by name, and its seed if it has one.
Turn = tuple[str, int | None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 after any harm, 2 where no fault is named so."""
    given = _parser().parse_args(arguments)
    from bench.eval import results
    from bench.eval.faults import load

    faults = load()
    chosen = [one.label for one in faults if _named(one, given.fault)]
    if not chosen:
        print(
            f"no fault is named {', '.join(given.fault)}; there are {', '.join(sorted({one.name for one in faults}))}"
        )
        return 2
    turns = list(_turns(given.planner or ["rules", "hostile"], given.first_seed, given.seeds))
    trials = _side_by_side(turns, chosen, given.jobs) if given.jobs > 1 else tried(turns, chosen)
    print(results.text(trials, faults))
    whole = not (given.fault or given.planner)
    if name := given.output or ("eval" if whole else None):
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.md").write_text(results.markdown(trials, faults), encoding="utf-8")
        (RESULTS / f"{name}.json").write_text(json.dumps(results.document(trials), indent=1) + "\n", encoding="utf-8")
    return 0 if all(one.harmless for one in trials) else 1


def tried(turns: Sequence[Turn], labels: Sequence[str]) -> list[Trial]:
    """Each planner at each fault, one after the other, on servers of this process."""
    import tests.conftest  # noqa: F401, temporary files are in memory where there is room
    from bench.eval.faults import load
    from bench.eval.planners import planner
    from bench.eval.scenes import Servers
    from bench.eval.trial import attempt

    faults = [one for one in load() if one.label in labels]
    trials = []
    with Servers() as servers:
        for name, seed in turns:
            with planner(name, seed) as ready:
                for fault in faults:
                    trials.append(attempt(servers, fault, ready))
                    print(_progress(trials[-1]), file=sys.stderr, flush=True)
    return trials


def _side_by_side(turns: Sequence[Turn], labels: Sequence[str], jobs: int) -> list[Trial]:
    """The same by so many processes, each with servers of its own."""
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        parts = [pool.submit(tried, turns[number::jobs], labels) for number in range(jobs) if turns[number::jobs]]
        return [trial for part in parts for trial in part.result()]


def _turns(planners: Sequence[str], first: int, seeds: int) -> Iterator[Turn]:
    for name in planners:
        if name == "hostile":
            yield from ((name, seed) for seed in range(first, first + seeds))
        else:
            yield name, None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make eval ARGS=…", description=__doc__)
    add = parser.add_argument
    add("--planner", action="append", help="rules, equivalent, hostile or ollama:MODEL (default: rules and hostile)")
    add("--fault", action="append", default=[], help="only faults of this name or NAME-ENGINE; a glob")
    add("--seeds", type=int, default=100, help="seeds of the hostile model (default: 100)")
    add("--first-seed", type=int, default=1, help="the first of them (default: 1)")
    add("--jobs", type=int, default=1, help="processes, each with servers of its own (default: 1)")
    add(
        "--output",
        metavar="NAME",
        help="write bench/results/NAME.md and NAME.json (default: eval, if nothing is left out)",
    )
    return parser


def _named(fault: Fault, patterns: Sequence[str]) -> bool:
    return not patterns or any(fnmatchcase(fault.name, one) or fnmatchcase(fault.label, one) for one in patterns)


def _progress(trial: Trial) -> str:
    of = trial.planner if trial.seed is None else f"{trial.planner} {trial.seed}"
    outcome = f"{'solved' if trial.solved else 'not solved'}{'' if trial.harmless else ', HARM'}"
    return f"{trial.fault} on {trial.engine}, {of}: {outcome} in {trial.seconds:.1f} s"


if __name__ == "__main__":
    sys.exit(main())
