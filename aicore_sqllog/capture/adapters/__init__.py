"""What a provider's answer says, whoever's object carries it: fields of a record. Imports no SDK, never raises."""

from aicore_sqllog.capture.adapters.registry import StreamReader, open_stream, read_error, read_response

__all__ = ["StreamReader", "open_stream", "read_error", "read_response"]
