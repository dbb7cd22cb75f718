"""
Which names are those of secrets: a name's last word tells, in whichever way its words are joined.
"""

import re

__all__ = ["is_secret_name", "is_secret_value"]

_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_SECRET_WORDS = frozenset(
    {
        *(
            "key",
            "keys",
            "apikey",
            "apikeys",
            "token",
            "tokens",
            "authtoken",
            "secret",
            "secrets",
            "password",
            "passwords",
        ),
        *("passwd", "passwds", "pwd", "passphrase", "passphrases", "credential", "credentials", "authorization"),
        *("authorizations", "auth", "cookie", "cookies", "bearer", "jwt", "passcode", "otp", "dsn"),
    }
)
_COMPOUND = re.compile(
    r"(?:api|access|secret|auth|private|session|refresh|client|app|service|user|db|signing|encryption|account|storage|master)"
    r"(?:key|token|secret|password|passwd|pass|pwd)s?$"
)
_OF_A_SECRET = frozenset({"value", "header", "headers", "hash", "json", "base64", "pem"})
"""Behind the name of a secret these words say how it is written: ``auth_header``, ``password_hash``."""

_HARMLESS = frozenset({"prompt_cache_key"})
_COUNTED = frozenset({"tokens", "keys"})
"""Words for secrets and for what is counted: ``max_tokens`` is a number, ``tokens`` may be a list of words."""

_CREDENTIAL = re.compile(r"[^\s]{12,}")


def is_secret_name(name: object) -> bool:
    """Whether *name* is the name of a secret."""
    if not isinstance(name, str) or name in _HARMLESS:
        return False
    words = [word.lower() for word in _WORDS.findall(name) if not word.isdigit()]
    while len(words) > 1 and words[-1] in _OF_A_SECRET:
        words.pop()
    if not words:
        return False
    return words[-1] in _SECRET_WORDS or words[-2:] == ["connection", "string"] or bool(_COMPOUND.search(words[-1]))


def is_secret_value(name: object, value: object) -> bool:
    """Whether *value*, which has the name of a secret, may be one: a number of tokens is none, nor are words."""
    if value is None or isinstance(value, bool | int | float):
        return False
    last = _WORDS.findall(name)[-1].lower() if isinstance(name, str) and _WORDS.search(name) else ""
    return last not in _COUNTED or _looks_like_credential(value)


def _looks_like_credential(value: object) -> bool:
    if isinstance(value, str):
        return bool(_CREDENTIAL.fullmatch(value)) and not value.isdigit()
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return any(map(_looks_like_credential, items))
