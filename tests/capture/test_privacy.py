"""What must not be stored is not: no canary reaches the database's files or stderr, whatever a redactor does."""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aicore_sqllog import ConfigurationError, LlmOperationCollector, SQLLogHandler, llm_operation, llm_session
from aicore_sqllog.capture.privacy import OTEL_VARIABLE, OWN_VARIABLE
from aicore_sqllog.redactors import card_numbers, email_addresses, keys_and_tokens, phone_numbers, truncate
from tests.capture.test_redactors import PEM
from tests.conftest import MakeHandler
from tests.support.processes import run_python
from tests.support.servers import query

CANARY = "zq-canary-7731"


class Loud:
    """An object of the application's own, whose text is found only by looking."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return f"Loud({self._text})"


def deep(text: str, levels: int = 50) -> Any:
    value: Any = text
    for _ in range(levels):
        value = {text: [value]}
    return value


def everywhere(text: str) -> dict[str, Any]:
    """Return a record's fields with *text* in every place where a text can be."""
    return {
        "provider": "openai",
        "model": "m",
        "input_tokens": text,
        "timestamp": text,
        "cost": [text],
        "operation_id": text,
        "parent_operation_id": text,
        "response_model": [text],
        "error_message": text,
        "session_metadata": {text: [text]},
        "messages": [
            {"role": "system", "content": text},
            {
                "role": "user",
                "content": [{"type": "text", "text": text}, text, {"type": "image_url", "image_url": text}],
            },
            {"role": "assistant", "tool_calls": [{"function": {"name": text, "arguments": json.dumps({"a": text})}}]},
            {"role": "tool", "tool_call_id": text, "content": text, text: text},
            {"role": "user", "parts": [{"text": text}, {"type": "text", "content": text}]},
            {"role": f"{text} {text}", "content": {"text": text}},
            text,
            [text],
            text.encode(),
            Loud(text),
            deep(text),
        ],
        "response": {"role": "assistant", "content": text, "refusal": text, "reasoning": {text: text}},
        "completion_args": {"model": "m", "prompt": text, text: [text], "messages": text, "stop": {text}},
        "extras": {text: text, "list": [text, {text: (text,)}], "sqllog": text, "o": Loud(text), (1, text): deep(text)},
        "gen_ai.output.messages": json.dumps([{"role": "assistant", "parts": [{"type": "text", "content": text}]}]),
        "gen_ai.system_instructions": text,
        "prompt_tokens": text,
        text: text,
        "sqllog": text,
    }


def log_everywhere(log: logging.Logger, text: str, **more: Any) -> None:
    try:
        try:
            raise KeyError(text)
        except KeyError as exc:
            raise RuntimeError(text) from exc
    except RuntimeError:
        log.exception("failed with %s", text, extra={"llm": everywhere(text) | more, text: text}, stack_info=True)
    log.error(f"said {text}", extra={"llm": {"model": "m"} | more})
    log.info(text, extra={"model": "m", "messages": text, "response": text, "loose": text, **more})
    log.info("of wrong types", extra={"llm": {"messages": Loud(text), "extras": text, "model": [text], **more}})
    log.info("no mapping", extra={"llm": [text], **more})


def stored_bytes(path: Path) -> bytes:
    """Return everything that is in the database's files."""
    files = [path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")]
    return b"".join(file.read_bytes() for file in files if file.exists())


def check_absent(text: str, path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    raw = stored_bytes(path)
    assert len(raw) > 4096
    said = "".join(capfd.readouterr())
    for form in {text, json.dumps(text)[1:-1], text.lower()}:
        assert form.encode() not in raw
        assert form not in said


def by_handler(make: MakeHandler, log: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    make(capture_content=False)
    log_everywhere(log, CANARY)


def by_session(make: MakeHandler, log: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    make()
    with llm_session("s", capture_content=False, metadata={CANARY: CANARY}), llm_session(capture_content=True):
        log_everywhere(log, CANARY, capture_content=True)


def by_record(make: MakeHandler, log: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
    make()
    with llm_session("s", metadata={CANARY: CANARY}):
        log_everywhere(log, CANARY, capture_content=False)


def by_variable(name: str, value: str) -> Callable[[MakeHandler, logging.Logger, pytest.MonkeyPatch], None]:
    def act(make: MakeHandler, log: logging.Logger, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(name, value)
        make(capture_content=True)
        log_everywhere(log, CANARY)

    return act


@pytest.mark.parametrize(
    "act",
    [
        pytest.param(by_handler, id="handler"),
        pytest.param(by_session, id="session"),
        pytest.param(by_record, id="record"),
        pytest.param(by_variable(OWN_VARIABLE, "false"), id="own variable"),
        pytest.param(by_variable(OWN_VARIABLE, "flase"), id="own variable, misspelt"),
        pytest.param(by_variable(OTEL_VARIABLE, "NO_CONTENT"), id="OpenTelemetry's variable"),
    ],
)
def test_without_content_no_text_is_stored_or_said(
    act: Callable[..., None],
    make_handler: MakeHandler,
    log: logging.Logger,
    path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    act(make_handler, log, monkeypatch)
    (handler,) = log.handlers
    assert isinstance(handler, SQLLogHandler)
    assert handler.flush()
    assert handler.stats().committed == 5
    check_absent(CANARY, path, capfd)


@pytest.mark.parametrize(
    ("name", "value"),
    [(OWN_VARIABLE, "true"), (OWN_VARIABLE, ""), (OTEL_VARIABLE, "SPAN_AND_EVENT"), (OTEL_VARIABLE, "1")],
)
def test_a_variable_that_allows_it_changes_nothing(
    name: str, value: str, make_handler: MakeHandler, log: logging.Logger, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    handler = make_handler()
    log_everywhere(log, CANARY)
    assert handler.flush()
    assert stored_bytes(path).count(CANARY.encode()) > 50, "the places are really filled"


def test_without_content_names_numbers_roles_counts_and_lengths_stay(
    make_handler: MakeHandler, log: logging.Logger, path: Path
) -> None:
    handler = make_handler(capture_content=False)
    call = {"content": None, "role": "assistant", "tool_calls": [{"id": 1}, {"id": 2}]}
    messages = [{"role": "system", "content": "12345"}, {"role": "user", "content": [{"text": "123"}, {"x": 1}]}, call]
    fields = {"model": "gpt-4o", "user_id": "7", "input_tokens": 5, "messages": messages, "response": "four"}
    with llm_session("chat-1", agent_id="a", metadata={"k": 1}):
        log.error("said", extra={"llm": {**fields, "error_message": "bad", "error_type": "Quota", "extras": {"k": 1}}})
    assert handler.flush()
    columns = "model, user_id, agent_id, input_tokens, status, error_type, error_message"
    assert query(path, f"select {columns} from llm_operations") == [("gpt-4o", "7", "a", 5, "error", "Quota", None)]
    assert query(path, "select session_key, metadata from llm_sessions") == [("chat-1", None)]
    rows = query(path, "select role, content, parts from llm_messages order by sequence_number")
    assert [(role, content, json.loads(parts)) for role, content, parts in rows] == [
        ("system", None, {"length": 5}),
        ("user", None, {"length": 3, "parts": 2}),
        ("assistant", None, {"tool_calls": 2}),
        ("assistant", None, {"length": 4}),
    ]
    ((extras,),) = query(path, "select extras from llm_operations")
    noted = json.loads(extras)["sqllog"]
    assert noted == {
        "logger": "test.llm",
        "level": "ERROR",
        "capture_content": False,
        "cost_source": "none: the counts do not tell it",
        "lengths": {"message": 4, "error_message": 3},
        "extras": 1,
    }


def test_without_content_an_operation_stores_no_text(
    make_handler: MakeHandler, log: logging.Logger, path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    handler = make_handler()

    def chunks() -> Iterator[str]:
        yield CANARY
        raise ConnectionError(CANARY)

    fields: dict[str, Any] = {"messages": CANARY, "extras": {CANARY: CANARY}, "completion_args": {"prompt": CANARY}}
    with llm_session("s", capture_content=False, metadata=CANARY):
        with pytest.raises(ConnectionError), llm_operation(log, model="m", **fields) as op:
            list(op.stream(chunks()))
        with llm_operation(log, model="m", **fields) as op:
            op.record(CANARY)
            op.set(response=CANARY, error_message=CANARY, session_metadata=CANARY)
    with llm_operation(log, model="m", capture_content=False, **fields):
        log_everywhere(log, CANARY)
    assert handler.flush()
    assert handler.stats().committed == 8
    check_absent(CANARY, path, capfd)
    assert query(path, "select count(*) from llm_operations where latency_ms is not null") == [(3,)]


SECRETS = [
    (keys_and_tokens, "sk-proj-a1B2c3D4e5F6g7H8i9J0"),
    (keys_and_tokens, "Bearer x1Y2z3X4y5Z6"),
    (keys_and_tokens, PEM),
    (email_addresses, "jane.doe+x@mail.example.org"),
    (card_numbers, "4111 1111 1111 1111"),
    (phone_numbers, "+49 30 1234567"),
    (truncate(12), "0123456789-the-middle-of-it-9876543210"),
]


@pytest.mark.parametrize(("redact", "secret"), SECRETS)
def test_a_redacted_secret_is_nowhere(
    redact: Callable[[str], str],
    secret: str,
    make_handler: MakeHandler,
    log: logging.Logger,
    path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    handler = make_handler(redact=redact)
    with llm_session(secret, user_id=secret, metadata={secret: Loud(secret)}):
        log_everywhere(log, secret)
    assert handler.flush()
    assert handler.stats().committed == 5
    check_absent(secret, path, capfd)
    models = "select distinct model from llm_operations where model is not null and length(model) = 1"
    assert query(path, models) == [("m",)]


def test_redactors_compose_in_order_and_see_keys_and_names(
    make_handler: MakeHandler, log: logging.Logger, path: Path
) -> None:
    handler = make_handler(redact=[email_addresses, lambda text: text.replace("[email]", "<e>"), truncate(20)])
    log.info("m", extra={"llm": {"user_id": "bob@x.org", "extras": {"bob@x.org": 1, "jim@x.org": 2, "n": "é" * 30}}})
    assert handler.flush()
    ((user, extras),) = query(path, "select user_id, extras from llm_operations")
    found = json.loads(extras)
    found.pop("sqllog")
    assert user == "<e>"
    assert found == {"<e>": 1, "<e> (2)": 2, "n": "é" * 10 + "…[10 characters cut]…" + "é" * 10}


def test_a_card_number_that_is_a_number_is_redacted_too(
    make_handler: MakeHandler, log: logging.Logger, path: Path
) -> None:
    handler = make_handler(redact=card_numbers)
    numbers = {"card": 4111111111111111, "other": 4111111111111112, "small": 411111111111, "yes": True}
    log.info("m", extra={"llm": {"extras": numbers}})
    assert handler.flush()
    ((extras,),) = query(path, "select extras from llm_operations")
    found = json.loads(extras)
    found.pop("sqllog")
    assert found == numbers | {"card": "[card]"}


def test_two_sessions_stay_two_when_their_names_are_redacted(
    make_handler: MakeHandler, log: logging.Logger, path: Path
) -> None:
    handler = make_handler(redact=email_addresses)
    for name in ("a@x.org", "b@x.org", "a@x.org"):
        log.info("m", extra={"llm": {"session_id": name}})
    assert handler.flush()
    assert query(path, "select session_key from llm_sessions") == [("[email]",), ("[email]",)]


def drop(text: str) -> None:
    return None


def fail(text: str) -> str:
    raise ValueError(f"cannot redact {text}")


def leave(text: str) -> str:
    raise SystemExit(text)


def interrupt(text: str) -> str:
    raise KeyboardInterrupt(text)


async def later(text: str) -> str:
    return text


@pytest.mark.parametrize(
    ("redact", "marker", "said"),
    [
        (drop, None, None),
        (fail, "[withheld: the redactor raised ValueError]", "raised ValueError"),
        (leave, "[withheld: the redactor raised SystemExit]", "raised SystemExit"),
        (interrupt, "[withheld: the redactor raised KeyboardInterrupt]", "raised KeyboardInterrupt"),
        (lambda text: text.encode(), "[withheld: the redactor returned bytes]", "returned bytes"),
        (lambda text: [text], "[withheld: the redactor returned list]", "returned list"),
        (lambda a, b: a, "[withheld: the redactor raised TypeError]", "raised TypeError"),
    ],
)
def test_a_redactor_that_fails_lets_nothing_through(
    redact: Any,
    marker: str | None,
    said: str | None,
    make_handler: MakeHandler,
    log: logging.Logger,
    path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    handler = make_handler(redact=redact)
    log_everywhere(log, CANARY)
    assert handler.flush()
    assert handler.stats().committed == 5
    assert query(path, "select role, content from llm_messages where sequence_number = 0 limit 1") == [(marker, marker)]
    stderr = capfd.readouterr().err
    assert said is None or f"the redactor {said}; the text was not stored" in stderr
    assert CANARY not in stderr
    assert CANARY.encode() not in stored_bytes(path)


NEVER = f"""
import logging, sys, threading, time
from aicore_sqllog import SQLLogHandler

def never(text):
    while "{CANARY}" in text:
        time.sleep(0.01)
    return text

log = logging.getLogger("app"); log.setLevel("INFO"); log.propagate = False
handler = SQLLogHandler("sqlite:///never.db", redact=never, shutdown_timeout=0.5, queue_size=20, overflow="drop_oldest")
log.addHandler(handler)
log.info("before", extra={{"provider": "p", "model": "m"}})
assert handler.flush(30)
for number in range(100):
    log.info("{CANARY}", extra={{"provider": "p", "model": "m"}})
    assert number or not handler.flush(0.2)
stats = handler.stats()
print(stats.committed, stats.pending, stats.dropped)
"""


def test_a_redactor_that_never_returns_holds_its_record_back_and_the_exit_by_the_timeout_only(tmp_path: Path) -> None:
    (tmp_path / "never.py").write_text(NEVER)
    done = run_python("never.py", cwd=tmp_path)
    assert (done.returncode, done.stdout.split()) == (0, ["1", "21", "79"])
    assert "100 records could not be stored" in done.stderr
    assert CANARY not in done.stderr
    assert CANARY.encode() not in stored_bytes(tmp_path / "never.db")
    assert query(tmp_path / "never.db", "select count(*) from llm_operations") == [(1,)]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("redact", 5),
        ("redact", "no.such.module:name"),
        ("redact", ["aicore_sqllog.redactors:truncate(5)", None]),
        ("redact", later),
        ("capture_content", "perhaps"),
        ("capture_content", None),
    ],
)
def test_an_option_that_cannot_work_is_refused(option: str, value: Any, url: str) -> None:
    with pytest.raises(ConfigurationError, match="Allowed"):
        SQLLogHandler(url, **{option: value})


def test_a_configuration_file_can_name_redactors(make_handler: MakeHandler, log: logging.Logger, path: Path) -> None:
    names = ["aicore_sqllog.redactors:email_addresses", "aicore_sqllog.redactors:truncate(9)"]
    handler = make_handler(redact=names, capture_content="true")
    log.info("m", extra={"llm": {"messages": "a@x.org abcdefghijkl"}})
    assert handler.flush()
    assert query(path, "select content from llm_messages") == [("[emai…[11 characters cut]…ijkl",)]


def test_the_collectors_handler_obeys_the_environment(
    url: str, path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(OWN_VARIABLE, "0")
    LlmOperationCollector.record_completion(url, model="m", messages=CANARY, error_message=CANARY)
    assert LlmOperationCollector.flush(url)
    check_absent(CANARY, path, capfd)


def test_a_fault_of_our_own_keeps_the_text_back(
    make_handler: MakeHandler, log: logging.Logger, path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The snapshot of a record may fail in a way that nobody foresaw: then its wish is still heard."""
    handler = make_handler()
    extras: list[dict[str, Any]] = [
        {"llm": {"capture_content": False, "messages": CANARY}},
        {"llm": {"messages": CANARY}, "capture_content": False},
        {"llm": Loud(CANARY)},
    ]
    for extra in extras:
        record = log.makeRecord(log.name, logging.INFO, "", 0, CANARY, (), None, None, extra)
        del record.exc_info
        handler.handle(record)
    assert handler.flush()
    assert handler.stats().committed == 3
    check_absent(CANARY, path, capfd)


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": "a-private-text", "extras": {"capture_content": False}},
        {"messages": "a-private-text", "llm": {"capture_content": False}},
        json.dumps({"messages": "a-private-text", "capture_content": False}),
        [("messages", "a-private-text"), ("capture_content", False)],
    ],
    ids=["extras", "nested group", "JSON text", "pairs"],
)
def test_a_wish_in_the_wrong_place_is_heeded(
    fields: object, make_handler: MakeHandler, log: logging.Logger, path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    handler = make_handler()
    log.info("m", extra={"llm": fields})

    assert handler.flush(10)
    check_absent("a-private-text", path, capfd)


def test_a_wish_that_an_operation_is_told_holds_for_what_is_logged_inside(
    make_handler: MakeHandler, log: logging.Logger, path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    handler = make_handler()
    with llm_operation(log) as op:
        op.set(capture_content=False)
        log.info("m", extra={"llm": {"messages": "a-private-text"}})

    assert handler.flush(10)
    check_absent("a-private-text", path, capfd)
