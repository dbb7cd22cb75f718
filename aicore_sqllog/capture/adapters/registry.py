"""
The table of families, and what reads by it: a whole answer, a stream, an exception.
"""

__all__ = ["StreamReader", "open_stream", "read_error", "read_response"]


def read_response(response: object) -> dict[str, object]:
    """Return the fields of a record that *response* tells; what has no field is in ``extras``."""
    return {} if response is None else {"response": response}


def read_error(exception: BaseException) -> dict[str, object]:
    """Return ``error_type``, ``error_message`` and ``extras`` as the provider said them; empty if it said nothing."""
    return {}


class StreamReader:
    """Gathers the chunks of a streamed answer; never raises."""

    def __init__(self) -> None:
        self._chunks: list[object] = []

    @property
    def has_content(self) -> bool:
        """Whether any text, reasoning or tool call came yet."""
        return bool(self._chunks)

    @property
    def is_complete(self) -> bool:
        """Whether the provider said that the answer is over."""
        return False

    def add(self, chunk: object) -> None:
        """Take the next chunk."""
        self._chunks.append(chunk)

    def result(self) -> dict[str, object]:
        """Return the same fields as :func:`read_response`, of what has come so far."""
        return {}


def open_stream() -> StreamReader:
    """Return a reader for the chunks of one streamed answer."""
    return StreamReader()
