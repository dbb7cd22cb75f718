"""Rows a second into a frame, beside the driver alone and beside the predecessor's way."""

from collections.abc import Iterator

from benchmarks.measuring import Subject, UnavailableError, in_turns, peer
from benchmarks.options import Options
from benchmarks.table import Goal, Row

_DRIVERS = ("sqlite", "postgresql+psycopg", "postgresql+psycopg2", "mysql+pymysql")


def run(options: Options) -> Iterator[Row]:
    """Yield what each database gives: rows of 27 columns, and a summary by model."""
    here, elsewhere = options.drivers(*_DRIVERS)
    for driver in elsewhere:
        yield Row("reading", driver, note="not measured: no server")
    operations = 10_000 if options.quick else 50_000
    subjects = {driver: Subject("reading", {"driver": driver, "operations": operations}) for driver in here}
    subjects["AiCore, sqlite"] = peer("aicore", operations=1_000)
    rates: dict[str, float] = {}
    for name, found in in_turns(options.chosen(subjects), min(2, options.rounds), options.note):
        if isinstance(found, UnavailableError):
            yield Row("reading", name, note=f"not measured: {found}")
        elif name not in here:
            rate = found["read"]
            yield Row("reading", name, rate.median, "rows/s", rate.spread, note="of 1,000 rows")
            if "sqlite" in rates:
                times = rates["sqlite"] / rate.median
                yield Row("reading", f"ours beside {name}", ratio=times, limit="x", goal=Goal(at_least=5))
        else:
            rates[name] = found["ours"].median
            rate, limit = found["ours"], "COPY" if "COPY" in found else "fetchall"
            note = f"{limit} {found[limit].median:,.0f}/s; peak memory grew by {found['memory'].median:.0f} MiB"
            ratio = found["ratio"].median
            yield Row("reading", name, rate.median, "rows/s", rate.spread, ratio, f"of {limit}", Goal(0.8), note)
            beside = found["beside rows"].median
            yield Row("reading", f"{name}, beside row by row", ratio=beside, limit="x")
            if "summary_ms" in found:
                summary, ratio = found["summary_ms"], found["summary_ratio"].median
                limit = "x fetching and grouping"
                what = f"{name}, summary by model"
                yield Row("reading", what, summary.median, "ms", summary.spread, ratio, limit, Goal(at_most=1.0))
