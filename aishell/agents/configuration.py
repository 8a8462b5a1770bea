"""Read `config/agents/<type>.yaml`, as the class of the agent declares it (`Agent.defaults`, `Agent.settings`)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from aishell.agents.base import Agent
from aishell.models import AgentConfig
from aishell.settings.files import checked, fields_of, placed, read
from aishell.settings.language_models import read_model
from aishell.settings.schemas import AGENT, mapping
from aishell.settings.validation import wrong


def schema_of(agent: Agent) -> dict[str, Any]:
    """Return the schema of the agent's file: the keys of every agent, and those that this one declares."""
    return mapping({_key(agent): mapping({**AGENT, **agent.settings})})


def configured(config: Path, agent: Agent) -> AgentConfig:
    """Return the agent's defaults overridden by its file. Raises SettingsError, with file and line."""
    path = config / "agents" / f"{agent.type}.yaml"
    document = read(path, str(path))
    if document is None:
        return agent.defaults
    name = _key(agent)
    data = checked(document, schema_of(agent)).get(name) or {}
    own = _without_nothing({key: data.get(key) for key in agent.settings})
    for fault in agent.check_settings(own):
        raise wrong(document, name, *fault.at, message=fault.message, hint=fault.hint)
    given = fields_of(data.get("default_config") or {})
    if data.get("agent_id") is not None:
        given["agent_id"] = data["agent_id"]
    if data.get("capabilities") is not None:
        given["capabilities"] = frozenset(data["capabilities"])
    if data.get("monitoring") is not None:
        given["monitoring"] = {**data["monitoring"], "alerts": placed(document, name, "monitoring", "alerts")}
    if read_model(document, name, "llm_config") is not None:
        given["llm_config"] = data["llm_config"]
    constraints = placed(document, name, "safety_constraints") or agent.defaults.constraints
    return replace(agent.defaults, agent_type=agent.type, constraints=constraints, own=own, **given)


def _without_nothing(value: Any) -> Any:
    """Return a value without the null keys of its mappings, which count as left out."""
    if isinstance(value, dict):
        return {key: _without_nothing(item) for key, item in value.items() if item is not None}
    return [_without_nothing(item) for item in value] if isinstance(value, list) else value


def _key(agent: Agent) -> str:
    return f"{agent.type}_agent"
