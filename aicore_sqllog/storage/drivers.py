"""
Which driver opens a URL: the one that it names where that is installed, else a sibling for the same database.

Imports no driver; it only looks whether one is there.
"""

import importlib.util

from sqlalchemy.engine import URL

from aicore_sqllog.errors import ConfigurationError
from aicore_sqllog.storage.dialects.lookup import dialect_of

__all__ = ["choose", "is_installed", "require"]


def is_installed(module: str) -> bool:
    """Return whether *module* can be imported, without importing it."""
    return importlib.util.find_spec(module) is not None


def choose(url: URL, *, asynchronous: bool) -> URL | None:
    """
    Return *url* with a driver that is installed and of the kind asked for; None if there is none.

    A database of a kind that is not known here keeps its URL: its owner knows the driver.
    """
    dialect = dialect_of(url)
    if dialect.drivers is None:
        return url
    database, _, named = url.drivername.partition("+")
    drivers = dialect.drivers.asynchronous if asynchronous else dialect.drivers.synchronous
    for driver in sorted(drivers, key=lambda driver: driver.name != named):  # stable: the named one first
        if is_installed(driver.module):
            name = "+".join(filter(None, (database, driver.name)))
            return dialect.translated(url, named, driver.name).set(drivername=name)
    return None


def require(url: URL, *, asynchronous: bool) -> URL:
    """
    Return what :func:`choose` returns.

    Raises:
        ConfigurationError: If no such driver is installed; it names the extra that brings one.
    """
    chosen = choose(url, asynchronous=asynchronous)
    if chosen is not None:
        return chosen
    known = dialect_of(url).drivers
    assert known is not None
    drivers = known.asynchronous if asynchronous else known.synchronous
    kind = "asynchronous" if asynchronous else "synchronous"
    names = " or ".join(driver.name for driver in drivers)
    raise ConfigurationError(
        f"No {kind} driver for {url.drivername.partition('+')[0]} is installed ({names}). "
        f"Install one with: pip install 'aicore-sqllog[{known.extra}]'."
    )
