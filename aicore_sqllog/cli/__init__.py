"""The command ``aicore-sqllog``: a log looked at, kept small, taken elsewhere, and its tables migrated."""

from aicore_sqllog.cli.program import main

__all__ = ["main"]
