"""Secrets behind the escapes of JSON and of URLs are found, and what was JSON still is."""

import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from aicore_sqllog.capture.request import lift_request, without_secrets
from aicore_sqllog.redactors import card_numbers, email_addresses, keys_and_tokens

OPENAI, GITHUB, AWS = "sk-proj-" + "A1b2C3d4" * 5, "ghp_" + "a1B2" * 9, "AKIAIOSFODNN7EXAMPLE"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N"
OPEN_KEY = "-----BEGIN PRIVATE KEY-----\nMIIEow\nIBAAK"


@pytest.mark.parametrize("secret", [OPENAI, GITHUB, AWS, JWT, OPEN_KEY])
@pytest.mark.parametrize("before", ["\n", "\t", "é", '"', "\\", "a = ", "\r\n\n"])
@pytest.mark.parametrize("times", [1, 2])
def test_a_key_inside_json_text_is_found_and_it_stays_json(secret: str, before: str, times: int) -> None:
    text: Any = {"content": f"# keys{before}{secret}\nrest", "after": 1}
    for _ in range(times):
        text = json.dumps(text)

    cleaned = keys_and_tokens(text)

    assert secret[4:] not in cleaned
    assert secret[5:25] not in cleaned
    inner: Any = cleaned
    for _ in range(times):
        inner = json.loads(inner)
    assert inner["after"] == 1


@pytest.mark.parametrize(
    "text",
    [
        f"https://h/x?next={quote('/y?token=' + GITHUB, safe='')}",
        quote("Authorization: Bearer abcDEF123456", safe=""),
        quote("postgresql://bob:hunter2hunter2@db/x", safe=""),
        quote("a=" + OPENAI, safe=""),
    ],
)
def test_a_key_that_is_percent_encoded_is_found(text: str) -> None:
    cleaned = keys_and_tokens(text)
    assert "[secret]" in cleaned
    assert not any(secret in cleaned for secret in (GITHUB, OPENAI, "abcDEF123456", "hunter2"))


@pytest.mark.parametrize("before", ["\n", "\t", "é", '"', "\\", " ", "\u2028"])
def test_an_address_redacted_inside_json_text_leaves_json(before: str) -> None:
    text = json.dumps({"to": f"x{before}ann@example.com{before}"})

    cleaned = email_addresses(text)

    assert "ann@" not in cleaned
    assert json.loads(cleaned) == {"to": f"x{before}[email]{before}"}


def test_a_card_number_that_is_percent_encoded_is_found() -> None:
    assert card_numbers("n=4111%201111%201111%201111&x") == "n=[card]&x"


@pytest.mark.parametrize(
    ("name", "value", "kept"),
    [
        ("api_keys", ["hunter2hunter2"], False),
        ("passwords", ["hunter2"], False),
        ("cookies", {"sid": "s3cr3t"}, False),
        ("accessToken", "abc", False),
        ("X-Api-Key", "abc", False),
        ("AWSSecretKey", "abc", False),
        ("tokens", ["aB3dE5gH7jK9mN1pQ"], False),
        ("dbPassword2", "abc", False),
        ("max_tokens", 100, True),
        ("maxTokens", 100, True),
        ("input_tokens", "100", True),
        ("stop_tokens", ["\n", "END"], True),
        ("prompt_cache_key", "abc", True),
        ("monkey", "banana", True),
        ("keyboard", "qwerty", True),
    ],
)
def test_a_secret_is_known_by_the_last_word_of_its_name(name: str, value: Any, kept: bool) -> None:
    assert (name in without_secrets({"metadata": {name: value}})["metadata"]) is kept


@pytest.mark.parametrize(
    "given",
    [
        {"model": "m", "metadata": json.dumps({"api_key": "hunter2"})},
        json.dumps({"model": "m", "password": "hunter2"}),
        "model=m OPENAI_API_KEY=hunter2hunter2 temperature=0",
        "{'model': 'm', 'api_key': 'hunter2'}",
        {"headers": [{"name": "Authorization", "value": "hunter2"}, {"key": "x-api-key", "value": "hunter2"}]},
        {"headers": [["Authorization", "hunter2"], ["accept", "*/*"]]},
        {"body": json.dumps({"inner": json.dumps({"password": "hunter2"})})},
        {"text": 'say \\"api_key\\": \\"hunter2\\" twice'},
        {"url": "https://h/?a=1&apiKey=hunter2&b=2", "next": "%3Ftoken%3Dhunter2%26b%3D2"},
    ],
)
def test_completion_args_hold_no_secret_in_whichever_form_they_are_given(given: Any) -> None:
    request = lift_request({"completion_args": given})

    assert "hunter2" not in json.dumps(request)


def test_what_is_no_secret_stays_in_completion_args() -> None:
    text = json.dumps({"question": "Which key opens the door?", "max_tokens": 5, "tokens": ["the", "key"]})
    given = {"metadata": {"note": text, "turkey": "bird"}, "tools": [{"parameters": {"token": {"type": "string"}}}]}

    assert lift_request({"completion_args": given}) == given


@pytest.mark.parametrize("redact", [keys_and_tokens, email_addresses, card_numbers, without_secrets])
@pytest.mark.parametrize(
    "piece", ["\\n", "\\u0040", "%40", "%3a%2f%2f", "%20", "\\\\", '\\"key\\":', "token=", "4111%20"]
)
def test_no_text_of_escapes_takes_long(redact: Callable[[Any], Any], piece: str) -> None:
    """A pattern that begins again inside what it has read would take hours."""
    text = "-----BEGIN PRIVATE KEY-----" + piece * (200_000 // len(piece))
    begun = time.perf_counter()
    assert isinstance(redact(text), str)
    assert isinstance(redact(text[20:]), str)
    assert time.perf_counter() - begun < 15


@pytest.mark.parametrize(
    "request_part",
    [
        {"extra_headers": ["Authorization: Bearer hunter2", "X-Api-Key: hunter2"]},
        {"extra_headers": "Cookie: sid=hunter2\r\nX-Api-Key: hunter2\r\n"},
        {"headers": [{"Name": "Authorization", "Value": "hunter2"}, {"key": "X-Api-Key", "val": "hunter2"}]},
        {"jwt": "hunter2", "token_value": "hunter2", "auth_header": "hunter2", "credentials_json": "hunter2"},
        {"connection_string": "hunter2", "connectionString": "hunter2", "accountkey": "hunter2", "dsn": "hunter2"},
        {"file": "api_key: hunter2\npassword: hunter2"},
        {"url": quote(quote("https://h/x?api_key=hunter2", safe=""), safe="")},
        {"url": "postgresql://user:one@hunter2@host/db"},
        {"env": quote(quote("\n" + "sk-hunter2" + "A1b2C3d4" * 4))},
        {"names": {"sk-hunter2" + "A1b2C3d4" * 4: 1}},
    ],
)
def test_a_secret_is_found_in_headers_files_and_names_as_they_are_written(request_part: dict[str, Any]) -> None:
    assert "hunter2" not in json.dumps(lift_request({"completion_args": request_part}))


def test_words_before_a_colon_are_no_secrets() -> None:
    text = "The key: be kind.\nToken count: 12\nKey: a small thing, for a lock"

    assert without_secrets({"system": text, "token_count": "12 words", "hash": "a1"}) == {
        "system": text,
        "token_count": "12 words",
        "hash": "a1",
    }


def test_an_address_that_is_escaped_twice_is_found() -> None:
    text = quote(quote("/invite?to=ann@example.com&from=x", safe=""), safe="")

    assert "example" not in email_addresses(text)
    assert email_addresses(text).endswith("from%253Dx")
