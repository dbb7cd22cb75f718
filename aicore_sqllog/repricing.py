"""
recompute: stored calls are priced again, by newer prices or the owner's.
"""

import math
import operator
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from aicore_sqllog.capture.pricing import COST_SOURCE, PRICED, price_of
from aicore_sqllog.errors import ConfigurationError, LogNotFoundError
from aicore_sqllog.prices.call import Price
from aicore_sqllog.prices.pricer import Pricer, Prices, make_pricer
from aicore_sqllog.process.notices import tell_on_stderr
from aicore_sqllog.querying.conditions import matching
from aicore_sqllog.querying.failures import LogState, translated
from aicore_sqllog.querying.filters import LogFilter
from aicore_sqllog.record.notes import OWN_KEY
from aicore_sqllog.storage.connection import Connection, Place, resolve
from aicore_sqllog.storage.engines import open_database
from aicore_sqllog.storage.faults import without_values
from aicore_sqllog.storage.models import LlmOperation
from aicore_sqllog.storage.preparation import prepare

__all__ = ["Recomputed", "recompute"]

_ROWS = 500
_COMPUTED = "computed"
_COLUMNS = [*PRICED, "operation_id", "timestamp", "cost", "extras"]


class Recomputed(NamedTuple):
    """What :func:`recompute` has found, and changed unless it was a dry run."""

    examined: int
    """How many calls have tokens, and a cost that was computed or none."""
    changed: int
    """How many of them have another cost than before."""
    cost_before: float
    """The sum of what was computed before."""
    cost_after: float
    """The sum of what is computed now."""


def recompute(
    connection: Connection | None = None,
    *,
    model: str | Sequence[str] | None = None,
    start_date: datetime | date | str | None = None,
    end_date: datetime | date | str | None = None,
    prices: Prices = "auto",
    dry_run: bool = False,
    schema: str | None = None,
) -> Recomputed:
    """
    Price stored calls again that have tokens, and return the sums before and after.

    Only a cost that was computed, or that there is none, is replaced; never one that was reported. Of a call whose
    texts were withheld the service tier is not known any more: it stays as it is, and so does one that has no price
    today. Each transaction changes some hundred rows at most, so that it can be stopped, and begun again, at any time.

    Args:
        connection: As for :class:`SQLLogHandler`.

        model, start_date, end_date: Which calls, as for :meth:`LogReader.operations`.

        prices: As for :class:`SQLLogHandler`.

        dry_run: Change nothing.

        schema: The database schema of the tables, where it is not the default one.

    Raises:
        ConfigurationError: If the connection or the prices cannot work.
        LogNotFoundError: If the SQLite file is not there.
        SchemaError: If the tables are not there, or older than this version.
        DatabaseError: If the database refuses; what was changed before stays so.
    """
    pricer = make_pricer(prices, partial(tell_on_stderr, "prices"), lambda call: call)
    if pricer is None:
        raise ConfigurationError("prices='off' cannot work here. Allowed: 'auto', or prices of your own.")
    chosen = LogFilter.of({"model": model, "start_date": start_date, "end_date": end_date})
    place = resolve(connection, schema=schema)
    _require_file(place)
    database = open_database(place)
    say = partial(tell_on_stderr, "revision")
    total, last = Recomputed(0, 0, 0.0, 0.0), None
    try:
        prepare(database, place, None, "check", say)
        while True:
            found, last = database.run(_Page(pricer, chosen, last, dry_run))
            examined, changed, before, after = map(operator.add, total, found)
            total = Recomputed(int(examined), int(changed), before, after)
            if last is None:
                return total
    except SQLAlchemyError as exc:
        raise translated(exc, place, LogState.CURRENT) from without_values(exc)
    finally:
        database.close()


def _require_file(place: Place) -> None:
    if place.file is not None and not place.file.exists():
        raise LogNotFoundError(f"There is no log at {place.file}: the file does not exist, and nothing is created.")


class _Page:
    """One transaction: the next rows, and what is new about them."""

    def __init__(self, pricer: Pricer, chosen: LogFilter, last: Any, dry_run: bool) -> None:
        self._pricer = pricer
        self._chosen = chosen
        self._last = last
        self._dry_run = dry_run

    def __call__(self, connection: sa.Connection) -> tuple[Recomputed, Any]:
        """Return what was found, and the id of the last row; None if there are no more."""
        rows = connection.execute(self._select()).mappings().all()
        examined, changes = 0, []
        before, after = [], []
        for row in rows:
            price = self._price(row)
            if price is None:
                continue
            examined += 1
            cost = row["cost"] if price.cost is None else price.cost
            before.append(row["cost"] or 0.0)
            after.append(cost or 0.0)
            if cost != row["cost"]:
                changes.append({"row": row["operation_id"], "cost": cost, "extras": _with_source(row["extras"], price)})
        if changes and not self._dry_run:
            table = LlmOperation.__table__
            assert isinstance(table, sa.Table)
            update = sa.update(table).where(table.c.operation_id == sa.bindparam("row"))
            connection.execute(update.values(cost=sa.bindparam("cost"), extras=sa.bindparam("extras")), changes)
        found = Recomputed(examined, len(changes), math.fsum(before), math.fsum(after))
        return found, rows[-1]["operation_id"] if len(rows) == _ROWS else None

    def _select(self) -> sa.Select[Any]:
        columns = [getattr(LlmOperation, name) for name in _COLUMNS]
        select = matching(sa.select(*columns), self._chosen)
        has_tokens = sa.or_(LlmOperation.input_tokens.is_not(None), LlmOperation.output_tokens.is_not(None))
        select = select.where(has_tokens).order_by(LlmOperation.operation_id).limit(_ROWS)
        return select if self._last is None else select.where(LlmOperation.operation_id > self._last)

    def _price(self, row: Mapping[Any, Any]) -> Price | None:
        """Return the price of *row*; None where its cost was reported, or cannot be told any more."""
        extras = row["extras"] if isinstance(row["extras"], dict) else {}
        notes = extras.get(OWN_KEY)
        notes = notes if isinstance(notes, dict) else {}
        is_reported = row["cost"] is not None and not str(notes.get(COST_SOURCE, "")).startswith(_COMPUTED)
        if is_reported or notes.get("capture_content") is False:
            return None
        request = notes.get("request")
        return price_of(
            self._pricer,
            row,
            row["timestamp"].replace(tzinfo=row["timestamp"].tzinfo or UTC),
            extras,
            request if isinstance(request, dict) else {},
        )


def _with_source(extras: Any, price: Price) -> dict[str, Any]:
    held = extras if isinstance(extras, dict) else {}
    notes = held.get(OWN_KEY)
    return {**held, OWN_KEY: {**(notes if isinstance(notes, dict) else {}), COST_SOURCE: price.source}}
