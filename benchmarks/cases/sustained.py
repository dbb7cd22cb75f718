"""Ten minutes at half of the greatest rate."""

from collections.abc import Iterator

from benchmarks.measuring import Subject, UnavailableError, in_turns
from benchmarks.options import Options
from benchmarks.table import Row


def run(options: Options) -> Iterator[Row]:
    """Yield a row for each database."""
    here, _ = options.drivers("sqlite", "postgresql+psycopg")
    subjects = {name: Subject("sustained", {"driver": name, "seconds": options.seconds}) for name in here}
    for name, found in in_turns(options.chosen(subjects), 1, options.note):
        if isinstance(found, UnavailableError):
            yield Row("sustained", name, note=f"not measured: {found}")
            continue
        figures = {key: figure.median for key, figure in found.items()}
        wal = f"log at most {figures['log']:.1f} MiB, " if name == "sqlite" else ""
        note = (
            f"memory {figures['memory_start']:.0f} MiB after a minute, {figures['memory_end']:.0f} at the end; {wal}"
            f"oldest waited {figures['age']:.2f} s; {figures['dropped']:.0f} not stored; {options.seconds:.0f} s"
        )
        yield Row("sustained", name, figures["rate"], "op/s", note=note)
