"""
A provider's response, whole or in chunks, as fields of a record. Plain texts are read here, all else by the families.
"""

import importlib
from typing import Any

__all__ = ["Chunks", "read_response"]


def read_response(response: object) -> dict[str, Any]:
    """Return the fields of a record that *response* tells; a text is the response itself."""
    if isinstance(response, str):
        return {"response": response}
    found: dict[str, Any] = _reader().read_response(response)
    return found


class Chunks:
    """Gathers a stream's chunks; texts as they are, all others by the families."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._gathered: Any = None
        self.count = 0

    @property
    def has_content(self) -> bool:
        """Whether a chunk has held something of the answer."""
        return any(self._texts) or bool(self._gathered is not None and self._gathered.has_content)

    def add(self, chunk: object) -> None:
        """Take the next chunk."""
        self.count += 1
        if isinstance(chunk, str):
            self._texts.append(chunk)
            return
        if self._gathered is None:
            self._gathered = _reader().open_stream()
        self._gathered.add(chunk)

    def result(self) -> dict[str, Any]:
        """Return the fields of a record that the chunks tell together."""
        found: dict[str, Any] = {} if self._gathered is None else dict(self._gathered.result())
        if self._texts and found.get("response") is None:
            found["response"] = "".join(self._texts)
        return found


def _reader() -> Any:
    return importlib.import_module("aicore_sqllog.responses.read")  # late: they load orjson
