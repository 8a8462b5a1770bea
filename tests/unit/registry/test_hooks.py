"""Hooks: they may change parameters, veto a call and see its result; one that cannot be loaded is an error."""

from __future__ import annotations

import sys
import types

import pytest

from aishell.errors import SettingsError
from aishell.registry.hooks import Call, Hooks, Veto


class Limits:
    def before(self, call):
        return {**call.params, "limit": 1}


class Refuses:
    def before(self, call):
        return Veto(f"{call.tool} with {call.params}")


class Listens:
    def __init__(self) -> None:
        self.heard: list[tuple[str, object]] = []

    def after(self, call, result):
        self.heard.append((call.tool, result))


CALL = Call("touch", {"table": "t"}, "shop", "r", "s")


def test_each_hook_sees_what_the_one_before_it_made():
    params, veto = Hooks([Listens(), Limits(), Refuses()]).before(CALL)
    assert veto == Veto("touch with {'table': 't', 'limit': 1}")
    assert Hooks([Limits()]).before(CALL) == ({"table": "t", "limit": 1}, None)
    assert params == {"table": "t", "limit": 1}


def test_a_veto_ends_it():
    params, veto = Hooks([Refuses(), Limits()]).before(CALL)
    assert params == {"table": "t"}
    assert veto is not None


def test_the_result_is_told_to_those_that_listen():
    listens = Listens()
    Hooks([Limits(), listens]).after(CALL, "done")
    assert listens.heard == [("touch", "done")]


def test_a_hook_is_loaded_by_module_and_attribute(monkeypatch):
    module = types.ModuleType("site_hooks")
    module.limits = Limits()
    monkeypatch.setitem(sys.modules, "site_hooks", module)
    assert Hooks.load(["site_hooks:limits"]).before(CALL)[0]["limit"] == 1


@pytest.mark.parametrize("name", ["no_such_module:x", "json:no_such_attribute", "json", ":x", ""])
def test_a_hook_that_cannot_be_loaded_is_a_settings_error(name):
    with pytest.raises(SettingsError) as caught:
        Hooks.load([name])
    assert repr(name) in caught.value.message
