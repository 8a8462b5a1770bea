"""Start-up: `aishell --help` and `--version` against a bare click program of one command, as whole processes.

The claim (issue 2): at most 1.5 times the bare program. Alternating, medians; prints a table and what was imported.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 31
BARE = """
import click
@click.command()
@click.version_option("1", prog_name="bare")
def main():
    "A bare program."
main()
"""


def seconds(command: list[str]) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return time.perf_counter() - started


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        bare = Path(folder) / "bare.py"
        bare.write_text(BARE)
        aishell = [sys.executable, "-c", "from aishell.cli.main import main; main()"]
        commands = {
            f"{name} {option}": [*command, option]
            for option in ("--help", "--version")
            for name, command in (("bare click", [sys.executable, str(bare)]), ("aishell", aishell))
        }
        times: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(ROUNDS):
            for name, command in commands.items():
                times[name].append(seconds(command))
    print(f"{'command':<22} {'median':>9} {'min':>9}")
    for name, values in times.items():
        print(f"{name:<22} {statistics.median(values) * 1000:>6.1f} ms {min(values) * 1000:>6.1f} ms")
    for option in ("--help", "--version"):
        ratio = statistics.median(times[f"aishell {option}"]) / statistics.median(times[f"bare click {option}"])
        print(f"aishell / bare click, {option}: {ratio:.2f}")
    said = subprocess.run(
        [*aishell, "--help"], capture_output=True, text=True, env={"PYTHONPROFILEIMPORTTIME": "1"}, check=True
    )
    slowest = sorted((line for line in said.stderr.splitlines()[1:]), key=lambda line: -int(line.split("|")[1]))[:8]
    print("slowest imports (cumulative us):")
    print("\n".join(f"  {line.split('|')[1].strip():>8} {line.split('|')[2].rstrip()}" for line in slowest))


if __name__ == "__main__":
    main()
