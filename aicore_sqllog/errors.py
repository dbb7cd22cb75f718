"""
The exceptions that this package raises; imports nothing of ours.

::

    SQLLogError
    ├── ConfigurationError (ValueError)       an option, a URL or a variable that cannot work
    ├── LogNotFoundError (FileNotFoundError)  there is no log to read at this place
    ├── SchemaError (RuntimeError)            the tables are not those that this version can use
    ├── TransferError (ValueError)            an export or another program's log that cannot be read or gone on with
    └── DatabaseError (RuntimeError)          the database refused; the driver's error is the cause

Every message says the fact, the value and the remedy, and holds neither a
password nor anything that was logged.
"""

__all__ = ["ConfigurationError", "DatabaseError", "LogNotFoundError", "SQLLogError", "SchemaError", "TransferError"]


class SQLLogError(Exception):
    """The base of all exceptions raised by this package."""


class ConfigurationError(SQLLogError, ValueError):
    """An option, a connection or an environment variable that cannot work as given."""


class LogNotFoundError(SQLLogError, FileNotFoundError):
    """The file or the tables that were to be read do not exist; nothing was created."""


class SchemaError(SQLLogError, RuntimeError):
    """The tables are older than this version needs, newer than it understands, or another program's."""


class TransferError(SQLLogError, ValueError):
    """An export, or a log of another program, that is missing, damaged, unfinished or not what was asked for."""


class DatabaseError(SQLLogError, RuntimeError):
    """The database refused a statement; ``__cause__`` is SQLAlchemy's error, its parameters hidden."""
