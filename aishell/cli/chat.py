"""`aishell chat`: requests and questions in plain language, each with the context of those before it."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import click

from aishell.cli.ask import Outcome, answer_or_run, asked_which
from aishell.cli.boundary import say_error, write_error
from aishell.cli.common import OUTPUT, interactive, open_files, open_site, run_options, treat_sigterm_as_interrupt
from aishell.cli.console import write_json
from aishell.cli.logs import log_failure
from aishell.cli.main import LazyGroup, ShowsExamples
from aishell.cli.run import planner_option
from aishell.cli.streams import say, typed
from aishell.commands import command
from aishell.errors import AishellError, UsageError, worst
from aishell.reporting.units import printable
from aishell.state.audit import redact
from aishell.state.conversations import runs_of

if TYPE_CHECKING:
    from aishell.asking.reader import Reading
    from aishell.site import Site
    from aishell.site_files import SiteFiles
    from aishell.state.conversations import Conversation, Conversations, Turn

#: Lines that end a conversation, as Ctrl-D and Ctrl-C do.
_LEAVE = frozenset(("exit", "quit", "bye"))
_LAST = "last"


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    epilog="Examples:  aishell chat --target shop   ·   aishell chat --resume   ·   aishell chat --resume 3f2a --dry-run   ·   "
    "aishell chat list   ·   aishell chat delete 3f2a   ·   aishell chat < requests.txt",
)
@click.option("--target", metavar="T", help="Target of turns that name none (default: the site's default target).")
@click.option(
    "--resume",
    is_flag=False,
    flag_value=_LAST,
    metavar="[ID]",
    help="Continue a conversation (default: the one used last).",
)
@planner_option
@run_options
@click.pass_context
def chat(ctx: click.Context, /, target: str | None, resume: str | None, planner: str | None, **options: Any) -> None:
    """Ask in a conversation. Each line is read, previewed, approved and run as by `aishell ask`.

    What a line leaves out is taken from the lines before: "now the same for orders", "and on crm?", "only older than 30 days".
    "do it" plans, previews and asks for what was previewed last; it approves nothing. Ctrl-D ends the conversation.

    Lines and what they came to are kept in state.db, passwords masked, until they are deleted or pruned.
    """
    if ctx.invoked_subcommand is not None:
        return
    from aishell.state.runs import who

    site = open_site(ctx)
    treat_sigterm_as_interrupt()
    if resume is not None and target is not None:
        raise UsageError("--target is for a new conversation", hint="name the target in a line of this one")
    if target is not None:
        site.target(target)  # raises UnknownNameError for an unknown one
    known = site.conversations
    begun = known.begin(who(), target or "") if resume is None else known.find(None if resume == _LAST else resume)
    ctx.exit(_Talk(ctx, site, begun.id, planner, options).hold())


@chat.command("list", cls=ShowsExamples, epilog="Examples:  aishell chat list   ·   aishell chat list --output json")
@OUTPUT
@click.pass_context
def list_(ctx: click.Context, /, output: str) -> None:
    """List conversations, the one used last first."""
    from aishell.cli.listing import show_rows

    rows = [
        {
            "conversation": one.id if output == "json" else one.id[:8],
            "target": one.target or None,
            "turns": turns,
            "begun_with": first if output == "json" else first if len(first) <= 60 else f"{first[:59]}…",
            "by": one.begun_by,
            "used_at": one.used_at,
        }
        for one, turns, first in _conversations(open_files(ctx))
    ]
    show_rows(rows, output, empty="there are no conversations", least=("by",), moments=("used_at",))


@chat.command(cls=ShowsExamples, epilog="Examples:  aishell chat show 3f2a   ·   aishell chat show 3f2a --output json")
@click.argument("conversation_id", metavar="ID")
@OUTPUT
@click.pass_context
def show(ctx: click.Context, /, conversation_id: str, output: str) -> None:
    """Show each line of a conversation, what was read in it and what it came to."""
    from aishell.asking.conversing import described
    from aishell.moments import at

    site = open_files(ctx)
    one = site.conversations.find(conversation_id)
    turns = site.conversations.turns(one.id)
    if output == "json":
        write_json({**asdict(one), "turns": [asdict(turn) for turn in turns]})
        return
    where = f" on {one.target}" if one.target else ""
    say(printable(f"conversation {one.id[:8]}{where}, begun by {one.begun_by} on {at(one.begun_at)}"))
    if one.summary:
        by = f"by the model {one.model['name']}" if one.model else "counted"
        say(printable(f"summary of the turns up to {one.summed_up} ({by}): {one.summary}"))
    for turn in turns:
        say()
        say(printable(f"{turn.number}  {turn.text}"), style="cyan")
        for phrase in described(turn.request or {}):
            say(printable(f"   read as {phrase}"))
        for line in turn.reply.splitlines():
            say(printable(f"   {line}"))
        for run in turn.work.get("runs", ()):
            say(printable(f"   run {run[:8]}"))
        if turn.work.get("workflow"):
            say(printable(f"   workflow run {turn.work['workflow'][:8]}"))
        say(f"   {'did not end' if turn.exit_code is None else f'exit {turn.exit_code}'}")


@chat.command(cls=ShowsExamples, epilog="Examples:  aishell chat delete 3f2a   ·   aishell chat delete 3f2a --yes")
@click.argument("conversation_id", metavar="ID")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.pass_context
def delete(ctx: click.Context, /, conversation_id: str, yes: bool) -> None:
    """Delete a conversation with its lines, answers and summary. Runs that it began, and the audit log, stay."""
    from aishell.cli.asking import confirm
    from aishell.state.runs import who

    site = open_files(ctx)
    one = site.conversations.find(conversation_id)
    turns = site.conversations.turns(one.id)
    runs = len(runs_of(turns))
    told = f"conversation {one.id[:8]}: {len(turns)} turn(s){' and a summary' if one.summary else ''}"
    if not yes:
        if not interactive(False, "table"):
            raise UsageError("there is no one to ask", hint="delete it with --yes")
        if not confirm(printable(f"Delete {told}?")):
            say("nothing was deleted")
            ctx.exit(5)
    site.conversations.delete(one.id, who())
    say(printable(f"deleted {told}; {runs} run(s) that it began and the audit log stay"))


def _conversations(site: SiteFiles) -> list[tuple[Conversation, int, str]]:
    return site.conversations.all() if site.state_path.exists() else []


def _fill_history(turns: Sequence[Turn]) -> None:
    """Make the earlier lines available with the arrow keys."""
    with suppress(ImportError):  # a Python without readline
        import readline

        readline.clear_history()
        for one in turns:
            readline.add_history(one.text)


def _unfinished(site: SiteFiles, turns: Sequence[Turn]) -> Iterator[str]:
    """Yield what the last turn left behind, if it did not end."""
    from aishell.state.locks import is_held

    for one in turns:
        if one.exit_code is not None or one.number != turns[-1].number:
            continue
        runs = [site.runs.find(run) for run in one.work.get("runs", ())]
        going = [row for row in runs if row.ended_at is None and not is_held(site.run_lock(row.id))]
        for row in going:
            resumed = command("runs", "resume", row.id[:8])
            yield f"turn {one.number} did not end: its run {row.id[:8]} was cut off; `{resumed}` goes on with it"
        if one.work.get("workflow"):
            yield f"turn {one.number} did not end: see `{command('workflows', 'show', one.work['workflow'][:8])}`"
        elif not runs:
            yield f"turn {one.number} did not end; nothing was begun"


class _Talk:
    """A conversation on standard input."""

    def __init__(
        self,
        ctx: click.Context,
        site: Site,
        conversation: str,
        planner: str | None,
        options: dict[str, Any],
    ) -> None:
        self._ctx, self._site, self._planner, self._options = ctx, site, planner, options
        self._id = conversation
        self._json = options["output"] == "json"
        self._person = sys.stdin.isatty()

    def hold(self) -> int:
        """Read and handle lines until the end. Return the worst exit code of the turns."""
        conversation, codes = self._site.conversations.find(self._id), [0]
        self._greet(conversation)
        while codes[-1] != 130 and (line := self._line()) is not None and line.casefold() not in _LEAVE:
            if line:
                codes.append(self._turn(line))
        if self._person:
            say(f"conversation {self._id[:8]}: go on with `{command('chat', '--resume', self._id[:8])}`", err=True)
        return worst(codes)

    def _line(self) -> str | None:
        """Return the next line, or None at the end of input. Ctrl-C at the prompt also ends it, and interrupts nothing."""
        try:
            line = typed("> " if self._person else "")
        except KeyboardInterrupt:
            say()
            return None
        return None if line is None else line.strip()

    def _greet(self, conversation: Conversation) -> None:
        where = f" on {conversation.target}" if conversation.target else ""
        say(printable(f"conversation {conversation.id[:8]}{where}"), err=True)
        turns = self._site.conversations.turns(conversation.id)
        if self._person:
            _fill_history(turns)
            say("Say what is to be done, or ask; Ctrl-D leaves.", err=True)
        if conversation.summary:
            say(printable(conversation.summary), err=True)
        for one in turns[-3:]:
            say(printable(f"{one.number}  {one.text}"), err=True)
        for line in _unfinished(self._site, turns):
            say(printable(line), style="yellow", err=True)

    def _turn(self, line: str) -> int:
        text = redact(line)  # no request needs a password
        try:
            number = self._site.conversations.say(self._id, text)
        except UsageError as error:
            self._failed(error, None)
            return error.exit_code
        outcome = _Kept(self._site.conversations, self._id, number)
        try:
            code = self._answered(text, number, outcome)
        except AishellError as error:
            outcome.reply(error.message)
            self._failed(error, number)
            code = error.exit_code
        except KeyboardInterrupt:
            outcome.end(130)
            raise
        outcome.end(code)
        self._compress()
        return code

    def _answered(self, text: str, number: int, outcome: _Kept) -> int:
        from aishell.asking.conversing import context_of
        from aishell.asking.reader import read_request

        known = self._site.conversations
        turns = [one for one in known.turns(self._id) if one.number < number]
        context = context_of(known.find(self._id), turns)
        reading = read_request(self._site, text, (), self._planner, context)
        if reading.request.unclear and interactive(self._options["non_interactive"], self._options["output"]):
            reading = asked_which(self._site, reading)
        reading = replace(reading, turn={"id": self._id, "turn": number})
        outcome.read(reading)
        whole: dict[str, Any] = {"targets": (), "every": False, "label": None, "url": None, "environment": None}
        return answer_or_run(self._ctx, self._site, reading, given=False, outcome=outcome, **whole, **self._options)

    def _failed(self, error: AishellError, number: int | None) -> None:
        log_failure(error, error)
        say_error(error)
        if self._json:
            write_error(error, request={"conversation": {"id": self._id, "turn": number}})

    def _compress(self) -> None:
        from aishell.asking.conversing import compress
        from aishell.site import RULES

        known = self._site.conversations
        told = compress(self._site, known.find(self._id), known.turns(self._id), model=self._planner != RULES)
        if told is not None and self._person:
            say(printable(told), style="yellow", err=True)


class _Kept(Outcome):
    """Records the outcome of a turn as it becomes known, so that it survives a kill of the process."""

    def __init__(self, conversations: Conversations, conversation: str, number: int) -> None:
        self._conversations, self._id, self._number = conversations, conversation, number
        self._work: dict[str, Any] = {}
        self._replies: list[str] = []

    def read(self, reading: Reading) -> None:
        """Record how the text was read."""
        self._note(request=reading.as_json())
        if reading.target is not None:
            self._works(target=reading.target)

    def run(self, run_id: str) -> None:
        self._works(runs=[*self._work.get("runs", ()), run_id])

    def workflow(self, workflow_id: str) -> None:
        self._works(workflow=workflow_id)

    def reply(self, text: str) -> None:
        self._replies.append(text)

    def end(self, code: int) -> None:
        """Record the replies and the exit code."""
        self._note(reply="\n".join(self._replies), exit_code=code)

    def _note(self, **known: Any) -> None:
        self._conversations.note(self._id, self._number, **known)

    def _works(self, **more: Any) -> None:
        self._work.update(more)
        self._note(work=self._work)
