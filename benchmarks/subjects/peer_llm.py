"""The log of Simon Willison's ``llm``, into SQLite: written in the call."""

import tempfile
import time
from pathlib import Path
from typing import Any

import llm
import sqlite_utils
from llm.migrations import migrate

from benchmarks.subjects.common import Figures, run
from benchmarks.workload import fields


class Echo(llm.Model):
    """Answers at once."""

    model_id = "echo"

    def execute(self, prompt: Any, stream: bool, response: Any, conversation: Any) -> Any:
        """Yield the answer."""
        yield fields(0)["messages"][-1]["content"]


def subject(operations: int = 300) -> Figures:
    """Return operations a second: of logging alone, the answers are there before."""
    system, user, _ = (message["content"] for message in fields(0)["messages"])
    model = Echo()
    with tempfile.TemporaryDirectory() as folder:
        database = sqlite_utils.Database(Path(folder) / "logs.db")
        migrate(database)
        answers = [model.prompt(f"{number} {user}", system=system) for number in range(operations)]
        for answer in answers:
            answer.text()
        begun = time.perf_counter()
        for answer in answers:
            answer.log_to_db(database)
        return {"rate": operations / (time.perf_counter() - begun)}


if __name__ == "__main__":
    run(subject)
