"""
Signals that end a process: on one, what waits is written before it ends. Opt-in; without that no signal is touched.

A signal handler of Python's interrupts the main thread anywhere, also inside a lock that the flush needs. So it
waits for nothing: it starts a thread that flushes and then sends the signal once more, and the second one is
passed on to whoever had it before.
"""

import _thread
import contextlib
import os
import signal
import threading
from types import FrameType

from aicore_sqllog.process import hooks
from aicore_sqllog.process.end import flush_all

__all__ = ["install_once", "install_signal_handlers"]

_previous: dict[int, object] = {}
"""What each signal did before, by its number."""

_flushing: set[int] = set()
"""For which signals a flush is on its way."""

# A forked child does not have the thread that flushes, and so nobody who would send the signal again.
hooks.in_child(hooks.Child.STATE, _flushing.clear)


def install_signal_handlers(*signals: int) -> None:
    """
    Have every handler flushed when one of *signals* comes, before it does what it did until now.

    All handlers are flushed at once, each within its ``shutdown_timeout``. Then the handler that was set before
    runs; where there was none, the process ends by the signal, as its parent expects. A second signal
    meanwhile is not delayed. Call this from the main thread, after others have set theirs.

    Args:
        signals: Which; ``SIGTERM`` where none is given.
    """
    for number in signals or (signal.SIGTERM,):
        previous = signal.getsignal(number)
        if previous is not _on_signal and previous is not None:  # None: not Python's, so it could not be passed on to
            signal.signal(number, _on_signal)
            _previous[number] = previous


def install_once() -> bool:
    """
    Do that for ``SIGTERM``, unless it was done before in this process; return False outside the main thread.

    Whoever has taken the signal over since then passes it on to us, as uvicorn does: to set our handler over that one
    would make a circle of the two.
    """
    if threading.current_thread() is not threading.main_thread():
        return signal.SIGTERM in _previous
    if signal.SIGTERM not in _previous or signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        install_signal_handlers(signal.SIGTERM)
    return True


def _on_signal(number: int, frame: FrameType | None) -> None:
    if number not in _flushing:
        _flushing.add(number)
        # Not threading.Thread, whose start waits for locks that this thread may be inside of.
        with contextlib.suppress(RuntimeError):  # the interpreter ends, and flushes by itself
            _thread.start_new_thread(_flush_and_send_again, (number,))
            return
    _flushing.discard(number)
    _pass_on(number, frame)


def _flush_and_send_again(number: int) -> None:
    try:
        flush_all()
    finally:
        main = threading.main_thread().ident
        if number in _flushing and main is not None:
            signal.pthread_kill(main, number)


def _pass_on(number: int, frame: FrameType | None) -> None:
    previous = _previous[number]
    if callable(previous):
        previous(number, frame)
    elif previous is signal.SIG_DFL:
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
