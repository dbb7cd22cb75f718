"""
Redactors to hand to ``SQLLogHandler(redact=...)``, alone or in a list: text in, text out.

Each takes time in proportion to the text's length, whatever the text: no pattern here can start
again inside what another attempt has read. A redactor of your own is any function of a text that
returns a text, or None to drop it.
"""

import re
from collections.abc import Callable, Iterator

__all__ = ["card_numbers", "email_addresses", "keys_and_tokens", "phone_numbers", "truncate"]

_SECRET, _EMAIL, _CARD, _PHONE = "[secret]", "[email]", "[card]", "[phone]"


_AFTER_ESCAPE = r"(?<=\\[bfnrt])|(?<=\\u[0-9A-Fa-f]{4})|(?<=%[0-9A-Fa-f]{2})|(?<=%25[0-9A-Fa-f]{2})"
r"""The letter of an escape is no part of the word behind it: ``\n`` in JSON, ``%3D`` and ``%253D`` in a URL."""


def _starting(prefix: str, rest: str) -> re.Pattern[str]:
    """Return the pattern of a secret that begins with *prefix*, which does not stand inside a word."""
    return re.compile(rf"(?:(?<![A-Za-z0-9])|{_AFTER_ESCAPE})(?:{prefix}){rest}")


_SHORTEST = 15
"""Every secret below but the short ones is a word of at least so many characters."""

_SHORT_SECRETS: tuple[tuple[tuple[str, ...], re.Pattern[str]], ...] = (
    (("bearer",), re.compile(r"(?i)(?<=bearer)(?:[ \t]{1,4}|%20|\+)[A-Za-z0-9._~+/=-]{8,}")),
    (("basic",), re.compile(r"(?i)(?<=basic)(?:[ \t]{1,4}|%20)[A-Za-z0-9+/]{16,}={0,2}")),
    (("://",), re.compile(r"(?<=://)[^\s/:@\"\\]{0,100}:[^\s/\"\\]{1,300}(?=@)")),
    (
        ("%3a%2f%2f",),
        re.compile(r"(?i)(?<=%3a%2f%2f)(?:(?!%3a|%40)[^\s/@\"]){0,100}%3a(?:(?!%40)[^\s/@\"]){1,300}(?=%40)"),
    ),
)
_SECRETS = (
    *_SHORT_SECRETS,
    (("sk-", "pk-", "rk-"), _starting("[spr]k-", r"[A-Za-z0-9_-]{16,}")),
    (("k_live_", "k_test_"), _starting("[spr]k_(?:live|test)_", r"[A-Za-z0-9]{10,}")),
    (("ghp_", "gho_", "ghu_", "ghs_", "ghr_"), _starting("gh[pousr]_", r"[A-Za-z0-9]{20,}")),
    (("github_pat_",), _starting("github_pat_", r"[A-Za-z0-9_]{20,}")),
    (("glpat-",), _starting("glpat-", r"[A-Za-z0-9_-]{20,}")),
    (("akia", "asia"), _starting("AKIA|ASIA", r"[A-Z0-9]{16}(?![A-Z0-9])")),
    (("aiza",), _starting("AIza", r"[A-Za-z0-9_-]{30,}")),
    (("ya29.",), _starting(r"ya29\.", r"[A-Za-z0-9_-]{20,}")),
    (("xox", "xapp-"), _starting("xox[a-z]-|xapp-", r"[A-Za-z0-9-]{10,}")),
    (("hf_", "gsk_", "r8_", "npm_"), _starting("hf_|gsk_|r8_|npm_", r"[A-Za-z0-9]{20,}")),
    (("xai-", "pplx-", "tvly-"), _starting("xai-|pplx-|tvly-", r"[A-Za-z0-9-]{20,}")),
    (
        ("eyj",),
        re.compile(
            rf"(?:(?<![A-Za-z0-9_-])|{_AFTER_ESCAPE})eyJ[A-Za-z0-9_-]{{8,}}\.[A-Za-z0-9_-]{{8,}}(?:\.[A-Za-z0-9_-]*)?"
        ),
    ),
)
"""What a secret looks like; each pattern is tried only on a text that holds, in lower case, one of its hints."""

_KEY_BEGINS = re.compile(r"-----BEGIN(?: |%20|\+)[A-Z0-9 %+]{0,40}PRIVATE(?: |%20|\+)KEY(?:(?: |%20|\+)BLOCK)?-----")
_KEY_ENDS = re.compile(r"-----END(?: |%20|\+)[A-Z0-9 %+]{0,40}PRIVATE(?: |%20|\+)KEY(?:(?: |%20|\+)BLOCK)?-----")

_QUOTE = re.compile(r"(?<!\\)\\*\"")


def keys_and_tokens(text: str) -> str:
    """
    Return *text* with each API key, access token, JSON Web Token and private key as ``[secret]``.

    Known by their form: ``sk-…``, ``ghp_…``, ``AKIA…``, ``xoxb-…``, ``AIza…``, ``hf_…``,
    ``Bearer …`` and their like, a password in a URL, a PEM block (one with no end: to the end of the text).
    """
    lowered = text.lower()
    has_long_word = len(text) >= _SHORTEST and max(map(len, text.split()), default=0) >= _SHORTEST
    for hints, pattern in _SECRETS if has_long_word else _SHORT_SECRETS:
        if any(hint in lowered for hint in hints):
            text = pattern.sub(_keep_space, text)
    return _without_private_keys(text) if "-----BEGIN" in text else text


def _keep_space(match: re.Match[str]) -> str:
    found = match.group()
    return f"{found[:3]}{_SECRET}" if found.startswith("%20") else f" {_SECRET}" if found[0] in " \t+" else _SECRET


def _without_private_keys(text: str) -> str:
    kept, position = [], 0
    while begin := _KEY_BEGINS.search(text, position):
        end = _KEY_ENDS.search(text, begin.end())
        kept += [text[position : begin.start()], _SECRET]
        if end is None:  # to the end, or to that of the JSON text's string which it stands in
            end = _QUOTE.search(text, begin.end())
            position = end.start() if end else len(text)
        else:
            position = end.end()
    return "".join(kept) + text[position:]


# The look-behind lets an attempt begin only where such a run of characters begins; behind a backslash, where the
# escape ends, so that JSON stays JSON.
_ADDRESS = re.compile(
    r"(?:(?<![\w.%+'\\-])|(?<=\\[bfnrt])|(?<=\\u[0-9A-Fa-f]{4})|(?<=\\)(?![bfnrtu]))"
    r"[\w.%+'-]+(?:@|%40|%2540|\\u0040)(?:[\w-]+\.)+[^\W\d_]{2,}"
)


def email_addresses(text: str) -> str:
    """Return *text* with each e-mail address as ``[email]``."""
    if "@" not in text and "%40" not in text and "%2540" not in text and "\\u0040" not in text:
        return text
    return _ADDRESS.sub(_EMAIL, text)


_ID_CHARACTERS = frozenset("0123456789abcdefABCDEF-")
_ID_REACH = 40


def _is_in_an_id(text: str, start: int, end: int) -> bool:
    """Whether the digits from *start* to *end* are part of a hexadecimal id or of a decimal fraction."""
    if text[start - 1 : start] == "." and text[max(0, start - 2) : start - 1].isdigit():
        return True
    left, right = start, end
    while left > 0 and start - left < _ID_REACH and text[left - 1] in _ID_CHARACTERS:
        left -= 1
    while right < len(text) and right - end < _ID_REACH and text[right] in _ID_CHARACTERS:
        right += 1
    letters = sum(map(str.isalpha, text[left:start] + text[end:right]))
    is_whole_word = not text[max(0, left - 1) : left].isalnum() and not text[right : right + 1].isalnum()
    return letters >= 2 and (is_whole_word or max(start - left, right - end) == _ID_REACH)


_SEPARATORS = " -\u00a0\u2011\u2013"
_DIGIT_GROUPS = re.compile(rf"[0-9]{{3,}}(?:(?:[{_SEPARATORS}]|%20)[0-9]{{3,}})*")
_GROUP = re.compile(r"(?:(?<=%20)|(?<![0-9%]))[0-9]{3,}")
_CARD_LENGTHS = range(13, 20)
_DOUBLED = (0, 2, 4, 6, 8, 1, 3, 5, 7, 9)


def card_numbers(text: str) -> str:
    """
    Return *text* with each payment card number as ``[card]``.

    That is 13 to 19 digits, in one piece or in groups of three or more with a space or a dash
    between them, that begin with 2 to 6 and pass the Luhn check. Digits inside a hexadecimal id or
    after a decimal point are left, so that a tool's result still finds its call.
    """
    return _DIGIT_GROUPS.sub(_without_cards, text)


def _without_cards(match: re.Match[str]) -> str:
    run = match.group()
    if len(run) < _CARD_LENGTHS.start:
        return run
    kept, position = [], 0
    for start, end in _card_spans(run):
        if _is_in_an_id(match.string, match.start() + start, match.start() + end):
            continue
        kept += [run[position:start], _CARD]
        position = end
    return "".join(kept) + run[position:]


def _card_spans(run: str) -> Iterator[tuple[int, int]]:
    groups = [group.span() for group in _GROUP.finditer(run)]
    first = 0
    while first < len(groups):
        last = _last_group_of_card(run, groups, first)
        if last is not None:
            yield groups[first][0], groups[last][1]
        first = first + 1 if last is None else last + 1


def _last_group_of_card(run: str, groups: list[tuple[int, int]], first: int) -> int | None:
    if run[groups[first][0]] not in "23456":
        return None
    digits = ""
    for number in range(first, len(groups)):
        start, end = groups[number]
        if len(digits) + end - start >= _CARD_LENGTHS.stop:
            return None
        digits += run[start:end]
        if len(digits) in _CARD_LENGTHS and _passes_luhn(digits):
            return number
    return None


def _passes_luhn(digits: str) -> bool:
    numbers = [int(digit) for digit in reversed(digits)]
    return (sum(numbers[::2]) + sum(_DOUBLED[number] for number in numbers[1::2])) % 10 == 0


_CANDIDATES = re.compile(r"[+(0-9](?<![0-9][+(0-9])[0-9 ().\u00a0/-]{6,}")
"""Runs in which a number may stand; a pattern that begins with a set of characters is searched for fast."""

_NUMBERS = re.compile(
    r"(?<![0-9])(?:"
    r"(?:\+|00(?=[1-9]))[0-9][0-9 ().\u00a0/-]{6,22}[0-9]"  # international
    r"|(?:1[-. ])?(?:\([0-9]{3}\) ?|[0-9]{3}[-. ])[0-9]{3}[-. ][0-9]{4}"  # 555-123-4567, (555) 123-4567
    r"|\(?0[0-9]{1,5}\)?[ /-][0-9]{2,8}(?:[ -][0-9]{2,5}){0,4}"  # 030 1234567, 06 12 34 56 78
    r")(?![0-9])"
)
_MOST_DIGITS = 16


def phone_numbers(text: str) -> str:
    """
    Return *text* with each telephone number as ``[phone]``.

    With a leading ``+`` or ``00``, or with the separators that people write: ``(555) 123-4567``,
    ``030 1234567``. Ten digits in one piece are left: they are as often something else.
    """
    return _CANDIDATES.sub(_without_phones, text)


def _without_phones(run: re.Match[str]) -> str:
    return _NUMBERS.sub(lambda found: _without_phone(found, run), run.group())


def _without_phone(found: re.Match[str], run: re.Match[str]) -> str:
    number = found.group()
    fewest = 8 if number[0] == "+" else 9  # a date has eight
    if not fewest <= sum(map(str.isdigit, number)) <= _MOST_DIGITS:
        return number
    is_id = _is_in_an_id(run.string, run.start() + found.start(), run.start() + found.end())
    return number if is_id else _PHONE


def truncate(length: int) -> Callable[[str], str]:
    """
    Return a redactor that cuts the middle out of a longer text, and says there how much.

    Args:
        length: Characters to keep: the first half of them from the beginning, the rest from the end.
    """
    if not isinstance(length, int) or length < 0:
        raise ValueError(f"truncate({length!r}) cannot work. Allowed: a whole number of characters from 0 on.")
    tail = length // 2
    head = length - tail

    def truncate_text(text: str) -> str:
        cut = len(text) - length
        if cut <= 0:
            return text
        return f"{text[:head]}…[{cut} characters cut]…{text[len(text) - tail :]}"

    return truncate_text
