"""The start-up cost of aishell: medians over whole processes, alternating.

`--help` and `--version` against a bare click program of one command: at most 1.5 times its time (issue 2). CPU seconds of a quick
dry run on the sample database and of `runs list` (issue 10), with the modules imported and what they are of. The path of another
checkout as an argument measures that beside this one:

    git worktree add /tmp/before REVISION && python bench/bench_startup.py /tmp/before
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROUNDS = 21
HERE = Path(__file__).parents[1]
BARE = """
import click
@click.command()
@click.version_option("1", prog_name="bare")
def main():
    "A bare program."
main()
"""
QUICK = ["run", "maintenance", "--type", "quick", "--url"]
AISHELL = [sys.executable, "-P", "-c", "from aishell.cli.main import main; main()"]


def environment(checkout: Path) -> dict[str, str]:
    """Of a user: what was compiled once is not compiled again."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTHONPATH": str(checkout), "AISHELL_SITE": ""}


def used(command: list[str], checkout: Path) -> tuple[float, float]:
    """The seconds that a process took by the clock, and of CPU."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env=environment(checkout))
    seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def measured(commands: dict[str, tuple[list[str], Path]]) -> dict[str, list[tuple[float, float]]]:
    """What each took, in rounds that go back and forth; the first is not counted."""
    figures: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for number in range(ROUNDS + 1):
        for name in list(commands) if number % 2 else reversed(list(commands)):
            figure = used(*commands[name])
            if number:
                figures[name].append(figure)
    return figures


def imports(command: list[str], checkout: Path) -> str:
    """How many modules a command imports, and which packages take longest: milliseconds without what they import in turn."""
    environ, best = {**environment(checkout), "PYTHONPROFILEIMPORTTIME": "1"}, dict[str, int]()
    for _ in range(5):
        said = subprocess.run(command, capture_output=True, text=True, check=True, env=environ).stderr
        lines = [line.removeprefix("import time:").split("|") for line in said.splitlines() if "import time:" in line]
        for own, _cumulative, name in lines[1:]:
            best[name.strip()] = min(int(own), best.get(name.strip(), int(own)))
    took: Counter[str] = Counter()
    for name, microseconds in best.items():
        took[name.split(".")[0]] += microseconds
    slowest = ", ".join(f"{name} {microseconds / 1000:.0f}" for name, microseconds in took.most_common(9))
    return f"{len(best)} modules, {took.total() / 1000:.0f} ms: {slowest}"


def starting(folder: Path) -> None:
    """`--help` and `--version` beside the bare program."""
    bare = folder / "bare.py"
    bare.write_text(BARE)
    commands = {
        f"{name} {option}": ([*command, option], HERE)
        for option in ("--help", "--version")
        for name, command in (("bare click", [sys.executable, str(bare)]), ("aishell", AISHELL))
    }
    median = {name: statistics.median(taken for taken, _ in values) for name, values in measured(commands).items()}
    print(f"{'command':<22} {'median':>9}")
    for name, taken in median.items():
        print(f"{name:<22} {taken * 1000:>6.1f} ms")
    for option in ("--help", "--version"):
        print(f"aishell / bare click, {option}: {median[f'aishell {option}'] / median[f'bare click {option}']:.2f}")


def site(folder: Path, checkout: Path) -> list[str]:
    """The options of a site of this checkout's own (a newer state.db is refused by an older one), maintained once: what is left
    to do, and with it what is measured, stays the same."""
    folder.mkdir()
    (folder / "config").mkdir()
    database, place = folder / "sample.db", environment(checkout)
    make = [sys.executable, "-P", "-m", "aishell.sample", str(database)]
    subprocess.run(make, check=True, capture_output=True, env=place)
    options = ["--site", str(folder)]
    once = [*AISHELL, *options, *QUICK, f"sqlite:///{database}", "--yes"]
    subprocess.run(once, check=True, capture_output=True, env=place)
    return options


def working(folder: Path, other: Path | None) -> None:
    """CPU seconds of a dry run and of a look at the store, here and in another checkout."""
    checkouts = {"before": other, "here": HERE} if other else {"here": HERE}
    commands: dict[str, tuple[list[str], Path]] = {}
    for where, checkout in checkouts.items():
        options = site(folder / where, checkout)
        dry = [*QUICK, f"sqlite:///{folder / where / 'sample.db'}", "--dry-run"]
        commands[f"quick dry run, {where}"] = ([*AISHELL, *options, *dry], checkout)
        commands[f"runs list, {where}"] = ([*AISHELL, *options, "runs", "list"], checkout)
    print(f"\n{'CPU seconds':<22} {'median':>7} {'min':>7} {'max':>7}")
    median = {}
    for name, values in measured(commands).items():
        cpu = [seconds for _, seconds in values]
        median[name] = statistics.median(cpu)
        print(f"{name:<22} {median[name]:>7.3f} {min(cpu):>7.3f} {max(cpu):>7.3f}")
    for name in ("quick dry run", "runs list") if other else ():
        print(f"here / before, {name}: {median[f'{name}, here'] / median[f'{name}, before']:.2f}")
    for name, command in commands.items():
        print(f"imports of {name}: {imports(*command)}")


def main() -> None:
    other = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else None
    with tempfile.TemporaryDirectory() as folder:
        starting(Path(folder))
        working(Path(folder), other)


if __name__ == "__main__":
    main()
