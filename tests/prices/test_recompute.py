"""Stored calls, priced again: what was computed or had no cost, on every database, in bounded transactions."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from aicore_sqllog import ConfigurationError, LogNotFoundError, SchemaError, polars_from_db, recompute, repricing
from tests.conftest import MakeHandler

M = 1_000_000
OLD, NEW = {"m": {"input": 1, "output": 2}}, {"m": {"input": 2, "output": 4}, "later": {"input": 1, "output": 1}}


def fields(model: str, **more: Any) -> dict[str, Any]:
    return {"provider": "p", "model": model, "input_tokens": 1_000, "output_tokens": 500, **more}


@pytest.fixture
def stored(make_handler: MakeHandler, log: logging.Logger) -> None:
    """Seven of each: computed, without a price so far, reported, without tokens, withheld."""
    handler = make_handler(prices=OLD)
    for _ in range(7):
        log.info("computed", extra=fields("m", extras={"kept": [1, {"é": None}]}))
        log.info("unknown", extra=fields("later"))
        log.info("reported", extra=fields("m", cost=0.5))
        log.info("no tokens", extra={"provider": "p", "model": "m"})
        log.info("withheld", extra=fields("m", capture_content=False))
    assert handler.flush()


def costs(url: str) -> dict[str, set[Any]]:
    found: dict[str, set[Any]] = {}
    for row in polars_from_db(url).iter_rows(named=True):
        own = json.loads(row["extras"])["sqllog"]
        found.setdefault(own.get("message", "withheld"), set()).add((row["cost"], own.get("cost_source")))
    return found


@pytest.mark.usefixtures("stored")
def test_only_what_was_computed_or_had_no_cost_is_priced_again(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repricing, "_ROWS", 4)
    before = costs(url)
    dry = recompute(url, prices=NEW, dry_run=True)
    assert costs(url) == before
    done = recompute(url, prices=NEW)
    assert dry == done
    assert (done.examined, done.changed) == (14, 14)
    assert [done.cost_before, done.cost_after] == pytest.approx([7 * 0.002, 7 * 0.004 + 7 * 0.0015])
    own = "computed by own prices"
    assert costs(url) == {
        **before,
        "computed": {(0.004, own)},
        "unknown": {(0.0015, own)},
    }
    extras = [json.loads(text) for text in polars_from_db(url, model="m")["extras"]]
    assert [each["kept"] for each in extras if "kept" in each] == [[1, {"é": None}]] * 7
    assert recompute(url, prices=NEW).changed == 0


@pytest.mark.usefixtures("stored")
@pytest.mark.backends("sqlite")
def test_calls_are_chosen_by_model_and_time(url: str) -> None:
    assert recompute(url, model="later", prices=NEW, dry_run=True).changed == 7
    assert recompute(url, model=["m", "none"], prices=NEW, dry_run=True).changed == 7
    assert recompute(url, end_date="2020-01-01", prices=NEW, dry_run=True).examined == 0
    assert recompute(url, start_date="2020-01-01", prices=NEW, dry_run=True).examined == 14


@pytest.mark.usefixtures("stored")
@pytest.mark.backends("sqlite")
def test_a_price_that_is_not_known_any_more_takes_none_away(url: str) -> None:
    before = costs(url)
    assert recompute(url, prices={"other": {"input": 1}}).changed == 0
    assert costs(url) == before


def test_it_is_refused_where_it_cannot_work(tmp_path: Path) -> None:
    with pytest.raises(LogNotFoundError, match="nothing is created"):
        recompute(f"sqlite:///{tmp_path / 'none.db'}")
    assert not (tmp_path / "none.db").exists()
    with pytest.raises(ConfigurationError, match="prices='off'"):
        recompute(f"sqlite:///{tmp_path / 'none.db'}", prices="off")
    other = f"sqlite:///{tmp_path / 'other.db'}"
    engine = sa.create_engine(other)
    with engine.begin() as connection:
        connection.execute(sa.text("create table t (a int)"))
    engine.dispose()
    with pytest.raises(SchemaError):
        recompute(other)
