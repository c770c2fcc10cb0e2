"""An assembler of seccomp's filter programs. Source: Documentation/userspace-api/seccomp_filter.rst, linux/filter.h."""

import struct

LOAD, JUMP_EQUAL, JUMP_GREATER, JUMP_AT_LEAST, JUMP_ANY_BIT, AND, RETURN = 0x20, 0x15, 0x25, 0x35, 0x45, 0x54, 0x06

NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16
"""Where `struct seccomp_data` has them; an argument takes 8 bytes, its low half first on either architecture."""

ALLOW = 0x7FFF0000
KILL_PROCESS = 0x80000000
ERRNO = 0x00050000

Code = bytes


def step(operation: int, value: int, when_true: int = 0, when_false: int = 0) -> Code:
    """One instruction; the last two are how many instructions to skip."""
    return struct.pack("=HBBI", operation, when_true, when_false, value)


def answer(error: int) -> Code:
    """Ends the program: the call fails with that error number."""
    return step(RETURN, ERRNO | error)


def load_argument(index: int) -> Code:
    """Takes the low 32 bits of an argument."""
    return step(LOAD, ARGUMENTS + 8 * index)


def when_equal(value: int, then: Code) -> Code:
    """Runs `then` where the loaded value is equal, and skips it elsewhere."""
    return step(JUMP_EQUAL, value, 0, length(then)) + then


def unless_equal(value: int, then: Code) -> Code:
    """Runs `then` where the loaded value differs, and skips it elsewhere."""
    return step(JUMP_EQUAL, value, length(then), 0) + then


def when_at_least(value: int, then: Code) -> Code:
    """Runs `then` where the loaded value is as great, and skips it elsewhere."""
    return step(JUMP_AT_LEAST, value, 0, length(then)) + then


def when_any_bit(bits: int, then: Code) -> Code:
    """Runs `then` where the loaded value has one of the bits, and skips it elsewhere."""
    return step(JUMP_ANY_BIT, bits, 0, length(then)) + then


def length(code: Code) -> int:
    """How many instructions it is."""
    return len(code) // 8
