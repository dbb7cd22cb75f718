"""Operations a second from the first log call to the last commit, and what the processor spends on each."""

from collections.abc import Iterator

from benchmarks.measuring import Subject, UnavailableError, in_turns, peer
from benchmarks.options import Options
from benchmarks.table import Goal, Row

_DRIVERS = ("sqlite", "postgresql+psycopg", "postgresql+psycopg2", "postgresql+asyncpg", "mysql+pymysql")
_LIMIT = "of the limit"
_AICORE = ("sqlite", "postgresql+psycopg2", "mysql+pymysql")


def run(options: Options) -> Iterator[Row]:
    """Yield a row for each database; the limit is a log call that does nothing and the driver with ready-made rows."""
    here, elsewhere = options.drivers(*_DRIVERS)
    for driver in elsewhere:
        yield Row("throughput", driver, note="not measured: no server")
    operations = 3_000 if options.quick else 10_000

    def writing(driver: str, **more: object) -> Subject:
        return Subject("writing", {"driver": driver, "operations": operations, **more})

    subjects = {driver: writing(driver) for driver in here}
    subjects["sqlite, ORM alone"] = writing("sqlite", accelerate=False)
    for driver in here if not options.quick else ():
        if driver not in ("postgresql+psycopg2", "postgresql+asyncpg"):
            subjects[f"{driver}, 4 threads"] = writing(driver, threads=4)
            subjects[f"{driver}, 4 processes"] = writing(driver, processes=4)
    peers = {f"AiCore, {driver}": peer("aicore", driver=driver) for driver in _AICORE if driver in here}
    peers |= {
        "MLflow tracing, sqlite": peer("mlflow", operations=100),
        "llm (Simon Willison's), sqlite": peer("llm", operations=200),
    }
    rates: dict[str, float] = {}
    for name, found in in_turns(options.chosen({**subjects, **peers}), options.rounds, options.note):
        if isinstance(found, UnavailableError):
            yield Row("throughput", name, note=f"not measured: {found}")
            continue
        rate = found["rate"]
        rates[name] = rate.median
        if name in subjects:
            note = f"limit {found['limit'].median:,.0f}/s" + _cpu(name, found["cpu"].median)
            goal = Goal(at_least=0.35 if "ORM" in name else 0.6) if "," not in name or "ORM" in name else None
            yield Row("throughput", name, rate.median, "op/s", rate.spread, found["ratio"].median, _LIMIT, goal, note)
            continue
        yield Row("throughput", name, rate.median, "op/s", rate.spread)
        driver = name.rpartition(", ")[2]
        if driver in rates:
            goal = Goal(at_least=15) if name.startswith("AiCore") else None
            yield Row("throughput", f"ours beside {name}", ratio=rates[driver] / rate.median, limit="x", goal=goal)


def _cpu(name: str, microseconds: float) -> str:
    return "" if "processes" in name else f", {microseconds:.0f} us of processor an operation"
