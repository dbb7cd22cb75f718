"""
Ids: minted, taken from the caller, or derived from the caller's text.

All ids are dashed lower-case UUID strings, the form in which they are stored and compared.
"""

import functools
import hashlib
import re
import uuid
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import uuid_utils
from uuid_utils import UUID, uuid7

from aicore_sqllog.process import hooks
from aicore_sqllog.values.text import clean_text

__all__ = [
    "UUID",
    "message_id",
    "message_ids",
    "mint",
    "minted_at",
    "operation_id",
    "parse_uuid",
    "session_id",
    "uuid7",
]

NAMESPACE = uuid.UUID("6f0d9c1e-5b1c-5d0e-9a37-2f1f6f1f9a55")
"""The namespace of every derived id. Changing it would orphan what is stored."""

_CANONICAL = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)


_VARIANTS = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
"""A hexadecimal digit with the two bits of RFC 9562's variant in the place of its first two."""


def mint() -> str:
    """
    Return a new UUIDv7 (RFC 9562): the ids of one process sort in the order of the calls.

    The time part never steps back, even when the clock does.
    """
    return str(uuid_utils.uuid7())


def minted_at(minted_id: str) -> datetime:
    """Return when *minted_id* was minted, to the millisecond."""
    return datetime.fromtimestamp(int(minted_id[:8] + minted_id[9:13], 16) / 1000, UTC)


def parse_uuid(value: object) -> str | None:
    """Return the id that *value* is: a ``uuid.UUID`` or the canonical 36-character text; else None."""
    if isinstance(value, uuid.UUID | uuid_utils.UUID):
        return str(value)
    if isinstance(value, str) and _CANONICAL.fullmatch(value):
        return value.lower()
    return None


@functools.lru_cache(maxsize=4096)  # a conversation has many calls, and the hash costs more than a row
def session_id(workspace: str | None, key: str) -> str:
    """Return the id of the session that the caller calls *key*: a UUIDv5 of (workspace, key)."""
    scope = "-" if workspace is None else f"+{clean_text(workspace)}"
    return str(uuid.uuid5(NAMESPACE, f"session\n{len(scope)}\n{scope}\n{clean_text(key)}"))


def operation_id(key: str) -> str:
    """Return the id of the operation that the caller calls *key*: a UUIDv5 of the text."""
    return str(uuid.uuid5(NAMESPACE, f"operation\n{clean_text(key)}"))


def message_id(minted_id: str, number: int) -> str:
    """
    Return the id of message *number* of the record whose minted id is *minted_id*.

    A UUIDv8 (RFC 9562, section 5.8): the time part of the minted id, then 62 bits of a hash of
    both, so that the same record makes the same rows again, and rows arrive in key order.
    """
    return next(message_ids(minted_id, [number]))


def message_ids(minted_id: str, numbers: Iterable[int]) -> Iterator[str]:
    """Yield the ids of the messages *numbers* of a record: see :func:`message_id`."""
    prefix = f"{minted_id[:14]}8{minted_id[15:18]}-"
    begun = hashlib.blake2b(f"{minted_id}/".encode(), digest_size=8)
    for number in numbers:
        hasher = begun.copy()
        hasher.update(b"%d" % number)
        digest = hasher.hexdigest()
        yield f"{prefix}{_VARIANTS[digest[0]]}{digest[1:4]}-{digest[4:]}"


# A forked child inherits the random state of its parent and would mint the parent's ids.
hooks.in_child(hooks.Child.STATE, uuid_utils.reseed_rng)
