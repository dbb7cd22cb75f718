"""
Commands that take a log elsewhere, and take logs in: ``export``, ``import`` and ``verify``.
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from aicore_sqllog.cli.command import Command
from aicore_sqllog.cli.exits import DONE, NOT_SO, say
from aicore_sqllog.cli.options import add_connection, add_filters, chosen_filters
from aicore_sqllog.cli.progress import Progress
from aicore_sqllog.storage.connection import resolve
from aicore_sqllog.transfer.export import ExportFormat, export_log
from aicore_sqllog.transfer.foreign import import_foreign
from aicore_sqllog.transfer.load import faults_of, import_export

__all__ = ["COMMANDS"]


def _add_export(parser: argparse.ArgumentParser) -> None:
    add_connection(parser)
    parser.add_argument("folder", type=Path, help="where to; it is made where it is missing, or gone on with")
    parser.add_argument(
        "--format",
        choices=get_args(ExportFormat),
        default="parquet",
        help="parquet, where it is left out; spans are OpenTelemetry's, as JSON lines",
    )
    parser.add_argument("--no-content", action="store_true", help="leave all texts and documents out")
    parser.add_argument("--part-rows", type=int, default=100_000, metavar="ROWS", help="calls in a file, 100000")
    _add_quiet(parser)
    add_filters(parser)


def _add_quiet(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quiet", action="store_true", help="tell no progress")


def _export(chosen: argparse.Namespace) -> int:
    if chosen.part_rows < 1:
        raise ValueError(f"--part-rows {chosen.part_rows} cannot be right. Allowed: a number from 1 on.")
    with Progress("exported", is_quiet=chosen.quiet) as progress:
        manifest = export_log(
            resolve(chosen.connection, schema=chosen.schema),
            chosen.folder,
            file_format=chosen.format,
            filters=chosen_filters(chosen),
            with_content=not chosen.no_content,
            part_rows=chosen.part_rows,
            progress=progress,
        )
    print(f"{chosen.folder}: {_counted(manifest.rows)} in {len(manifest.files)} files")
    return DONE


def _add_import(parser: argparse.ArgumentParser) -> None:
    add_connection(parser)
    parser.add_argument(
        "source", type=Path, help="the folder of an export, the logs.db of llm, or LiteLLM's spend logs as JSON or CSV"
    )
    _add_quiet(parser)


def _import(chosen: argparse.Namespace) -> int:
    place = resolve(chosen.connection, schema=chosen.schema)
    with Progress("imported", is_quiet=chosen.quiet) as progress:
        bring = import_export if chosen.source.is_dir() else import_foreign
        result = bring(place, chosen.source, progress=progress, say=say)
    print(f"imported {_counted(result.imported)}; there already: {_counted(result.there_already)}")
    return DONE


def _add_verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="the folder of an export")
    _add_quiet(parser)


def _verify(chosen: argparse.Namespace) -> int:
    faults = 0
    with Progress("verified", is_quiet=chosen.quiet) as progress:
        for fault in faults_of(chosen.folder, progress):
            faults += 1
            print(fault)
    if faults == 0:
        print(f"{chosen.folder}: every file is what the manifest says")
    return NOT_SO if faults else DONE


def _counted(rows: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {table.removeprefix('llm_')}" for table, count in rows.items()) or "nothing"


COMMANDS = (
    Command("export", "write the log, or what filters choose, into files with a manifest", _add_export, _export),
    Command(
        "import", "store an export, or the log of another program; what is there already stays", _add_import, _import
    ),
    Command("verify", "check the files of an export against its manifest", _add_verify, _verify),
)
