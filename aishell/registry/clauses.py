"""Which servers a file of `tools/`, or a part of it, is for: product, versions, and features of the server or the role."""

from __future__ import annotations

import re
from dataclasses import dataclass

from aishell.engines import PROFILES

#: Folder of tools -> the products for which its files can be.
ENGINES = {**{engine.name: {*engine.supported} for engine in PROFILES.values()}, "common": set[str]()}

_PRODUCT = r"(?!with\b|without\b)\w+"
_REST = r"((?:\s*(?:>=|<=|==|<|>)\s*\d+(?:\.\d+)*)*)((?:\s*,?\s*(?:with|without)\s+\w+)*)"
_CLAUSE = re.compile(rf"({_PRODUCT}){_REST}")
_GUARD = re.compile(rf"({_PRODUCT})?{_REST}")


@dataclass(frozen=True)
class Clause:
    """The servers that a file is for, e.g. `postgresql >= 12 < 17, with pgstattuple`."""

    product: str
    bounds: tuple[tuple[str, tuple[int, ...]], ...] = ()
    with_: frozenset[str] = frozenset()
    without: frozenset[str] = frozenset()

    def fits(self, product: str, version: tuple[int, ...], features: frozenset[str]) -> bool:
        return (
            self.product == product
            and all(_compare(version, operator, bound) for operator, bound in self.bounds)
            and self.with_ <= features
            and not self.without & features
        )

    @property
    def text(self) -> str:
        """The clause as written in a file."""
        bounds = [f"{operator} {'.'.join(map(str, bound))}" for operator, bound in self.bounds]
        features = [f"with {name}" for name in sorted(self.with_)] + [
            f"without {name}" for name in sorted(self.without)
        ]
        return " ".join((self.product, *bounds, *features)).strip()

    def disjoint(self, other: Clause) -> bool:
        """Whether no server fits both."""
        if self.product != other.product or self.with_ & other.without or other.with_ & self.without:
            return True
        edges = {bound for _, bound in (*self.bounds, *other.bounds)} | {(0,)}
        probes = (
            edges
            | {(*edge[:-1], edge[-1] + 1) for edge in edges}
            | {(*edge[:-1], max(edge[-1] - 1, 0)) for edge in edges}
        )
        everything = self.bounds + other.bounds
        return not any(all(_compare(probe, o, b) for o, b in everything) for probe in probes)


def read_clauses(text: str, engine: str) -> tuple[Clause, ...]:
    """Return the clauses in a file's `engine`, `engine` being its folder. Raises ValueError, which begins with `engine`."""
    if engine == "common":
        return ()
    clauses = []
    for part in re.split(r",(?!\s*with)\s*", text):
        match = _CLAUSE.fullmatch(part.strip())
        if not match or match[1] not in ENGINES[engine]:
            raise ValueError(
                f"engine: {part!r} does not name a server of this folder ({', '.join(sorted(ENGINES[engine]))})"
            )
        clauses.append(_clause(match))
    return tuple(clauses)


def read_guard(text: str, engine: str) -> Clause:
    """Return the clause in the brackets after a block's name, which may leave out the product. Raises ValueError."""
    match = _GUARD.fullmatch(text.strip())
    if not match or not text.strip() or (match[1] and match[1] not in ENGINES[engine]):
        raise ValueError(f"[{text}] names no server: write e.g. [>= 14], [with process], [mariadb without process]")
    guard = _clause(match)
    if any(operator not in (">=", "<") for operator, _ in guard.bounds):
        raise ValueError(f"[{text}]: write versions with >= and < only")
    return guard


def _clause(match: re.Match[str]) -> Clause:
    bounds = re.findall(r"(>=|<=|==|<|>)\s*(\d+(?:\.\d+)*)", match[2])
    return Clause(
        match[1] or "",
        tuple((operator, tuple(map(int, number.split(".")))) for operator, number in bounds),
        frozenset(re.findall(r"\bwith\s+(\w+)", match[3])),
        frozenset(re.findall(r"\bwithout\s+(\w+)", match[3])),
    )


def _compare(version: tuple[int, ...], operator: str, bound: tuple[int, ...]) -> bool:
    padded = (*version, 0, 0, 0)[: max(len(bound), 1)]
    return {
        ">=": padded >= bound,
        ">": padded > bound,
        "<": padded < bound,
        "<=": padded <= bound,
        "==": padded == bound,
    }[operator]
