"""`llm` of aishell.yaml and `llm_config` of an agent's file: values with defaults, and what is wrong with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from aishell.agents.configuration import configured
from aishell.agents.loading import load_agent
from aishell.errors import SettingsError
from aishell.settings.language_models import CacheSettings, ModelSettings, address
from aishell.settings.settings import load_settings


def site(tmp_path: Path, text: str, name: str = "aishell.yaml") -> Path:
    path = tmp_path / "config" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return tmp_path / "config"


def test_without_the_key_there_is_no_model(tmp_path: Path):
    assert load_settings(site(tmp_path, "jobs: 1\n")).llm is None
    assert load_settings(site(tmp_path, "llm:\n")).llm is None


def test_a_name_is_enough(tmp_path: Path):
    llm = load_settings(site(tmp_path, "llm: {model: 'qwen3:8b'}\n")).llm
    assert llm == ModelSettings("qwen3:8b")
    assert llm is not None
    assert (llm.num_ctx, llm.timeout, llm.temperature, llm.budget) == (8192, 120, 0, 65536)


def test_every_key(tmp_path: Path):
    text = """llm:
  provider: ollama
  model: qwen3:8b
  host: https://gpu.example:8080/ollama
  timeout: 30.5
  connect_timeout: 2
  num_ctx: 16384
  max_tokens: 4096
  temperature: 0.5
  seed: 7
  token_budget: 20000
  retries: 0
  cache: {ttl: 60}
"""
    expected = ModelSettings(
        "qwen3:8b",
        "ollama",
        "https://gpu.example:8080/ollama",
        timeout=30.5,
        connect_timeout=2,
        num_ctx=16384,
        max_tokens=4096,
        temperature=0.5,
        seed=7,
        token_budget=20000,
        retries=0,
        cache=CacheSettings(ttl=60),
    )
    assert load_settings(site(tmp_path, text)).llm == expected


@pytest.mark.parametrize(("said", "cache"), [("false", None), ("true", CacheSettings()), ("", CacheSettings())])
def test_a_cache_can_be_left_out(tmp_path: Path, said: str, cache: CacheSettings | None):
    llm = load_settings(site(tmp_path, f"llm:\n  model: m\n  cache: {said}\n")).llm
    assert llm is not None
    assert llm.cache == cache


#: What is wrong, the line it stands in (the file's first is `llm:`), and what the message says.
WRONG = [
    ("  timeout: 1\n", 1, "needs the key `model`"),
    ("  model: m\n  modle: m\n", 3, "unknown key 'modle'"),
    ("  model: m\n  provider: openai\n", 3, "unknown provider 'openai'"),
    ("  model: m\n  num_ctx: 4096\n", 3, "num_ctx is out of range: 4096"),
    ("  model: m\n  max_tokens: 8192\n", 3, "leaves no room for a prompt"),
    ("  model: m\n  token_budget: 2000\n", 3, "less than one answer"),
    ("  model: m\n  connect_timeout: 10\n  timeout: 5\n", 3, "longer than timeout"),
    ("  model: m\n  cache: {ttl: 0}\n", 3, "ttl is out of range"),
    ("  model: m\n  host: http://me:s3cret@gpu:11434\n", 3, "host is not a host, or a URL"),
    ("  model: m\n  host: me@gpu\n", 3, "host is not a host, or a URL"),
    ("  model: m\n  host: http://gpu:11434/?key=s3cret\n", 3, "host is not a host, or a URL"),
    ("  model: m\n  host: gpu:99999\n", 3, "host is not an address"),
    ("  model: m\n  host: ftp://gpu\n", 3, "host is not a host, or a URL"),
    ("  model: 'm; rm -rf /'\n", 2, "is not the name of a model"),
]


@pytest.mark.parametrize(("text", "line", "words"), WRONG)
def test_what_is_wrong_is_refused_with_its_line(tmp_path: Path, text: str, line: int, words: str):
    config = site(tmp_path, f"llm:\n{text}")
    with pytest.raises(SettingsError) as raised:
        load_settings(config)
    assert raised.value.message.startswith(f"{config / 'aishell.yaml'}:{line}: ")
    assert words in raised.value.message
    assert "s3cret" not in f"{raised.value.message} {raised.value.hint}"


def test_an_agent_has_a_model_of_its_own(tmp_path: Path):
    config = site(
        tmp_path, "maintenance_agent:\n  llm_config: {model: small, num_ctx: 9000}\n", "agents/maintenance.yaml"
    )
    assert configured(config, load_agent("maintenance")).llm_config == {"model": "small", "num_ctx": 9000}
    site(tmp_path, "maintenance_agent: {}\n", "agents/maintenance.yaml")
    assert configured(config, load_agent("maintenance")).llm_config is None


@pytest.mark.parametrize(("text", "line", "words"), WRONG)
def test_of_an_agent_the_same_is_wrong(tmp_path: Path, text: str, line: int, words: str):
    inner = "".join(f"  {row}\n" for row in text.splitlines())
    config = site(tmp_path, f"maintenance_agent:\n  llm_config:\n{inner}", "agents/maintenance.yaml")
    with pytest.raises(SettingsError, match=f"maintenance.yaml:{line + 1}: ") as raised:
        configured(config, load_agent("maintenance"))
    assert words in raised.value.message


#: As Ollama itself reads them.
@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("gpu", "http://gpu:11434"),
        (":8080", "http://127.0.0.1:8080"),
        ("1.2.3.4:56789", "http://1.2.3.4:56789"),
        ("http://gpu", "http://gpu:80"),
        ("https://gpu/", "https://gpu:443"),
        ("https://gpu:8080/ollama/", "https://gpu:8080/ollama"),
        ("[::1]:8080", "http://[::1]:8080"),
        ("0.0.0.0", "http://0.0.0.0:11434"),
    ],
)
def test_hosts_as_ollama_writes_them(host: str, url: str):
    assert address(host) == url


@pytest.mark.parametrize(
    "host", ["unix:///run/ollama", "me:pw@gpu", "http://gpu:x", "gpu?a=b", "a b", "gpu#x", "\x1b[31m"]
)
def test_what_is_no_address(host: str):
    with pytest.raises(ValueError, match=r"is not an address|holds a user"):
        address(host)
