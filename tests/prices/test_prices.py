"""What a call cost: by the providers' lists, written here by hand, by own prices, and why there is none."""

import gzip
import json
import logging
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from aicore_sqllog import SQLLogHandler, polars_from_db
from aicore_sqllog.errors import ConfigurationError
from aicore_sqllog.prices.call import Call
from aicore_sqllog.prices.pricer import Pricer
from aicore_sqllog.prices.published import PublishedPrices
from tests.conftest import REPORT, MakeHandler

Rows = Callable[[], list[dict[str, Any]]]
M = 1_000_000

NOVEMBER = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def published() -> PublishedPrices:
    return PublishedPrices()


def call(model: str, tokens: tuple[int | None, int | None, int, int], **more: Any) -> Call:
    """A call of *model* with the tokens read and written, and of those read the ones from and to a cache."""
    read, written, cached, stored = tokens
    fields = {"provider": None, "at": NOVEMBER, "kind": "chat", "extras": {}} | more
    return Call(
        fields["provider"], model, None, fields["at"], fields["kind"], read, written, cached, stored, fields["extras"]
    )


DATED = [
    ("openai", "o3", datetime(2025, 6, 9, 23, 59, tzinfo=UTC), 10, 40),
    ("openai", "o3", datetime(2025, 6, 10, tzinfo=UTC), 2, 8),
    ("mistral_ai", "mistral-small-latest", datetime(2026, 3, 15, tzinfo=UTC), 0.1, 0.3),
    ("mistral_ai", "mistral-small-latest", datetime(2026, 3, 16, tzinfo=UTC), 0.15, 0.6),
    ("mistral_ai", "mistral-medium-latest", datetime(2026, 6, 15, tzinfo=UTC), 0.4, 2),
    ("mistral_ai", "mistral-medium-latest", datetime(2026, 6, 16, tzinfo=UTC), 1.5, 7.5),
    ("openai", "gpt-5.6-luna", datetime(2026, 7, 29, tzinfo=UTC), 1, 6),
    ("openai", "gpt-5.6-luna", datetime(2026, 7, 30, tzinfo=UTC), 0.2, 1.2),
    ("deepseek", "deepseek-chat", datetime(2025, 5, 1, 12, tzinfo=UTC), 0.27, 1.1),
    ("deepseek", "deepseek-chat", datetime(2025, 5, 1, 20, tzinfo=UTC), 0.135, 0.55),
]


@pytest.mark.parametrize(("provider", "model", "at", "read", "written"), DATED)
def test_the_price_is_that_of_the_call_s_time(
    published: PublishedPrices, provider: str, model: str, at: datetime, read: float, written: float
) -> None:
    price = published.price(call(model, (12_000, 3_000, 0, 0), provider=provider, at=at))
    assert price.cost == pytest.approx((12_000 * read + 3_000 * written) / M, rel=1e-12)
    assert str(price.source).startswith("computed by genai-prices ")


CACHED = [
    ("openai", "gpt-4o", (10_000, 500, 8_000, 0), (2_000 * 2.5 + 8_000 * 1.25 + 500 * 10) / M),
    ("openai", "gpt-4o-mini", (10_000, 500, 8_000, 0), (2_000 * 0.15 + 8_000 * 0.075 + 500 * 0.6) / M),
    ("openai", "gpt-4.1", (10_000, 500, 8_000, 0), (2_000 * 2 + 8_000 * 0.5 + 500 * 8) / M),
    ("openai", "gpt-5", (10_000, 500, 8_000, 0), (2_000 * 1.25 + 8_000 * 0.125 + 500 * 10) / M),
    ("openai", "gpt-5-mini", (10_000, 500, 9_000, 0), (1_000 * 0.25 + 9_000 * 0.025 + 500 * 2) / M),
    (
        "anthropic",
        "claude-sonnet-4-5",
        (10_000, 500, 6_000, 3_000),
        (1_000 * 3 + 6_000 * 0.3 + 3_000 * 3.75 + 500 * 15) / M,
    ),
    (
        "anthropic",
        "claude-opus-4-1",
        (10_000, 500, 6_000, 3_000),
        (1_000 * 15 + 6_000 * 1.5 + 3_000 * 18.75 + 500 * 75) / M,
    ),
    ("anthropic", "claude-3-5-haiku-20241022", (9_000, 90, 0, 9_000), (9_000 * 1 + 90 * 4) / M),
    ("gcp.gemini", "gemini-2.5-flash", (10_000, 500, 8_000, 0), (2_000 * 0.3 + 8_000 * 0.03 + 500 * 2.5) / M),
    ("gcp.vertex_ai", "gemini-2.5-pro", (10_000, 500, 8_000, 0), (2_000 * 1.25 + 8_000 * 0.125 + 500 * 10) / M),
]


@pytest.mark.parametrize(("provider", "model", "tokens", "cost"), CACHED)
def test_what_a_cache_holds_has_its_own_price(
    published: PublishedPrices, provider: str, model: str, tokens: tuple[int, int, int, int], cost: float
) -> None:
    assert published.price(call(model, tokens, provider=provider)).cost == pytest.approx(cost, rel=1e-12)


BATCHES = [
    ("openai", "gpt-4o", 1.25, 5),
    ("openai", "gpt-4o-mini", 0.075, 0.3),
    ("openai", "gpt-4.1", 1, 4),
    ("openai", "o3", 1, 4),
    ("openai", "gpt-5", 0.625, 5),
    ("openai", "gpt-5-mini", 0.125, 1),
    ("anthropic", "claude-sonnet-4-5", 1.5, 7.5),
    ("gcp.gemini", "gemini-2.5-flash", 0.15, 1.25),
    ("gcp.gemini", "gemini-2.5-pro", 0.625, 5),
    ("gcp.vertex_ai", "gemini-2.5-pro", 0.625, 5),
]


@pytest.mark.parametrize(("provider", "model", "read", "written"), BATCHES)
def test_a_batch_has_its_own_price(
    published: PublishedPrices, provider: str, model: str, read: float, written: float
) -> None:
    for extras in ({"batch": True}, {"usage": {"service_tier": "batch"}}):
        price = published.price(call(model, (40_000, 1_000, 0, 0), provider=provider, extras=extras))
        assert price.cost == pytest.approx((40_000 * read + 1_000 * written) / M, rel=1e-12)


TIERS = [
    ("openai", "gpt-4o", 1_000, {"service_tier": "priority"}, 4.25, 17),
    ("openai", "gpt-4o-mini", 1_000, {"service_tier": "priority"}, 0.25, 1),
    ("openai", "gpt-4.1", 1_000, {"service_tier": "priority"}, 3.5, 14),
    ("openai", "gpt-5", 1_000, {"service_tier": "flex"}, 0.625, 5),
    ("openai", "o3", 1_000, {"service_tier": "flex"}, 1, 4),
    ("openai", "gpt-5", 1_000, {"service_tier": "default"}, 1.25, 10),
    ("anthropic", "claude-sonnet-4-5", 200_000, {"usage": {"service_tier": "standard"}}, 3, 15),
    ("anthropic", "claude-sonnet-4-5", 200_001, {}, 6, 22.5),
    ("gcp.gemini", "gemini-2.5-pro", 200_000, {"usageMetadata": {"trafficType": "ON_DEMAND"}}, 1.25, 10),
    ("gcp.gemini", "gemini-2.5-pro", 200_001, {}, 2.5, 15),
]


@pytest.mark.parametrize(("provider", "model", "read", "extras", "of_input", "of_output"), TIERS)
def test_a_tier_has_its_own_price(
    published: PublishedPrices,
    provider: str,
    model: str,
    read: int,
    extras: dict[str, Any],
    of_input: float,
    of_output: float,
) -> None:
    price = published.price(call(model, (read, 700, 0, 0), provider=provider, extras=extras))
    assert price.cost == pytest.approx((read * of_input + 700 * of_output) / M, rel=1e-12)


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (call("gpt-none", (9, 9, 0, 0), provider="openai"), "none: unknown model"),
        (call("my-own", (9, 9, 0, 0)), "none: unknown model"),
        (call("gpt-4o", (9, 9, 0, 0), provider="ollama"), "none: unknown provider"),
        (call("gpt-4o", (9, 9, 0, 0), provider="my-openai-proxy"), "none: unknown provider"),
        (call("ft:gpt-5:acme::x", (9, 9, 0, 0), provider="openai"), "none: unknown model"),
        (
            call("gpt-4o", (9, 9, 0, 0), provider="openai", extras={"service_tier": "flex"}),
            "none: no price for service_tier 'flex'",
        ),
        (
            call("gpt-4o", (9, 9, 0, 0), provider="azure.ai.openai", extras={"service_tier": "priority"}),
            "none: no price for service_tier 'priority'",
        ),
        (
            call("claude-3-haiku-20240307", (9, 9, 0, 0), provider="anthropic", extras={"batch": True}),
            "none: no price for processing 'batch'",
        ),
        (call("gpt-4o", (9, None, 0, 0), provider="openai"), "none: the counts do not tell it"),
        (call("gpt-4o", (9, 9, 10, 0), provider="openai"), "none: the counts do not tell it"),
    ],
)
def test_what_is_not_known_is_not_guessed(published: PublishedPrices, found: Call, why: str) -> None:
    assert published.price(found) == (None, why)


def test_other_units_of_an_answer_are_priced_too(published: PublishedPrices) -> None:
    usage = {"cache_creation": {"ephemeral_1h_input_tokens": 2_000}, "server_tool_use": {"web_search_requests": 3}}
    found = call("claude-sonnet-4-5", (10_000, 500, 0, 3_000), provider="anthropic", extras={"usage": usage})
    by_hand = (7_000 * 3 + 1_000 * 3.75 + 2_000 * 6 + 500 * 15) / M + 3 * 10 / 1_000
    assert published.price(found).cost == pytest.approx(by_hand, rel=1e-12)
    audio = {"promptTokensDetails": [{"modality": "AUDIO", "tokenCount": 4_000}, {"modality": "TEXT"}]}
    found = call("gemini-2.5-flash", (5_000, 100, 0, 0), provider="gcp.gemini", extras={"usageMetadata": audio})
    assert published.price(found).cost == pytest.approx((1_000 * 0.3 + 4_000 * 1 + 100 * 2.5) / M, rel=1e-12)


def test_the_quick_way_is_that_of_the_library(published: PublishedPrices) -> None:
    genai_prices = pytest.importorskip("genai_prices")
    providers = sys.modules["genai_prices.data_snapshot"].get_snapshot().providers
    compared = 0
    for provider in providers:
        if provider.id not in ("openai", "anthropic", "google", "mistral", "groq", "deepseek", "x-ai", "aws"):
            continue
        for model in provider.models:
            for tokens in ((1_000, 300, 0, 0), (300_000, 7, 200_000, 0), (9_999, 1, 5_000, 4_999)):
                found = call(model.id, tokens, provider=provider.id)
                price = published.price(found)
                if price.cost is None:
                    continue
                names = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
                usage = genai_prices.Usage(**dict(zip(names, tokens, strict=True)))
                stands = genai_prices.calc_price(
                    usage, model.id, provider_id=provider.id, genai_request_timestamp=NOVEMBER
                )
                assert price.cost == pytest.approx(float(stands.total_price), rel=1e-12), (model.id, tokens)
                compared += 1
    assert compared > 800


# -- in a handler ----------------------------------------------------------------------------------------


@pytest.fixture
def rows(url: str, log: logging.Logger) -> Rows:
    def read() -> list[dict[str, Any]]:
        for handler in log.handlers:
            assert isinstance(handler, SQLLogHandler)
            assert handler.flush()
        frame = polars_from_db(url, order_by="operation_id")
        return [{**row, "own": json.loads(row["extras"])["sqllog"]} for row in frame.iter_rows(named=True)]

    return read


MINI = {"provider": "openai", "model": "gpt-4o-mini", "input_tokens": 1_000, "output_tokens": 100}
OF_MINI = (1_000 * 0.15 + 100 * 0.6) / M
ONE = pytest.mark.backends("sqlite")


def test_a_record_without_a_cost_gets_one_and_says_where_it_is_from(
    make_handler: MakeHandler, rows: Rows, log: logging.Logger
) -> None:
    make_handler()
    log.info("computed", extra=MINI)
    log.info("value by value", extra={"llm": {**MINI, "completion_args": {"service_tier": "priority"}}})
    log.info("given", extra={**MINI, "cost": 0.5})
    log.info("unknown", extra={**MINI, "model": "gpt-none"})
    log.info("no tokens", extra={"provider": "openai", "model": "gpt-4o-mini"})
    log.info("wrong", extra={**MINI, "cost": "much"})
    log.info("withheld", extra={**MINI, "capture_content": False})
    log.info("answer", extra={"llm": {"response": {**ANSWER, "usage": {**ANSWER["usage"], "cost": 0.25}}}})
    found = rows()
    assert [row["cost"] for row in found] == [
        pytest.approx(OF_MINI),
        pytest.approx((1_000 * 0.25 + 100 * 1) / M),
        0.5,
        None,
        None,
        None,
        pytest.approx(OF_MINI),
        0.25,
    ]
    sources = [str(row["own"].get("cost_source")).split(" 0.")[0] for row in found]
    computed = "computed by genai-prices"
    assert sources == [computed, computed, "None", "none: unknown model", "None", "None", computed, "reported"]


ANSWER: dict[str, Any] = {
    "id": "gen-1",
    "object": "chat.completion",
    "model": "openai/gpt-4o-mini",
    "provider": "OpenAI",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Hi"}}],
    "usage": {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10},
}


@ONE
@pytest.mark.parametrize("kind", ["mapping", "file", "function"])
def test_own_prices_win(kind: str, make_handler: MakeHandler, rows: Rows, log: logging.Logger, tmp_path: Path) -> None:
    table = {"openai/gpt-4o-mini": {"input": 2, "output": 3}, "mine": {"input": 1, "output": 1}}
    (tmp_path / "prices.json").write_text(json.dumps(table))

    def own(found: Any) -> float | None:
        assert isinstance(found["timestamp"], datetime)
        if found["model"] == "mine":
            return float((found["input_tokens"] + found["output_tokens"]) / M)
        return 0.0023 if found["model"] == "gpt-4o-mini" else None

    make_handler(prices={"mapping": table, "file": str(tmp_path / "prices.json"), "function": own}[kind])
    for model in ("gpt-4o-mini", "mine", "gpt-4o"):
        log.info("x", extra={**MINI, "model": model})
    assert [row["cost"] for row in rows()] == pytest.approx([0.0023, 0.0011, (1_000 * 2.5 + 100 * 10) / M])
    assert [row["own"]["cost_source"].split(" 0.")[0] for row in rows()] == [
        "computed by own prices",
        "computed by own prices",
        "computed by genai-prices",
    ]


@ONE
def test_off_means_off_and_a_function_that_fails_costs_no_record(
    make_handler: MakeHandler, rows: Rows, log: logging.Logger
) -> None:
    heard: list[str] = []
    first = make_handler(prices="off")
    log.info("x", extra=MINI)
    assert first.flush()
    log.removeHandler(first)
    make_handler(prices=lambda found: 1 / 0, on_notice=lambda reason, text: heard.append(text))
    log.info("x", extra=MINI)
    off, failed = rows()
    first.close()
    assert (off["cost"], "cost_source" in off["own"]) == (None, False)
    assert (failed["cost"], failed["own"]["cost_source"]) == (None, "none: the function of prices= failed")
    assert heard == ["the function of prices= failed with ZeroDivisionError"]


@ONE
def test_where_the_extra_is_missing_it_is_told_once(
    make_handler: MakeHandler, rows: Rows, log: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    heard: list[tuple[str, str]] = []
    make_handler(on_notice=lambda reason, text: heard.append((reason, text)))
    log.info("x", extra={"provider": "openai", "model": "gpt-4o-mini", "latency_ms": 3})
    rows()
    assert heard == []
    for _ in range(3):
        log.info("x", extra=MINI)
        rows()
    ((reason, text),) = heard
    assert (reason, "aicore-sqllog[prices]" in text) == ("prices", True)
    assert {row["own"].get("cost_source") for row in rows()[1:]} == {"none: genai-prices is not installed"}


@pytest.mark.parametrize(
    "prices", [3, {"m": 3}, {"m": {"input": "x"}}, {"m": {"output": 1}}, {"m": {"input": 1, "in": 2}}, "none.json"]
)
def test_prices_that_cannot_work_are_refused(prices: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"prices.*Allowed"):
        SQLLogHandler("sqlite:///x.db", prices=prices)


# -- real events -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_computed_costs_of_real_events_against_those_reported(data: Path) -> None:
    said: list[str] = []
    pricer = Pricer(None, said.append)
    agree = priced = told = 0
    others: Counter[str] = Counter()
    for line in gzip.decompress((data / "aider_analytics" / "events.jsonl.gz").read_bytes()).splitlines():
        event = json.loads(line)
        found = event["properties"]
        if event["event"] != "message_send" or not found.get("cost"):
            continue
        told += 1
        tokens = (found["prompt_tokens"], found["completion_tokens"], 0, 0)
        price = pricer.price(call(found["main_model"], tokens, at=datetime.fromtimestamp(event["time"], UTC)))
        if price.cost is None:
            others[str(price.source)] += 1
            continue
        priced += 1
        if price.cost == pytest.approx(found["cost"], rel=0.01):
            agree += 1
        else:
            others[f"{found['main_model']} {'less' if found['cost'] < price.cost else 'more'} reported"] += 1
    REPORT.append(f"Costs of aider's events: {told} reported, {priced} computed, {agree} of them equal within 1 %")
    REPORT.extend(f"  {count:5} {what}" for what, count in others.most_common(12))
    assert said == []
    assert told > 1_000
    assert agree > 0.5 * priced
