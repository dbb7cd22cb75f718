"""
A member of a JSON document, in the SQL of each database: found by its path, compared by its JSON type.

The pieces are SQL that SQLAlchemy has written; keys and values in them are bound parameters, never text.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, NamedTuple, TypeAlias

__all__ = ["JsonKind", "JsonPart", "JsonPath", "MysqlJson", "PostgresqlJson", "SqliteJson"]

JsonKind: TypeAlias = Literal["boolean", "integer", "number", "text"]


class JsonPart(NamedTuple):
    """A bound value, or a step of a path: a key where it is a text, a place in a list where it is an integer."""

    sql: str
    kind: JsonKind


class JsonPath(NamedTuple):
    """A document and the steps to one of its members."""

    document: str
    steps: Sequence[JsonPart]


class PostgresqlJson:
    """JSONB: an operator for each step, which finds nothing where the step does not fit what is there."""

    _TYPES: ClassVar[Mapping[JsonKind, str]] = {
        "boolean": "boolean",
        "integer": "bigint",
        "number": "double precision",
        "text": "text",
    }

    def equals(self, path: JsonPath, value: JsonPart) -> str:
        return f"({self._member(path)} = to_jsonb(CAST({value.sql} AS {self._TYPES[value.kind]})))"

    def is_null(self, path: JsonPath) -> str:
        return f"(coalesce(jsonb_typeof({self._member(path)}), 'null') = 'null')"

    def text(self, path: JsonPath) -> str:
        member = self._member(path)
        text = f"({member} #>> '{{}}')"
        return f"(CASE jsonb_typeof({member}) WHEN 'number' THEN trim_scale({text}::numeric)::text ELSE {text} END)"

    def _member(self, path: JsonPath) -> str:
        found = path.document
        for sql, kind in path.steps:
            if kind == "integer":
                # The first place of a single value is, to the server, the value itself.
                found = f"(CASE jsonb_typeof({found}) WHEN 'array' THEN {found} -> CAST({sql} AS integer) END)"
            else:
                found = f"({found} -> CAST({sql} AS text))"
        return found


class SqliteJson:
    """
    Text: each step looks through the members of what is there.

    SQLite's own paths cannot name every key: one with a quotation mark ends at the mark.
    """

    _CONDITIONS: ClassVar[Mapping[JsonKind, str]] = {
        "boolean": "{m}.type = CASE WHEN {v} THEN 'true' ELSE 'false' END",
        "integer": "{m}.type IN ('integer', 'real') AND {m}.value = {v}",
        "number": "{m}.type IN ('integer', 'real') AND {m}.value = {v}",
        "text": "{m}.type = 'text' AND {m}.value = {v}",
    }
    _TEXT = (
        "CASE WHEN {m}.type IN ('true', 'false') THEN {m}.type "
        "WHEN {m}.type = 'real' AND abs({m}.value) < 1e15 AND {m}.value = CAST({m}.value AS INTEGER) "
        "THEN CAST(CAST({m}.value AS INTEGER) AS TEXT) ELSE CAST({m}.value AS TEXT) END"
    )

    def equals(self, path: JsonPath, value: JsonPart) -> str:
        found = self._CONDITIONS[value.kind].format(m=self._last(path), v=value.sql)
        return f"EXISTS (SELECT 1 {self._members(path)} AND {found})"

    def is_null(self, path: JsonPath) -> str:
        return f"NOT EXISTS (SELECT 1 {self._members(path)} AND {self._last(path)}.type <> 'null')"

    def text(self, path: JsonPath) -> str:
        return f"(SELECT {self._TEXT.format(m=self._last(path))} {self._members(path)} LIMIT 1)"

    def _last(self, path: JsonPath) -> str:
        return f"member_{len(path.steps)}"

    def _members(self, path: JsonPath) -> str:
        # What is no JSON, which another program may have written, has no members; asked, it is an error.
        sources = [f"json_each(CASE WHEN json_valid({path.document}) THEN {path.document} ELSE '{{}}' END) AS member_1"]
        for number in range(1, len(path.steps)):
            above = f"member_{number}"
            inner = f"CASE WHEN {above}.type IN ('object', 'array') THEN {above}.value ELSE '{{}}' END"
            sources.append(f"json_each({inner}) AS member_{number + 1}")
        keys = (f"member_{number}.key = {step.sql}" for number, step in enumerate(path.steps, start=1))
        return f"FROM {', '.join(sources)} WHERE {' AND '.join(keys)}"


class MysqlJson:
    """
    MariaDB's text and MySQL's JSON: a path of quoted keys, read bytewise.

    MariaDB finds no key that begins with a hyphen, in whatever way it is written (seen on 10.11).
    """

    _NUMBERS = "'DOUBLE', 'DECIMAL'"
    _INTEGERS = "'INTEGER', 'UNSIGNED INTEGER'"

    def equals(self, path: JsonPath, value: JsonPart) -> str:
        member = self._member(path)
        kind, text = f"JSON_TYPE({member})", f"JSON_UNQUOTE({member})"
        if value.kind == "boolean":
            return f"({kind} = 'BOOLEAN' AND {text} = CASE WHEN {value.sql} THEN 'true' ELSE 'false' END)"
        if value.kind == "text":
            return f"({kind} = 'STRING' AND CAST({text} AS BINARY) = CAST({value.sql} AS BINARY))"
        as_number = f"{kind} IN ({self._NUMBERS}) AND CAST({text} AS DOUBLE) = {value.sql}"
        as_integer = f"{text} = CAST({value.sql} AS CHAR)" if value.kind == "integer" else f"{text} + 0.0 = {value.sql}"
        return f"(({as_number}) OR ({kind} IN ({self._INTEGERS}) AND {as_integer}))"

    def is_null(self, path: JsonPath) -> str:
        return f"(coalesce(JSON_TYPE({self._member(path)}), 'NULL') = 'NULL')"

    def text(self, path: JsonPath, collation: str) -> str:
        member = self._member(path)
        kind, text = f"JSON_TYPE({member})", f"JSON_UNQUOTE({member})"
        number = f"CAST(CAST({text} AS DOUBLE) AS CHAR)"
        chosen = f"CASE {kind} WHEN 'NULL' THEN NULL WHEN 'DOUBLE' THEN {number} ELSE {text} END"
        return f"(CONVERT({chosen} USING utf8mb4) COLLATE {collation})"

    def _member(self, path: JsonPath) -> str:
        parts, lists = ["'$'"], []
        for sql, kind in path.steps:
            if kind == "integer":
                lists.append(self._extract(path.document, parts))
                parts += ["'['", f"CAST({sql} AS CHAR)", "']'"]
            else:
                parts += ["'.'", f"JSON_QUOTE({sql})"]
        found = self._extract(path.document, parts)
        # The first place of what is no list is, to the server, what stands there itself.
        are_lists = " AND ".join(f"JSON_TYPE({above}) = 'ARRAY'" for above in lists)
        return f"(CASE WHEN {are_lists} THEN {found} END)" if lists else found

    def _extract(self, document: str, parts: Sequence[str]) -> str:
        return f"JSON_EXTRACT({document}, CONCAT({', '.join(parts)}))"
