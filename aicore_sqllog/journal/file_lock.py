"""
Who owns a file: whoever holds its lock of the operating system, which ends with its process however that ends.
"""

import sys

__all__ = ["try_lock"]

if sys.platform == "win32":
    import msvcrt

    def try_lock(file: int) -> bool:
        """Take the lock of the open *file* and return True, or False where another has it."""
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1 << 30)
        except OSError:
            return False
        return True
else:
    import fcntl

    def try_lock(file: int) -> bool:
        """Take the lock of the open *file* and return True, or False where another has it."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
