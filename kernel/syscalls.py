"""System calls that Python does not wrap, through the process's own C library. Source: syscall(2), prctl(2)."""

import ctypes
import os

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long


def syscall(number: int, *arguments: int | bytes | None) -> int:
    """Make a system call, and return its result. Raises `OSError`."""
    passed = (ctypes.c_long(value) if isinstance(value, int) else value for value in arguments)
    result: int = _LIBC.syscall(ctypes.c_long(number), *passed)
    if result < 0:
        raise _last_error()
    return result


def prctl(option: int, value: int = 0) -> int:
    """Set an attribute of this process, and return the call's result. Raises `OSError`."""
    # Newer options require that unused arguments are zero.
    result: int = _LIBC.prctl(option, *(ctypes.c_ulong(argument) for argument in (value, 0, 0, 0)))
    if result < 0:
        raise _last_error()
    return result


def _last_error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
