"""`aishell chat`: lines go on with those before them, under the same gates; every turn is kept, whatever ends the process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import Any

import pytest

from tests.bloated import Bloated
from tests.commands.terminal import Terminal
from tests.commands.test_ask import keeps, task
from tests.fix_aishell import Aishell
from tests.ollama_double import Asked, OllamaDouble
from tests.servers import HANG


@pytest.fixture
def shop(aishell: Aishell, bloated_sqlite: Bloated) -> Aishell:
    """A site of two targets, of which one is the default."""
    named = {name: {"url": bloated_sqlite.make().url, "environment": "test"} for name in ("shop", "crm")}
    aishell.configure("targets.yaml", json.dumps({"targets": named}))
    aishell.configure("aishell.yaml", json.dumps({"default_target": "shop"}))
    return aishell


@pytest.fixture
def read(shop: Aishell, ollama: OllamaDouble) -> Aishell:
    """The same with a language model."""
    llm = {"model": "small:1b", "host": ollama.url, "retries": 0}
    shop.configure("aishell.yaml", json.dumps({"default_target": "shop", "llm": llm}))
    return shop


def chat(site: Aishell, *lines: str, options: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """Lines at standard input, one turn each."""
    return subprocess.run(
        [sys.executable, "-m", "aishell", *site.command("chat", *options)],
        input="".join(f"{line}\n" for line in lines),
        env=site.environment(),
        cwd=site.site,
        capture_output=True,
        text=True,
        timeout=HANG,
    )


def documents(text: str) -> list[Any]:
    """The JSON documents of a text, one after the other."""
    found, decoder = [], json.JSONDecoder()
    while text := text.lstrip():
        document, end = decoder.raw_decode(text)
        found.append(document)
        text = text[end:]
    return found


def turns(site: Aishell) -> list[tuple[str, int | None]]:
    return site.rows("SELECT text, exit_code FROM conversation_turns ORDER BY conversation_id, number")


def at(site: Aishell, *words: str) -> Terminal:
    command = [sys.executable, "-m", "aishell", *site.command("chat", *words)]
    return Terminal(command, env=site.environment(), cwd=str(site.site))


def test_each_line_is_a_turn_with_the_context_of_those_before(shop: Aishell) -> None:
    lines = (
        "what would a full maintenance of crm do?",
        "now the same for orders",
        "and on shop?",
        "do it",
        "do it",
        "",
    )
    done = chat(shop, *lines, options=("--output", "json"))
    preview, orders, elsewhere, run, again = documents(done.stdout)
    assert [one["status"] for one in (preview, orders, elsewhere, run)] == ["preview"] * 3 + ["waiting_approval"]
    assert [one["target"] for one in (preview, orders, elsewhere, run)] == ["crm", "crm", "shop", "shop"]
    assert orders["request"]["orders"][0]["inputs"] == {"maintenance_type": "full", "tables": ["orders"]}
    medium = [s["verdict"] for s in run["plan"]["steps"] if s["verdict"]["risk_level"] == "medium"]
    assert medium
    assert all(verdict["requires_approval"] for verdict in medium), "`do it` approves nothing"
    assert "has a run already" in again["error"]["message"]
    assert done.returncode == 5
    assert [one["request"]["conversation"]["turn"] for one in (preview, orders, elsewhere, run, again)] == [
        1,
        2,
        3,
        4,
        5,
    ]
    assert [code for _, code in turns(shop)] == [0, 0, 0, 3, 5]
    ((work,),) = shop.rows("SELECT work FROM conversation_turns WHERE number = 4")
    assert json.loads(work)["runs"] == [run["run_id"]]


def test_a_dry_run_stays_one(shop: Aishell) -> None:
    done = chat(shop, "full maintenance of crm", "do it", options=("--dry-run", "--yes", "--output", "json"))
    assert [one["status"] for one in documents(done.stdout)] == ["preview", "preview"]
    assert shop.rows("SELECT count(*) FROM runs") == [(0,)]


def test_what_ask_does_chat_does_alike(shop: Aishell) -> None:
    """The same verdicts and statements: no gate differs."""
    text = "full maintenance of shop"
    asked = shop("ask", text, "--dry-run", "--output", "json").expect(0).json["plan"]
    (said,) = documents(chat(shop, text, options=("--dry-run", "--output", "json")).stdout)

    def judged(plan: Any) -> Any:
        return [(step["tool"], step["statements"], step["verdict"]) for step in plan["steps"]]

    assert judged(said["plan"]) == judged(asked)


def test_it_is_listed_shown_resumed_and_deleted(shop: Aishell) -> None:
    first = chat(shop, "which backups could I lose on crm?", options=("--target", "crm"))
    assert "crm has no backup" in first.stdout
    chat(shop, "which backups could I lose?")
    newest, oldest = shop("chat", "list", "--output", "json").expect(0).json
    assert (newest["target"], oldest["target"], oldest["turns"]) == (None, "crm", 1)
    resumed = chat(shop, "and on shop?", options=("--resume", oldest["conversation"][:8]))
    assert "shop has no backup" in resumed.stdout
    assert "crm" not in resumed.stdout
    assert chat(shop, options=("--resume",)).returncode == 0, "the one used last"
    shown = shop("chat", "show", oldest["conversation"][:8]).expect(0).out
    assert "1  which backups could I lose on crm?" in shown
    assert "2  and on shop?" in shown
    assert shop("chat", "show", oldest["conversation"], "--output", "json").expect(0).json["turns"][1]["exit_code"] == 0
    assert chat(shop, options=("--resume", "--target", "crm")).returncode == 2
    assert chat(shop, options=("--resume", "zzz")).returncode == 2
    shop("chat", "delete", oldest["conversation"][:8]).expect(2)
    told = shop("chat", "delete", oldest["conversation"][:8], "--yes").expect(0).out
    assert "2 turn(s)" in told
    assert [text for text, _ in turns(shop)] == ["which backups could I lose?"]
    assert [one["turns"] for one in shop.events("conversation_deleted")] == [2]
    shop("audit", "verify").expect(0)


def test_passwords_are_not_kept(shop: Aishell) -> None:
    chat(shop, "vacuum postgres://ann:hunter2@db/shop", options=("--dry-run",))
    kept = shop.rows("SELECT text || coalesce(request, '') || work || reply FROM conversation_turns")
    assert "hunter2" not in str(kept)


def test_older_turns_are_counted_where_no_model_sums_them_up(shop: Aishell) -> None:
    lines = [f"hello there {'x' * 900} number {number}" for number in range(10)]
    chat(shop, "full maintenance of crm", *lines, options=("--dry-run",))
    ((summary, through),) = shop.rows("SELECT summary, summed_up FROM conversations")
    assert through == 5
    assert summary.startswith("turns 1 to 5")
    assert "1 maintenance (preview)" in summary
    assert len(turns(shop)) == 11, "the turns themselves stay"
    shown = shop("chat", "show", shop("chat", "list", "--output", "json").json[0]["conversation"]).expect(0).out
    assert "summary of the turns up to 5 (counted)" in shown


def purposes(ollama: OllamaDouble) -> list[str]:
    return ["compress" if "Sum up the older turns" in asked.system else "other" for asked in ollama.asked]


@pytest.mark.parametrize("honest", [True, False])
def test_a_model_sums_older_turns_up_in_figures_that_it_was_told(
    read: Aishell, ollama: OllamaDouble, honest: bool
) -> None:
    ollama.always("They said hello." if honest else "They rescued 123456 rows.")
    lines = [f"hello there {'x' * 900} number {number}" for number in range(8)]
    chat(read, *lines)
    assert "compress" in purposes(ollama)
    ((summary, model),) = read.rows("SELECT summary, model FROM conversations")
    assert (summary == "They said hello.", bool(model)) == (honest, honest)
    assert "123456" not in summary


def test_a_model_is_told_the_turns_and_held_to_their_words(read: Aishell, ollama: OllamaDouble) -> None:
    told: list[Any] = []

    def reads(asked: Asked) -> Any:
        told.append(json.loads(asked.messages[1]["content"]))
        return task(target="crm", maintenance_type="full")

    ollama.says(keeps, reads, keeps)
    done = chat(
        read, "full maintenance of crm", "tidy things up nicely once more", options=("--dry-run", "--output", "json")
    )
    _, second = documents(done.stdout)
    assert second["target"] == "crm", "a target that was named in the conversation"
    (facts,) = told
    assert [one["said"] for one in facts["conversation"]] == ["full maintenance of crm"]
    assert facts["conversation"][0]["came_to"] == "previewed"
    ollama.always(task(target="crm", maintenance_type="full"))
    refused = chat(read, "tidy things up nicely, please", options=("--dry-run", "--output", "json"))
    assert refused.returncode in (2, 5), "another conversation did not name it"


def test_at_a_terminal_a_step_is_asked_about_and_lines_come_back_by_keys(shop: Aishell) -> None:
    with at(shop) as window:
        window.until("> ")
        window.type("full maintenance of shop")
        window.until("decide later\r\n? ")
        window.type("s")
        window.until("> ")
        window.type("which backups could I lose?")
        window.until("shop has no backup")
        window.type("\x1b[A")  # the line before, from readline's history
        window.until("shop has no backup")
        window.type("exit")
        window.until("chat --resume")
        assert window.end() == 0
    assert [code for _, code in turns(shop)] == [0, 0, 0]


def test_ctrl_c_at_the_prompt_leaves_the_conversation(shop: Aishell) -> None:
    with at(shop) as window:
        window.until("> ")
        window.interrupt()
        window.until("chat --resume")
        assert window.end() == 0


def test_ctrl_c_at_a_question_is_as_in_ask(shop: Aishell) -> None:
    with at(shop) as window:
        window.until("> ")
        window.type("full maintenance of shop")
        window.until("[a]pprove")
        window.interrupt()
        assert window.end() == 130
    assert turns(shop) == [("full maintenance of shop", 130)]


def test_a_killed_turn_is_told_of_when_the_conversation_is_resumed(shop: Aishell) -> None:
    with at(shop) as window:
        window.until("> ")
        window.type("full maintenance of shop")
        window.until("[a]pprove")
        os.kill(window.process.pid, signal.SIGKILL)
        window.end()
    assert turns(shop) == [("full maintenance of shop", None)]
    run = shop.only_run()
    with at(shop, "--resume") as window:
        window.until(f"turn 1 did not end: its run {run[:8]} was cut off")
        window.type("exit")
        assert window.end() == 0
    shop.resume(run, "--yes").expect(0)


def test_it_is_deleted_when_a_person_says_so(shop: Aishell) -> None:
    chat(shop, "hello")
    ((known,),) = shop.rows("SELECT id FROM conversations")
    command = [sys.executable, "-m", "aishell", *shop.command("chat", "delete", known[:8])]
    for answer, code, left in (("n", 5, 1), ("y", 0, 0)):
        with Terminal(command, env=shop.environment(), cwd=str(shop.site)) as window:
            window.until("1 turn(s)? [y/N]")
            window.type(answer)
            assert window.end() == code
        assert shop.rows("SELECT count(*) FROM conversations") == [(left,)]
