"""
What of a record may be stored: the rules of one handler, and their use on a record.
"""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from aicore_sqllog.capture.content import Content
from aicore_sqllog.capture.redact import Redaction
from aicore_sqllog.capture.withhold import withhold_texts
from aicore_sqllog.values.convert import to_consent

__all__ = ["OTEL_VARIABLE", "OWN_VARIABLE", "Privacy", "environment_consents"]

OWN_VARIABLE = "AICORE_SQLLOG_CAPTURE_CONTENT"
OTEL_VARIABLE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"

_OTEL_MODES = frozenset({"span_only", "event_only", "span_and_event"})


def environment_consents(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether the environment lets texts be stored. A variable that is empty or not there has no opinion."""
    own, otel = environment.get(OWN_VARIABLE), environment.get(OTEL_VARIABLE)
    return to_consent(own or None) and (to_consent(otel or None) or str(otel).strip().lower() in _OTEL_MODES)


@dataclass(frozen=True, slots=True)
class Privacy:
    """The rules of one handler."""

    captures_content: bool = True
    redactors: Sequence[Callable[[str], object]] = ()
    on_failure: Callable[[str], object] = lambda what: None

    @property
    def lets_all_through(self) -> bool:
        """Whether it is for sessions and records alone to say what may not be stored."""
        return self.captures_content and not self.redactors

    def protect(self, content: Content) -> None:
        """
        Leave in *content* only what may be stored; the strictest of handler, session and record wins.

        Whatever is read of *content* afterwards has been seen by the redactors.
        """
        around = content.surroundings
        record_consents = to_consent(content.fields.pop("capture_content", None))
        if not (self.captures_content and record_consents and (around is None or around.captures_content)):
            withhold_texts(content)
        if self.redactors:
            redaction = Redaction(self.redactors, self.on_failure)
            for noted in (content.fields, content.own, content.invalid):  # their keys are ours
                noted.update({name: redaction.tree(value) for name, value in noted.items()})
            content.extras = _as_mapping(redaction.tree(content.extras))
            content.shadowed = _as_mapping(redaction.tree(content.shadowed))


def _as_mapping(value: object) -> dict[object, object]:
    return dict(value) if isinstance(value, dict) else {}
