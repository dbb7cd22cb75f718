"""
What the calls of a log cost and how long they took, as a page with two charts.

    pip install 'aicore-sqllog[plot]'
    python examples/analysis.py sqlite:///llm.db --page analysis.html

Everything is added up in the database. The page is drawn in a browser, by scripts that Altair has it fetch.
"""

import argparse
from pathlib import Path

import altair as alt
import polars as pl

from aicore_sqllog import LogReader


def cost_per_day(log: LogReader, time_zone: str) -> alt.Chart:
    """Return bars: what each day cost, by model."""
    days = log.timeseries("1d", "model", tz=time_zone, measures=["calls", "cost"])
    chart: alt.Chart = (
        alt.Chart(days.with_columns(pl.col("cost").fill_null(0)), title="Cost per day", width=640)
        .mark_bar()
        .encode(
            x=alt.X("bucket:T", title=f"day ({time_zone})"),
            y=alt.Y("cost:Q", title="cost"),
            color=alt.Color("model:N", title="model"),
            tooltip=["bucket:T", "model:N", "calls:Q", "cost:Q"],
        )
    )
    return chart


def latency_percentiles(log: LogReader) -> alt.Chart:
    """Return marks: the median, the 95th and the 99th percentile of each model's latency."""
    names = {"latency_ms_p50": "median", "latency_ms_p95": "95 %", "latency_ms_p99": "99 %"}
    models = log.summary("model", measures=["calls", *names]).rename(names)
    long = models.unpivot(on=list(names.values()), index=["model", "calls"], variable_name="of", value_name="ms")
    chart: alt.Chart = (
        alt.Chart(long.drop_nulls("ms"), title="Latency", width=640)
        .mark_tick(thickness=3)
        .encode(
            x=alt.X("ms:Q", title="milliseconds"),
            y=alt.Y("model:N", title=None),
            color=alt.Color("of:N", title="of the calls", sort=list(names.values())),
            tooltip=["model:N", "of:N", "ms:Q", "calls:Q"],
        )
    )
    return chart


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description="What the calls of a log cost, and how long they took.")
    parser.add_argument("connection", nargs="?", help="a SQLAlchemy URL; else $CONNECTION_STRING")
    parser.add_argument("--page", type=Path, default=Path("analysis.html"))
    parser.add_argument("--time-zone", default="UTC")
    chosen = parser.parse_args()
    with LogReader(chosen.connection) as log:
        charts = alt.vconcat(cost_per_day(log, chosen.time_zone), latency_percentiles(log)).resolve_scale(
            color="independent"
        )
    charts.save(str(chosen.page))
    print(f"{chosen.page} is written")


if __name__ == "__main__":
    main()
