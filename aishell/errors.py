"""Every error that aishell raises on purpose.

    AishellError                 1   something failed
    ├── UsageError               2   bad input or configuration; nothing was touched
    │   ├── SettingsError            a configuration file is wrong (file and line)
    │   ├── UntrustedError           others can change or read a file that is run or holds a secret
    │   ├── ToolFileError            a file in tools/ is wrong (file and line)
    │   ├── UnknownNameError         an unknown name, with the nearest known one
    │   ├── AmbiguousNameError       a prefix of several names
    │   ├── ParameterError           a parameter that a tool does not take, or a value outside its schema
    │   ├── PlanError                a plan that cannot run: cycle, unknown need or reference, capability missing
    │   ├── TargetUnavailableError   no connection could be made to the target
    │   │   └── NotTriedError            none was tried: its breaker is open
    │   └── StateError               state.db cannot be used in its present state
    ├── DatabaseError            1   the target refused or lost a statement (see `kind`)
    │   └── BreakerOpenError         no connection is tried for now, because several in a row failed
    ├── StepError                1   a step could not do its work
    │   ├── ReplacedError            the approved object was replaced by another of the same name
    │   ├── ArchiveError             an archive is damaged, or cannot be written
    │   └── BackupError              a backup is damaged or missing, or cannot be made or restored
    │       ├── NotAtHandError           something needed to read it is missing: a program, a key, a permission
    │       └── NotTakenError            the server rejected its contents
    ├── UnexpectedError          1   unexpected: a bug in aishell, in a tool's Python or in a hook
    ├── OutgrownError            1   a saved plan no longer fits the database
    ├── WaitingError             3   a person has to decide first
    ├── DeniedError              5   refused by policy, a constraint or a person
    │   ├── HeldError                a person has stopped all targets, or this one, until the hold is released
    │   └── HookError                a hook before something failed, and prevented it
    ├── ModelError               1   a language model gave no usable answer
    │   ├── ModelUnavailableError        its server cannot be reached, refuses, or breaks off
    │   ├── ModelMissingError            its server does not have the model
    │   ├── ModelTimeoutError            the whole request took longer than its timeout
    │   ├── ModelAnswerError             the response is not an answer, or not of the required form
    │   └── ModelBudgetError             the prompt does not fit the budget of tokens, or the model's context
    ├── TargetBusyError          6   another run holds the target
    └── InterruptedRunError    130   interrupted by the operator

The first line of a class's docstring is its default message; `exit_code` is the exit status of the command line; `hint`
says what to do next.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

#: The exit codes by precedence: of several, the first counts (model.md, Exit codes).
PRECEDENCE = (130, 1, 6, 5, 3, 4, 2, 0)


def worst(codes: Collection[int]) -> int:
    """Return the exit code of several runs together."""
    return next(code for code in PRECEDENCE if code in codes)


class AishellError(Exception):
    """Something failed."""

    exit_code = 1

    def __init__(self, message: str | None = None, *, hint: str | None = None) -> None:
        self.message = message or (self.__doc__ or type(self).__name__).strip().splitlines()[0]
        self.hint = hint
        super().__init__(self.message)


class UsageError(AishellError):
    """The request cannot be understood; nothing was touched."""

    exit_code = 2


class SettingsError(UsageError):
    """A configuration file is wrong."""


class UntrustedError(UsageError):
    """Others can change what would be run, or read what is secret."""


class ToolFileError(UsageError):
    """A tool file is wrong."""

    def __init__(self, path: str, line: int, message: str) -> None:
        self.path, self.line = path, line
        super().__init__(f"{path}:{line}: {message}")


#: The most characters of a name in a message; longer names are cut.
_LONGEST = 100


class UnknownNameError(UsageError):
    """A name is not known."""

    def __init__(self, kind: str, value: str, known: Iterable[str], where: str = "") -> None:
        import difflib  # few commands end here

        known, value = sorted(known), value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…"
        near = difflib.get_close_matches(value, known, n=1, cutoff=0.5)
        place = f" in {where}" if where else ""
        if near:
            hint = f"did you mean {near[0]!r}?"
        elif known:
            shown = ", ".join(known[:12]) + (f" and {len(known) - 12} more" if len(known) > 12 else "")
            hint = f"known: {shown}"
        else:
            hint = f"there is no {kind} here"
        self.value, self.nearest = value, near[0] if near else None
        super().__init__(f"unknown {kind} {value!r}{place}", hint=hint)


class AmbiguousNameError(UsageError):
    """Several names begin so."""

    def __init__(self, kind: str, beginning: str, names: Iterable[str]) -> None:
        several, beginning = sorted(names), beginning[:_LONGEST]
        shown = ", ".join(several[:12]) + (", …" if len(several) > 12 else "")
        super().__init__(f"ambiguous {kind} {beginning!r}", hint=f"these begin so: {shown}")


class ParameterError(UsageError):
    """A parameter does not fit its tool."""


class PlanError(UsageError):
    """The plan cannot run as it stands."""


class TargetUnavailableError(UsageError):
    """No connection could be made to the target."""


class NotTriedError(TargetUnavailableError):
    """No connection to the target was tried: its breaker is open."""


class StateError(UsageError):
    """The state store cannot be used as it is."""


class DatabaseError(AishellError):
    """The database refused or lost a statement.

    `kind` is one of: connect, connection_lost, lock_timeout, deadlock, serialization, too_many_connections, busy,
    statement_timeout, cancelled, permission, read_only, missing_object, disk_full, corruption, unsupported, moved, duplicate
    (the key already exists; MySQL and MariaDB), other.
    `code` is the engine's own code (SQLSTATE, errno, SQLite's name). `answered`: whether a server refused the connection.
    """

    #: Kinds where the statement had no effect and may succeed when it is sent again (durability.md, Retries).
    TRANSIENT = frozenset({"connect", "lock_timeout", "deadlock", "serialization", "too_many_connections", "busy"})

    def __init__(
        self, message: str, *, kind: str, code: str = "", hint: str | None = None, answered: bool = False
    ) -> None:
        self.kind, self.code, self.answered = kind, code, answered
        super().__init__(message, hint=hint)

    @property
    def transient(self) -> bool:
        return self.kind in self.TRANSIENT


class BreakerOpenError(DatabaseError):
    """No connection is tried for a while, since several in a row failed."""


class StepError(AishellError):
    """A step could not do its work."""


class ReplacedError(StepError):
    """Another object stands under the name of the one that was approved."""


class ArchiveError(StepError):
    """An archive is damaged or cannot be written."""


class BackupError(StepError):
    """A backup is damaged, is not there, or cannot be made or restored."""


class NotAtHandError(BackupError):
    """What it takes to look at a backup is not here: a program, a key, a permission, room. It says nothing of the backup."""


class NotTakenError(BackupError):
    """The server did not take what is in a backup."""


class UnexpectedError(AishellError):
    """Something happened that nobody foresaw."""


class OutgrownError(AishellError):
    """The database has changed since the plan was made."""


class WaitingError(AishellError):
    """A person has to decide before this can go on."""

    exit_code = 3


class DeniedError(AishellError):
    """Refused by policy or by a person."""

    exit_code = 5


class HeldError(DeniedError):
    """On hold: no new step begins until a person releases it."""


class HookError(DeniedError):
    """A hook that comes before something failed, and stopped it."""


class ModelError(AishellError):
    """A language model gave no answer that can be used. `answer`: its text as far as it came."""

    answer = ""


class ModelUnavailableError(ModelError):
    """The language model's server cannot be reached, refuses, or broke off.

    `transient`: no part of an answer had arrived; the same request may succeed later. `reached`: a server was.
    """

    def __init__(
        self, message: str | None = None, *, hint: str | None = None, transient: bool = False, reached: bool = True
    ) -> None:
        self.transient, self.reached = transient, reached
        super().__init__(message, hint=hint)


class ModelMissingError(ModelError):
    """The server does not have the language model."""


class ModelTimeoutError(ModelError):
    """The language model took longer than its timeout."""


class ModelAnswerError(ModelError):
    """The language model's answer cannot be used."""


class ModelBudgetError(ModelError):
    """The prompt does not fit the budget of tokens."""


class TargetBusyError(AishellError):
    """Another run holds the target."""

    exit_code = 6


class InterruptedRunError(AishellError):
    """Interrupted; the run can be resumed."""

    exit_code = 130
