"""The shipped redactors: what they find, what they leave, and that no text makes them slow."""

import time
from collections.abc import Callable

import pytest

from aicore_sqllog.redactors import card_numbers, email_addresses, keys_and_tokens, phone_numbers, truncate

PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAK\n-----END RSA PRIVATE KEY-----"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"


@pytest.mark.parametrize(
    "secret",
    [
        "sk-" + "a1B2" * 8,
        "sk-proj-" + "a1B2_-" * 8,
        "sk-ant-api03-" + "x9" * 20,
        "sk_live_" + "4eC39HqLyjWDarjtT1",
        "ghp_" + "0aZ" * 12,
        "github_pat_" + "11ABC_" * 6,
        "glpat-" + "x" * 20,
        "AKIA" + "IOSFODNN7EXAMPLE",
        "AIza" + "Sy0_-aB" * 5,
        "xoxb-123456789012-abcdefABCDEF",
        "xapp-1-A0-123-abc",
        "hf_" + "a" * 34,
        JWT,
        PEM,
        PEM.replace("\n", "\\n"),
        "-----BEGIN PRIVATE KEY-----\nnever ends",
        "-----BEGIN PGP PRIVATE KEY BLOCK-----\n\nlQVY\n-----END PGP PRIVATE KEY BLOCK-----",
    ],
)
@pytest.mark.parametrize("around", ["{}", "use {} please", '{{"key":"{}"}}', "k={}"])
def test_a_key_or_token_is_replaced_whole(secret: str, around: str) -> None:
    cleaned = keys_and_tokens(around.format(secret))
    assert cleaned.startswith(around.partition("{}")[0].format())
    assert "[secret]" in cleaned
    assert not any(piece in cleaned for piece in (secret[4:14], secret[-6:]))


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Authorization: Bearer abcDEF123456", "Authorization: Bearer [secret]"),
        ("authorization: basic dXNlcjpwYXNzd29yZA==", "authorization: basic [secret]"),
        ("postgresql://bob:hunter2@db/x", "postgresql://[secret]@db/x"),
        ("a task-force, sk-short, AKIA, Bearer of news", "a task-force, sk-short, AKIA, Bearer of news"),
        ("the eyJ prefix and risk-free", "the eyJ prefix and risk-free"),
        ("http://example.com:8080/a@b", "http://example.com:8080/a@b"),
    ],
)
def test_what_is_no_secret_stays(text: str, cleaned: str) -> None:
    assert keys_and_tokens(text) == cleaned


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("write to a.b+c@mail.example.com.", "write to [email]."),
        ("<o'neil@example.ie>,müller@bücher.de", "<[email]>,[email]"),
        ("https://x/?to=bob%40example.com", "https://x/?to=[email]"),
        ("@decorator a@b and 5 @ 3.50", "@decorator a@b and 5 @ 3.50"),
    ],
)
def test_email_addresses(text: str, cleaned: str) -> None:
    assert email_addresses(text) == cleaned


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("4111111111111111", "[card]"),
        ("card 4111 1111 1111 1111, 12/28", "card [card], 12/28"),
        ("4111-1111-1111-1111 123", "[card] 123"),
        ("order 1234 4111 1111 1111 1111", "order 1234 [card]"),
        ("3782 822463 10005 and 5555555555554444", "[card] and [card]"),
        ("6011 1111 1111 1117", "[card]"),
        ("\\n4222222222222\\t", "\\n[card]\\t"),
        ("4111 1111 1111 1112", "4111 1111 1111 1112"),
        ("1700000000000 and 12345678901234567890123", "1700000000000 and 12345678901234567890123"),
        ("550e8400-e29b-41d4-a716-446655440000", "550e8400-e29b-41d4-a716-446655440000"),
        ("msg_f005ab4111111111111111c0541d800a1", "msg_f005ab4111111111111111c0541d800a1"),
        ("0.4111111111111111", "0.4111111111111111"),
        ("card4111111111111111, code-4111111111111111, a4111111111111111", "card[card], code-[card], a[card]"),
    ],
)
def test_card_numbers(text: str, cleaned: str) -> None:
    assert card_numbers(text) == cleaned


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("+49 30 1234567", "[phone]"),
        ("call +1 (555) 123-4567 now", "call [phone] now"),
        ("(555) 123-4567, 555-123-4567, 555.123.4567", "[phone], [phone], [phone]"),
        ("0049 151 23456789", "[phone]"),
        ("030 12345678 or 06 12 34 56 78 or 020 7946 0958", "[phone] or [phone] or [phone]"),
        ("2026-01-02T03:04:05+00:00", "2026-01-02T03:04:05+00:00"),
        ("gpt-4o-2024-08-06 at 192.168.0.1, $1,000.00", "gpt-4o-2024-08-06 at 192.168.0.1, $1,000.00"),
        ("fc_1aec5044-0651-9204-97ff-663e978143d0_0", "fc_1aec5044-0651-9204-97ff-663e978143d0_0"),
        ("06-12-2024 and 5+3 and 007", "06-12-2024 and 5+3 and 007"),
    ],
)
def test_phone_numbers(text: str, cleaned: str) -> None:
    assert phone_numbers(text) == cleaned


def test_truncate_cuts_the_middle_and_says_how_much() -> None:
    cut = truncate(5)
    assert cut("abcde") == "abcde"
    assert cut("abcXXXXde") == "abc…[4 characters cut]…de"
    assert truncate(0)("abc") == "…[3 characters cut]…"
    with pytest.raises(ValueError, match="Allowed"):
        truncate(-1)


MEGABYTE = 1_000_000
HOSTILE = [
    "a", "a@", "a.", "%40", "sk-", "eyJ", "eyJaaaaaaaaa.", "1", "4 ", "4444 ", "4444444444444444-", "+1 ", "(", "0-",
    "+1((((((", "-----BEGIN PRIVATE KEY-----", "-----BEGIN ", "bearer ", "Basic aaaaaaaaaaaaaaaaaaaa", "://a:",
    "012 34 ", "(555) 123-456", "@x.w1.", "ghp_", "xoxb-",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("redact", [keys_and_tokens, email_addresses, card_numbers, phone_numbers, truncate(1000)])
def test_no_megabyte_of_hostile_text_takes_seconds(redact: Callable[[str], str]) -> None:
    """A pattern that backtracks over its own steps would take hours for each of these."""
    for piece in HOSTILE:
        for text in (piece * (MEGABYTE // len(piece)), "@" + piece * (MEGABYTE // len(piece)), "-----BEGIN " + piece):
            begun = time.perf_counter()
            redact(text)
            assert time.perf_counter() - begun < 15, piece
