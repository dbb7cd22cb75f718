"""
``python -m benchmarks [CASE ...]``: measure, and print one table.

Everything is a ratio to something measured in the same run on the same machine; the machine should have nothing else
to do.
"""

import argparse
import importlib
import json
import os
import platform
import sys
from pathlib import Path

from benchmarks.options import Options
from benchmarks.table import Row, compare, heading, line, markdown, publish, save_baseline, to_json

CASES = ("caller", "throughput", "reading", "latency", "start", "growth")
APART = ("sustained",)
"""Run only where they are named."""


def main() -> int:
    """Run the cases that are named, or all; return 1 where ``--check`` finds that a ratio has fallen."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("cases", nargs="*", choices=[*CASES, *APART, []], help="left out: all but sustained")
    parser.add_argument("--quick", action="store_true", help="fewer runs of less: for a first look")
    parser.add_argument("--full", action="store_true", help="growth up to 10,000,000 messages (some 8 GB of disk)")
    parser.add_argument("--only", default="", help="run only subjects and databases whose names hold this")
    parser.add_argument("--seconds", type=float, default=600, help="how long sustained runs")
    parser.add_argument("--json", type=Path, help="write the table there, too")
    parser.add_argument("--markdown", type=Path, help="and there")
    parser.add_argument("--publish", action="store_true", help="put the table into README and documentation")
    parser.add_argument("--check", action="store_true", help="fail where a ratio is a third worse than the baseline")
    parser.add_argument("--save-baseline", action="store_true")
    arguments = parser.parse_args()
    options = Options(arguments.quick, arguments.full, arguments.only, arguments.seconds)
    print(f"{machine()}\n{heading()}", flush=True)
    rows: list[Row] = []
    for name in arguments.cases or CASES:
        for row in importlib.import_module(f"benchmarks.cases.{name}").run(options):
            options.note("")
            print(line(row), flush=True)
            rows.append(row)
    if arguments.json:
        arguments.json.write_text(json.dumps({"machine": machine(), "rows": to_json(rows)}, indent=1))
    if arguments.markdown:
        arguments.markdown.write_text(f"{machine()}\n\n{markdown(rows)}\n")
    if arguments.publish:
        publish(rows, machine())
    if arguments.save_baseline:
        save_baseline(rows)
    fallen = compare(rows) if arguments.check else []
    print("\n".join(fallen), file=sys.stderr)
    return 1 if fallen else 0


def machine() -> str:
    """Return on what this was measured."""
    load = f", load {os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else ""
    return f"Python {platform.python_version()}, {platform.system()}, {os.cpu_count()} cores{load}"


if __name__ == "__main__":
    sys.exit(main())
