"""Which account runs PostgreSQL: it refuses to run as root, so root lends it another one.

That account must reach the program and the data folder. Below a closed folder such as /root it cannot; instead of
opening that folder to everybody, the server gets the one capability to pass folder permissions (Linux, `setpriv`).
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lockstep.services.errors import DatabaseUnusable

CANDIDATES = ("postgres", "nobody")
CAPABILITIES = ("", "dac_read_search", "dac_override")


@dataclass(frozen=True)
class Account:
    """How PostgreSQL's programs are started.

    Attributes:
        uid: Owner of the data folder; None means the current user.
        gid: Its group.
        prefix: What goes in front of each command.
    """

    uid: int | None = None
    gid: int | None = None
    prefix: tuple[str, ...] = ()

    def own(self, path: Path) -> None:
        """Give the account a file or a folder with all that is in it."""
        if self.uid is None or self.gid is None:
            return
        for entry in (path, *path.rglob("*")):
            os.chown(entry, self.uid, self.gid, follow_symlinks=False)


def choose_account(data: Path, *, program: Path) -> Account:
    """Return the account for the data folder `data`.

    Raises:
        DatabaseUnusable: We are root and no other account can run the program there.
    """
    if os.geteuid() != 0:
        return Account()
    setpriv = shutil.which("setpriv")
    users = [user for name in CANDIDATES if (user := _user(name)) is not None]
    if setpriv is None or not users:
        raise DatabaseUnusable(
            data,
            problem="PostgreSQL does not run as root, and `setpriv` or an account to lend it (nobody) is missing",
            remedy="Run this as an ordinary user.",
        )
    user = users[0]
    for capability in CAPABILITIES:
        lent = (f"--inh-caps=+{capability}", f"--ambient-caps=+{capability}") if capability else ()
        change = (setpriv, f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups", *lent)
        if _reaches(change, data, program=program):
            return Account(user.pw_uid, user.pw_gid, change)
    raise DatabaseUnusable(
        data,
        problem=f"PostgreSQL does not run as root, and the account {user.pw_name} cannot reach {program}",
        remedy="Run this as an ordinary user, or move the project to a folder that every user may enter.",
    )


def _user(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _reaches(change: Sequence[str], data: Path, *, program: Path) -> bool:
    """Whether the account can start the program and see the folder around the data."""
    script = 'cd "$0" && exec "$1" --version'
    command = [*change, "/bin/sh", "-c", script, str(data.parent), str(program)]
    return subprocess.run(command, capture_output=True, check=False).returncode == 0
