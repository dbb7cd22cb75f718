"""What the database adds up equals what Polars makes of the same operations."""

import asyncio
import logging
import math
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import orjson
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aicore_sqllog import AsyncLogReader, LogReader
from aicore_sqllog.querying.buckets import EVERY
from tests.conftest import MakeHandler
from tests.support.servers import ONE_OF_EACH

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Pacific/Apia"]
FRACTIONS = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99}

# Around changes of clocks: Berlin's in spring and autumn, Lord Howe's of half an hour, the day that Apia skipped.
MOMENTS = st.one_of(
    st.datetimes(datetime(2026, 3, 28), datetime(2026, 3, 30)),
    st.datetimes(datetime(2026, 10, 24), datetime(2026, 10, 26)),
    st.datetimes(datetime(2026, 4, 4), datetime(2026, 4, 6)),
    st.datetimes(datetime(2011, 12, 29), datetime(2012, 1, 1)),
)
COUNTS = st.one_of(st.none(), st.integers(0, 12), st.integers(0, 2**31 - 1))
CALLS = st.fixed_dictionaries(
    {
        "timestamp": MOMENTS.map(lambda moment: moment.replace(tzinfo=UTC)),
        "provider": st.sampled_from([None, "openai", "OpenAI", "openai ", "é"]),
        "model": st.sampled_from([None, "a", "b"]),
        "status": st.sampled_from(["success", "error", "odd"]),
        "input_tokens": COUNTS,
        "output_tokens": COUNTS,
        "reasoning_tokens": COUNTS,
        "latency_ms": COUNTS,
        "time_to_first_token_ms": COUNTS,
        "cost": st.one_of(st.none(), st.floats(0, 1e3)),
        "extras": st.sampled_from([{}, {"tier": None}, {"tier": "pro"}, {"tier": 1}, {"tier": True}, {"tier": 0.5}]),
    }
)
BY = st.lists(st.sampled_from(["provider", "model", "status", ("extras", "tier")]), max_size=2, unique=True)


def sum_of(values: Sequence[Any]) -> Any:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def percentile(values: Sequence[Any], fraction: float) -> Any:
    known = sorted(value for value in values if value is not None)
    return known[math.ceil(fraction * len(known)) - 1] if known else None


def divided(above: Any, below: Any) -> Any:
    return above / below if above is not None and below else None


def measured(calls: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The measures of *calls*, in plain Python."""

    def get(name: str) -> list[Any]:
        return [call[name] for call in calls]

    costs = [cost for cost in get("cost") if cost is not None]
    totals = [
        (call["input_tokens"] or 0) + (call["output_tokens"] or 0)
        for call in calls
        if call["input_tokens"] is not None or call["output_tokens"] is not None
    ]
    fast = [(c["output_tokens"], c["latency_ms"]) for c in calls if c["output_tokens"] is not None and c["latency_ms"]]
    latencies = [latency for latency in get("latency_ms") if latency is not None]
    errors = get("status").count("error")
    return {
        "calls": len(calls),
        "error_calls": errors,
        "error_rate": divided(errors, len(calls)),
        **{
            name: sum_of(get(name))
            for name in (
                "input_tokens",
                "output_tokens",
                "cache_read_tokens",
                "cache_write_tokens",
                "reasoning_tokens",
            )
        },
        "total_tokens": sum_of(totals),
        "cost": sum_of(costs),
        "cost_per_call": divided(sum_of(costs), len(costs)),
        "unpriced_calls": len(calls) - len(costs),
        "latency_ms_mean": divided(sum_of(latencies), len(latencies)),
        **{f"latency_ms_{name}": percentile(latencies, fraction) for name, fraction in FRACTIONS.items()},
        "latency_ms_max": max(latencies, default=None),
        "time_to_first_token_ms_p50": percentile(get("time_to_first_token_ms"), 0.5),
        "output_tokens_per_second": divided(sum(t for t, _ in fast) * 1000, sum(ms for _, ms in fast)),
        "first_timestamp": min(get("timestamp"), default=None),
        "last_timestamp": max(get("timestamp"), default=None),
    }


def key_of(call: dict[str, Any], by: Sequence[Any]) -> tuple[Any, ...]:
    return tuple(tier(call) if isinstance(name, tuple) else call[name] for name in by)


def tier(call: dict[str, Any]) -> str | None:
    value = orjson.loads(call["extras"]).get("tier")
    return value if value is None or isinstance(value, str) else orjson.dumps(value).decode()


def bucket_of(moment: datetime, every: str, zone: ZoneInfo) -> datetime:
    """When the bucket of *moment* begins, by asking the zone for each candidate."""
    local = moment.astimezone(zone)
    if every in ("1m", "5m", "15m", "1h"):
        minutes = {"1m": 1, "5m": 5, "15m": 15, "1h": 60}[every]
        naive = local.replace(tzinfo=None, minute=local.minute // minutes * minutes, second=0, microsecond=0)
        start = (naive - (local.utcoffset() or timedelta(0))).replace(tzinfo=UTC)
        while start.astimezone(zone).utcoffset() != local.utcoffset():
            start += timedelta(minutes=1)  # until the clocks have changed
        return start
    day = local.replace(tzinfo=None, minute=0, second=0, microsecond=0)
    first = {
        "6h": day.replace(hour=day.hour // 6 * 6),
        "1d": day.replace(hour=0),
        "1w": day.replace(hour=0) - timedelta(days=day.weekday()),
        "1mo": day.replace(day=1, hour=0),
    }[every]
    return first.replace(tzinfo=zone).astimezone(UTC)


def assert_same(found: pl.DataFrame, expected: dict[tuple[Any, ...], dict[str, Any]], keys: Sequence[str]) -> None:
    assert found.height == len(expected)
    for row in found.iter_rows(named=True):
        wanted = expected[tuple(row[key] for key in keys)]
        for name, value in wanted.items():
            is_close = isinstance(value, float) and isinstance(row[name], float)
            close = is_close and math.isclose(row[name], value, rel_tol=1e-9, abs_tol=1e-12)
            assert close or row[name] == value, (name, row[name], value)


def in_order(keys: Sequence[Any]) -> bool:
    return list(keys) == sorted(keys, key=lambda key: [(part is None, part or "") for part in key])


def names_of(by: Sequence[Any]) -> list[str]:
    return [".".join(name) if isinstance(name, tuple) else name for name in by]


def check_once(url: str, handler: Any, log: logging.Logger, examples: int) -> None:
    run = 0
    log.info("", extra={"llm": {}})  # it makes the tables

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(
        calls=st.lists(CALLS, max_size=25), by=BY, every=st.sampled_from(EVERY), zone=st.sampled_from(ZONES), at=MOMENTS
    )
    def hold(calls: list[dict[str, Any]], by: list[Any], every: str, zone: str, at: datetime) -> None:
        nonlocal run
        run += 1
        for call in calls:
            log.info("", extra={"llm": {**call, "action_id": str(run)}})
        assert handler.flush()
        filters: dict[str, Any] = {"action_id": str(run), "start_date": at.replace(year=2011)}
        with LogReader(url) as reader:
            stored = reader.operations(**filters).to_dicts()
            groups: dict[tuple[Any, ...], list[Any]] = {} if by else {(): []}
            for call in stored:
                groups.setdefault(key_of(call, by), []).append(call)
            frame = reader.summary(by=by, **filters)
            assert_same(frame, {key: measured(group) for key, group in groups.items()}, names_of(by))
            assert not by or in_order(frame.select(names_of(by)).rows())
            check_timeseries(reader, stored, by, every, zone, filters)
        assert_twin(url, frame, by, filters)

    hold()


def check_timeseries(
    reader: LogReader, stored: list[dict[str, Any]], by: list[Any], every: str, zone: str, filters: dict[str, Any]
) -> None:
    days = [call["timestamp"] for call in stored if call["timestamp"].year == 2026]
    near = {**filters, "start_date": min(days, default=datetime(2026, 1, 1)) if every != "1mo" else None}
    if every in ("1m", "5m") and days and max(days) - min(days) > timedelta(days=3):
        near["end_date"] = min(days) + timedelta(days=3)
    calls = reader.operations(**near).to_dicts()
    frame = reader.timeseries(every, by, tz=zone, **near)
    groups: dict[tuple[Any, ...], list[Any]] = {}
    for call in calls:
        begins = bucket_of(call["timestamp"], every, ZoneInfo(zone))
        groups.setdefault((begins, *key_of(call, by)), []).append(call)
    full = frame.filter(pl.col("calls") > 0).with_columns(pl.col("bucket").dt.convert_time_zone("UTC"))
    assert_same(full, {key: measured(group) for key, group in groups.items()}, ["bucket", *names_of(by)])
    empty = frame.filter(pl.col("calls") == 0)
    assert empty["cost"].null_count() == empty.height
    assert empty["error_calls"].sum() == 0
    starts = frame["bucket"].unique(maintain_order=True)
    assert starts.is_sorted()
    assert frame.schema["bucket"] == pl.Datetime("us", zone)
    assert frame.height == starts.len() * max(1, frame.select(names_of(by)).unique().height if by else 1)


def assert_twin(url: str, expected: pl.DataFrame, by: list[Any], filters: dict[str, Any]) -> None:
    async def ask() -> pl.DataFrame:
        async with AsyncLogReader(url) as reader:
            return await reader.summary(by, **filters)

    assert asyncio.run(ask()).equals(expected)


@ONE_OF_EACH
def test_groups_equal_the_same_in_polars(make_handler: MakeHandler, log: logging.Logger, url: str) -> None:
    check_once(url, make_handler(), log, examples=6)


@pytest.mark.long
def test_groups_equal_the_same_in_polars_300_times(make_handler: MakeHandler, log: logging.Logger, url: str) -> None:
    check_once(url, make_handler(), log, examples=300)
