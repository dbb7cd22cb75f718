"""Records made both ways: value by value, and as one of many."""

import pytest

from aicore_sqllog.capture.build import RecordBuilder
from aicore_sqllog.capture.snapshot import Snapshot
from aicore_sqllog.record.call_record import CallRecord


@pytest.fixture
def both_ways(monkeypatch: pytest.MonkeyPatch) -> list[CallRecord]:
    """Have each record that is built on its own built as one of many too, and compared; return the plain ones."""
    build, plain = RecordBuilder.build, list[CallRecord]()

    def build_both(builder: RecordBuilder, snapshot: Snapshot) -> CallRecord:
        record = build(builder, snapshot)
        many = builder.build_plain([snapshot, snapshot])
        if many[0] is not None:
            assert many == [record, record]
            assert repr(many[0]) == repr(record)  # 1 is no 1.0
            plain.append(record)
        return record

    monkeypatch.setattr(RecordBuilder, "build", build_both)
    return plain
