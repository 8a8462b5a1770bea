"""Who is a user of this host. The kernel names uids, and not each of them is a person's."""

from __future__ import annotations

import pwd
from pathlib import Path

from aishell.errors import DeniedError

#: Whom the kernel names where it knows no user: of another namespace, of NFS. Several people may be behind it.
NOBODY = 65534
#: The uids that users may have in namespaces of their own: `name:first:count`, a line each.
SUBORDINATE = Path("/etc/subuid")


def require_user(uid: int, *, at_socket: bool) -> None:
    """Raises DeniedError for a uid that is no user of this host, and so may be anybody.

    `at_socket`: a uid without an entry in the passwd database is refused there. Who can open the site needs none, as in a bare
    container: they could write its files.
    """
    if uid == NOBODY:
        raise DeniedError(f"uid {NOBODY} cannot decide: the kernel does not know who that is")
    whose = _lent(uid)
    if whose is not None:
        raise DeniedError(
            f"uid {uid} cannot decide: {SUBORDINATE} lends it to {whose}, who may be many in a namespace of their own",
            hint="answer as the user you are, outside of a container",
        )
    if at_socket:
        try:
            pwd.getpwuid(uid)
        except KeyError:
            raise DeniedError(
                f"uid {uid} cannot decide: it is not a user of this host (no entry in its passwd database)",
                hint="answer as a user that `getent passwd` knows",
            ) from None


def _lent(uid: int) -> str | None:
    """To whom a uid is lent. Raises DeniedError where that cannot be read."""
    try:
        lines = SUBORDINATE.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DeniedError(f"uid {uid} cannot decide: {SUBORDINATE} cannot be read: {error.strerror}") from error
    for line in lines:
        name, _, range_ = line.partition(":")
        first, _, count = range_.partition(":")
        if first.isdecimal() and count.isdecimal() and int(first) <= uid < int(first) + int(count):
            return name
    return None
