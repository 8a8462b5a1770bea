"""Views in an order in which each can be made as it was: before those that it is made of."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aishell.backups.mariadb.views import DEFINER, INVOKER, outermost_first, replacing, secured

SHOWN = "CREATE ALGORITHM=UNDEFINED DEFINER=`o``o`@`%` SQL SECURITY DEFINER VIEW `v` AS select 'SQL SECURITY DEFINER' AS `x`"


@given(st.lists(st.sets(st.integers(0, 7)), min_size=1, max_size=8))
def test_each_comes_before_those_that_it_is_made_of(below: list[set[int]]) -> None:
    """View number n is made of some of those with a smaller number; their names are in no order."""
    names = [f"v`{(n * 5) % 8}" for n in range(len(below))]
    uses = {name: [names[m] for m in some if m < n] for n, (name, some) in enumerate(zip(names, below, strict=True))}
    texts = {
        name: "select 1 from " + ", ".join(f"`shop`.`{other.replace('`', '``')}`" for other in used)
        for name, used in sorted(uses.items())
    }
    order = outermost_first(texts, "shop")
    assert sorted(order) == sorted(names)
    for name, used in uses.items():
        assert all(order.index(name) < order.index(other) for other in used)


def test_what_looks_like_a_circle_ends() -> None:
    texts = {"a": "select '`shop`.`b`'", "b": "select '`shop`.`a`'", "c": "select 1 from `shop`.`a`"}
    assert sorted(outermost_first(texts, "shop")) == ["a", "b", "c"]
    assert outermost_first({}, "shop") == []


def test_only_the_views_own_security_is_changed() -> None:
    made = secured(SHOWN, INVOKER)
    assert made == SHOWN.replace("SQL SECURITY DEFINER VIEW", "SQL SECURITY INVOKER VIEW")
    assert secured(made, DEFINER) == SHOWN
    of_role = "CREATE ALGORITHM=MERGE DEFINER=`role` SQL SECURITY DEFINER VIEW `v` AS select 1"
    assert " SQL SECURITY INVOKER VIEW " in secured(of_role, INVOKER)
    assert replacing(SHOWN).startswith("CREATE OR REPLACE ALGORITHM=")
