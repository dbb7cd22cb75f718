"""What several tests need: scripts in a process of their own, and waiting on conditions."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path


def run_python(*arguments: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own, with warnings as errors."""
    return subprocess.run(
        [sys.executable, "-W", "error", *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "PYTHONIOENCODING": "utf-8", **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Return as soon as *condition* holds; fail if it does not within *seconds*."""
    give_up_at = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up_at, "the condition did not come about"
        time.sleep(0.005)
