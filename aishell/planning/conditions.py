"""`when:` conditions: references and literals with comparison, boolean and membership operators, never Python's eval."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection
from typing import Any

from simpleeval import DEFAULT_OPERATORS, EvalWithCompoundTypes, InvalidExpression

from aishell.errors import PlanError, StepError, UnknownNameError
from aishell.planning.variables import _REFERENCE, Reference, parse, worded

_ALLOWED = (
    ast.Compare, ast.BoolOp, ast.UnaryOp, ast.Not, ast.USub, ast.Name, ast.Load, ast.Constant, ast.And, ast.Or,
    ast.List, ast.Tuple, ast.Eq, ast.NotEq, ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn, ast.Is, ast.IsNot,
    ast.Expression,
)  # fmt: skip
#: Comparisons that are false, instead of an error, for a missing value (None).
_ORDERED = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.In, ast.NotIn)


def _known_only(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def compared(left: Any, right: Any) -> Any:
        try:
            return compare(left, right)
        except TypeError:
            if left is None or right is None:
                return False
            raise

    return compared


_OPERATORS = {
    node: _known_only(function) if issubclass(node, _ORDERED) else function
    for node, function in DEFAULT_OPERATORS.items()
    if issubclass(node, _ALLOWED)
}


def check(condition: str, names: Collection[str] | None = None) -> None:
    """Raise PlanError if a condition is not in the language above. `names`: names of values that it may use."""
    expression, references = _named(condition)
    try:
        tree = ast.parse(expression, mode="eval")
    except (SyntaxError, ValueError) as error:  # ValueError: a NUL
        raise PlanError(
            f"the condition {condition!r} cannot be read: {getattr(error, 'msg', error)}",
            hint="write a comparison, e.g. a > 30 and not b",
        ) from error
    for node in ast.walk(tree):
        if not isinstance(node, _ALLOWED):
            raise PlanError(
                f"the condition {condition!r} uses {type(node).__name__}",
                hint="allowed: comparisons, and, or, not, in, literals and ${…}",
            )
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and any(r in node.value for r in references):
            raise PlanError(
                f"the condition {condition!r} has a reference inside quotes", hint="write ${…} without them"
            )
        if isinstance(node, ast.Name) and names is not None:
            if node.id not in {*names, *references}:
                near = UnknownNameError("name", node.id, names)
                raise PlanError(f"the condition {condition!r} has an {near.message}", hint=near.hint)
        elif isinstance(node, ast.Name) and node.id not in references:
            raise PlanError(
                f"the condition {condition!r} uses the bare word {node.id!r}", hint="quote it or write ${…}"
            )


def holds(condition: str, lookup: Callable[[Reference], Any]) -> bool:
    """Return whether a condition is true; a comparison with a missing value (None) is false.

    Raises StepError, with the condition's text, if it cannot be decided.
    """
    expression, references = _named(condition)
    names = {name: lookup(reference) for name, reference in references.items()}
    try:
        return bool(EvalWithCompoundTypes(operators=_OPERATORS, functions={}, names=names).eval(expression))
    except (TypeError, InvalidExpression) as error:
        raise StepError(f"the condition {condition!r} cannot be decided: {error}") from error


def described(condition: str, lookup: Callable[[Reference], Any]) -> str:
    """Return the condition with its values, for the reason of a skipped step: `only if rows of count_log > 0, and it is 0`."""
    _, references = _named(condition)
    found = {reference.told: lookup(reference) for reference in references.values()}
    known = {name: "not known" if value is None else repr(value) for name, value in found.items()}
    values = [f"{'it' if len(known) == 1 else name} is {value}" for name, value in known.items()]
    return f"only if {worded(condition)}" + (f", and {', '.join(values)}" if values else "")


def _named(condition: str) -> tuple[str, dict[str, Reference]]:
    """Return the expression with `_ref0` and so on for references, whose values are never parsed."""
    references: dict[str, Reference] = {}

    def name(match: Any) -> str:
        if match[2] is None:
            raise PlanError(f"the condition {condition!r} contains $${{, which only texts may")
        key = f"_ref{len(references)}"
        references[key] = parse(match[2])
        return key

    return _REFERENCE.sub(name, condition), references
