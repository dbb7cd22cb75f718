"""
The kinds of fault, and the remedies that every database shares. Imports nothing of ours.
"""

from enum import Enum
from typing import NamedTuple

__all__ = ["Fault", "Kind", "Verdict"]


class Kind(Enum):
    """What may help against a fault."""

    CONTENTION = "contention"
    """The next attempt: another writer held a lock, which is no news unless it goes on."""
    TRANSIENT = "transient"
    """Time: a server that is away."""
    MISCONFIGURED = "misconfigured"
    """A person: a password, a right, a schema."""
    OVERSIZE = "oversize"
    """Smaller statements."""
    POISON = "poison"
    """Nothing: a record in the batch can never be stored."""
    UNEXPECTED = "unexpected"
    """Not known: perhaps the next attempt, perhaps a record in the batch is what nobody thought of."""


class Verdict(NamedTuple):
    """What a database says by an error: its kind, and the remedy, empty where time is the only one."""

    kind: Kind
    remedy: str = ""


class Fault(NamedTuple):
    """A fault, with its kind, what happened, and the remedy, empty where time is the only one."""

    kind: Kind
    summary: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.summary.rstrip('.')}. {self.remedy}".rstrip()


POISON = Verdict(Kind.POISON)
CONTENTION = Verdict(Kind.CONTENTION)
OVERSIZE = Verdict(Kind.OVERSIZE)
TRANSIENT = Verdict(Kind.TRANSIENT)
UNREACHABLE = Verdict(Kind.TRANSIENT, "Start the server, or check host and port in the connection.")
DISK_FULL = Verdict(Kind.TRANSIENT, "Free space on the database's disk.")
PASSWORD = Verdict(Kind.MISCONFIGURED, "Check user and password in the connection.")
RIGHTS = Verdict(Kind.MISCONFIGURED, "Grant the user the right to do this, or give another user in the connection.")
NO_DATABASE = Verdict(Kind.MISCONFIGURED, "Create the database, or give a user who may.")
NO_TABLES = Verdict(Kind.MISCONFIGURED, 'Run `aicore-sqllog upgrade`, or give SQLLogHandler migrate="auto".')
READ_ONLY = Verdict(Kind.MISCONFIGURED, "Give the connection of a database that can be written to.")
NO_FOLDER = Verdict(Kind.MISCONFIGURED, "Check that the folder is there and can be written to.")
CHARACTER_SET = Verdict(
    Kind.MISCONFIGURED,
    "Its character set cannot hold every text: give the connection one that can, such as charset=utf8mb4 on MySQL and "
    "MariaDB, or client_encoding=utf8 on PostgreSQL.",
)
