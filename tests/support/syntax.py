"""Source text as a syntax tree."""

import ast
import gc


def tree(source: str) -> ast.Module:
    """Parse ``source`` with no collection of garbage in the middle.

    Python 3.11 counts the depth of the tree in what the whole process shares: a finalizer of another test that runs
    meanwhile, or the thread that it lets in, ends the parse with ``SystemError: AST constructor recursion depth
    mismatch`` (CPython issue 106905).
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        return ast.parse(source)
    finally:
        if was_on:
            gc.enable()
