"""
The column types: the same values from every database, whatever SQLAlchemy's own would choose there.
"""

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

from aicore_sqllog.storage.dialects.lookup import dialect_of
from aicore_sqllog.values.text import NAME_LENGTH

__all__ = ["EncodedJson", "Id", "Json", "Name", "Text", "UtcDateTime"]


@dataclass(frozen=True, slots=True)
class EncodedJson:
    """JSON that is text already, made once by capture: bound as it is, never encoded again."""

    text: str


class Id(TypeDecorator[uuid.UUID]):
    """A UUID: native on PostgreSQL, elsewhere ``CHAR(36)``, dashed lower case. Binds a UUID or its text."""

    impl = sa.CHAR(36)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(dialect_of(dialect).identifier())

    def process_bind_param(self, value: uuid.UUID | str | None, dialect: Dialect) -> str | None:
        if value is None or type(value) is str:
            return value
        return str(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> uuid.UUID | None:
        return None if value is None else uuid.UUID(str(value))


class UtcDateTime(TypeDecorator[datetime]):
    """
    An instant, aware and in UTC with microseconds: ``timestamptz``, ``DATETIME(6)``, or sortable text on SQLite.

    A naive value that is bound means UTC.
    """

    impl = sa.DateTime
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(dialect_of(dialect).instant())

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        utc = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return utc if dialect_of(dialect).instants_have_zones else utc.replace(tzinfo=None)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        found: datetime = value
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


class Json(TypeDecorator[Any]):
    """A JSON document: ``JSONB`` on PostgreSQL, else ``JSON``; ``None`` is NULL. Binds :class:`EncodedJson` too."""

    impl = sa.JSON(none_as_null=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(dialect_of(dialect).json())

    def bind_processor(self, dialect: Dialect) -> Callable[[Any], Any]:
        # Overridden whole: the usual hook runs before the encoder, which would encode the text again.
        encode = super().bind_processor(dialect) or json.dumps

        def bind(value: Any) -> Any:
            return value.text if type(value) is EncodedJson else encode(value)

        return bind


class _BinaryText(TypeDecorator[str]):
    """Text that compares code point by code point, so that ``gpt-4`` is neither ``GPT-4`` nor ``gpt-4 ``."""

    impl: TypeEngine[Any] | type[TypeEngine[Any]] = sa.Text()
    cache_ok = True
    stored_length: int | None = None

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect_of(dialect).text(dialect, self.stored_length)


class Text(_BinaryText):
    """Text of any length (``LONGTEXT`` on MySQL and MariaDB)."""

    cache_ok = True


class Name(_BinaryText):
    """A name or an id as the caller wrote it, of 255 characters at most."""

    impl = sa.String(NAME_LENGTH)
    cache_ok = True
    stored_length = NAME_LENGTH
