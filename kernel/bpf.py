"""An assembler of seccomp's filter programs. Source: Documentation/userspace-api/seccomp_filter.rst, linux/filter.h."""

import struct

LOAD, JUMP_EQUAL, JUMP_GREATER, JUMP_AT_LEAST, JUMP_ANY_BIT, AND, RETURN = 0x20, 0x15, 0x25, 0x35, 0x45, 0x54, 0x06

# An argument takes 8 bytes. Both supported architectures are little-endian, so its low half comes first.
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16
"""The offsets of the fields of `struct seccomp_data`."""

ALLOW = 0x7FFF0000
KILL_PROCESS = 0x80000000
ERRNO = 0x00050000

Code = bytes


def step(operation: int, value: int, when_true: int = 0, when_false: int = 0) -> Code:
    """Return one instruction. `when_true` and `when_false` are numbers of instructions to skip."""
    return struct.pack("=HBBI", operation, when_true, when_false, value)


def answer(error: int) -> Code:
    """End the program: the call fails with this error number."""
    return step(RETURN, ERRNO | error)


def load_argument(index: int) -> Code:
    """Load the low 32 bits of an argument."""
    return step(LOAD, ARGUMENTS + 8 * index)


def when_equal(value: int, then: Code) -> Code:
    """Run `then` if the loaded value is equal."""
    return step(JUMP_EQUAL, value, 0, length(then)) + then


def unless_equal(value: int, then: Code) -> Code:
    """Run `then` if the loaded value differs."""
    return step(JUMP_EQUAL, value, length(then), 0) + then


def when_at_least(value: int, then: Code) -> Code:
    """Run `then` if the loaded value is at least this one."""
    return step(JUMP_AT_LEAST, value, 0, length(then)) + then


def when_any_bit(bits: int, then: Code) -> Code:
    """Run `then` if the loaded value has any of the bits."""
    return step(JUMP_ANY_BIT, bits, 0, length(then)) + then


def when_argument(index: int, bits: int, then: Code) -> Code:
    """Run `then` if an argument has any of the bits."""
    return load_argument(index) + when_any_bit(bits, then)


def length(code: Code) -> int:
    """Return the number of instructions."""
    return len(code) // 8
