"""
One spelling of a question's arguments: what takes them as ``**arguments`` shows them by name.
"""

import inspect
from collections.abc import Callable
from inspect import Parameter
from typing import Any, TypeVar

from aicore_sqllog.querying.filters import Filters

__all__ = ["shows_arguments_of"]

F = TypeVar("F", bound=Callable[..., Any])


def shows_arguments_of(question: Callable[..., Any]) -> Callable[[F], F]:
    """
    Return a decorator that has ``help()``, notebooks and ``inspect.signature`` show *question*'s arguments by name.

    They stand in the place of ``**arguments``: the arguments of *question* that are named, then every filter.
    """

    def decorate(function: F) -> F:
        own = inspect.signature(function)
        asked = [one for one in _named(inspect.signature(question)) if one.name not in own.parameters]
        parameters = [*_named(own), *(one for one in asked if one.kind is not Parameter.POSITIONAL_ONLY), *_FILTERS]
        function.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
        return function

    return decorate


def _named(signature: inspect.Signature) -> list[Parameter]:
    return [parameter for parameter in signature.parameters.values() if parameter.kind is not Parameter.VAR_KEYWORD]


_FILTERS = [
    Parameter(name, Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
    for name, annotation in Filters.__annotations__.items()
]
