"""
The body of an answer, as builtins, into fields of a record: by its family, with its error, its cost and who wrote it.
"""

from typing import Any

from aicore_sqllog.responses.costs import cost_in
from aicore_sqllog.responses.errors import error_in, is_error, read_error_body
from aicore_sqllog.responses.families.table import family_of
from aicore_sqllog.responses.families.unknown import read_unknown
from aicore_sqllog.responses.family import Body, Family, Fields, compact
from aicore_sqllog.responses.providers import find_provider
from aicore_sqllog.values.freeze import describe

__all__ = ["merged", "read_as", "read_body", "read_error"]


def read_body(body: Body) -> Fields:
    """Return the fields that *body* tells; what no family knows is read by the usual names."""
    family = family_of(body)
    if family is not None:
        return read_as(family, body)
    if is_error(body):
        kept: Fields = {"extras": {name: item for name, item in body.items() if item is not None}}
        return merged(kept, read_error(body))
    return _with_origin(read_unknown(body), body)


def read_as(family: Family, body: Body) -> Fields:
    """Return the fields that *body* tells as an answer of *family*."""
    body = family.normalise(body)
    fields = _with_origin(_read(family, body), body)
    error = error_in(body) or family.error(body)
    return fields if error is None else merged(fields, read_error_body(error))


def read_error(body: Body) -> Fields:
    """Return the error that *body* tells of, and who wrote it where that is known."""
    return _with_origin(read_error_body(body), body)


def merged(fields: Fields, more: Fields) -> Fields:
    """Return both; where both know a field, *more* wins, and their extras add up."""
    extras: Any = fields.get("extras", {})
    more_extras: Any = more.get("extras", {})
    both = {**fields, **more}
    return {**both, "extras": {**extras, **more_extras}} if "extras" in both else both


def _read(family: Family, body: Body) -> Fields:
    try:
        return family.read(body)
    except Exception as exc:
        return merged(read_unknown(body), {"extras": {"fault": describe(exc)}})


def _with_origin(fields: Fields, body: Body) -> Fields:
    """Return *fields* with who wrote *body* and what it cost, where that is known."""
    return {**compact({"provider": find_provider(body), "cost": cost_in(body)}), **fields}
