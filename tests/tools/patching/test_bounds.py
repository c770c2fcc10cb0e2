"""Bounds of a patch: each is reported with its number, and hostile patches end quickly.

Covers `tools.patching.limits`.
"""

import time
import tracemalloc
from collections.abc import Callable

import pytest

from tests.tools.patching.trees import patched_by_us
from tools.base import ToolError
from tools.patching import Content, Limits, apply, parse

HUNK = b"@@ -%d +%d @@\n-%d\n+x\n"
MIB = 1024 * 1024
MAX_SECONDS = 6.0
"""The limit for a machine that also runs other tests."""


def refusal_of(patch: bytes, limits: Limits, **files: bytes) -> ToolError:
    with pytest.raises(ToolError) as refusal:
        apply(parse(patch, limits), lambda path: Content(data=files[path]) if path in files else None, limits)
    return refusal.value


def file_header(name: str) -> bytes:
    return f"--- a/{name}\n+++ b/{name}\n".encode()


@pytest.mark.parametrize(
    ("limits", "patch", "number"),
    [
        (Limits(max_patch_bytes=30), file_header("a") + b"@@ -1 +1 @@\n-1\n+2\n", "30"),
        (Limits(max_patch_lines=4), file_header("a") + b"@@ -1 +1 @@\n-1\n+2\n", "4"),
        (Limits(max_hunks=1), file_header("a") + HUNK % (1, 1, 1) + HUNK % (2, 2, 2), "1"),
        (Limits(max_files=1), b"*** Begin Patch\n*** Delete File: a\n*** Delete File: b\n*** End Patch\n", "1"),
        (Limits(max_hunks=1), b"*** Begin Patch\n*** Update File: a\n-1\n@@\n-2\n*** End Patch\n", "1"),
        (Limits(max_content_bytes=5), file_header("a") + HUNK % (1, 1, 1), "5"),
        (Limits(max_searched_bytes=3), file_header("a") + HUNK % (9, 9, 1), "3"),
        (Limits(max_searched_bytes=3), b"*** Begin Patch\n*** Update File: a\n-1\n*** End Patch\n", "3"),
    ],
)
def test_exceeded_bound_is_reported_with_its_number(limits: Limits, patch: bytes, number: str) -> None:
    refusal = refusal_of(patch, limits, a=b"1\n2\n", b=b"")
    assert refusal.code == "too_large"
    assert f"at most {number} " in str(refusal)


def test_copies_cannot_multiply_a_file_without_bound() -> None:
    copies = b"".join(
        b"diff --git a/a b/%d\nsimilarity index 100%%\ncopy from a\ncopy to %d\n" % (n, n) for n in range(150)
    )
    assert refusal_of(copies, Limits(), a=bytes(MIB)).code == "too_large"


def test_too_many_anchors_are_rejected() -> None:
    patch = b"*** Begin Patch\n*** Update File: a\n" + b"@@ x\n" * 9 + b"-x\n*** End Patch\n"
    assert "at most 8" in str(refusal_of(patch, Limits(), a=b"x\n"))


def repeats_everywhere() -> tuple[bytes, bytes]:
    """Return hunks that almost match at every line of a file of one repeated line."""
    body = b" a\n" * 900 + b"-b\n+c\n"
    return b"a\n" * (2 * MIB), file_header("f") + b"".join(b"@@ -9999999,9 +9,9 @@\n" + body for _ in range(10))


def anchors_everywhere() -> tuple[bytes, bytes]:
    hunk = b"@@ a\n@@ a\n@@ a\n-b\n+c\n"
    return b"a\n" * (2 * MIB), b"*** Begin Patch\n*** Update File: f\n" + hunk * 5000 + b"*** End Patch\n"


def anchors_in_many_chains() -> tuple[bytes, bytes]:
    return b"a\n" * MIB + b"b\n", b"*** Begin Patch\n*** Update File: f\n@@ a\n@@ a\n-b\n+c\n*** End Patch\n"


def blanks_before_no_anchor() -> tuple[bytes, bytes]:
    return b" " * (4 * MIB), b"*** Begin Patch\n*** Update File: f\n@@ a\n-b\n+c\n*** End Patch\n"


def headers_without_end() -> tuple[bytes, bytes]:
    return b"", b"--- a/f\n+++ b/f\n" * 49_000


def huge_counts() -> tuple[bytes, bytes]:
    return b"1\n", file_header("f") + b"@@ -999999999,999999999 +999999999,999999999 @@\n-1\n+2\n" * 5000


def numbers_of_many_digits() -> tuple[bytes, bytes]:
    return b"1\n", file_header("f") + b"@@ -" + b"9" * 3_000_000 + b" +1 @@\n-1\n+2\n"


def backslashes_in_quotes() -> tuple[bytes, bytes]:
    return b"1\n", b'--- "' + b"\\\\" * 1_900_000 + b"\n+++ b/f\n@@ -1 +1 @@\n-1\n+2\n"


def empty_lines() -> tuple[bytes, bytes]:
    return b"1\n", file_header("f") + b"@@ -1,99999 +1,99999 @@\n-1\n" + b"\n" * 99_000


attacks = pytest.mark.parametrize(
    "attack",
    [
        repeats_everywhere,
        anchors_everywhere,
        blanks_before_no_anchor,
        headers_without_end,
        huge_counts,
        numbers_of_many_digits,
        backslashes_in_quotes,
    ],
    ids=lambda attack: attack.__name__,
)


@attacks
def test_hostile_patch_is_rejected_quickly(attack: Callable[[], tuple[bytes, bytes]]) -> None:
    data, patch = attack()
    began = time.monotonic()
    refusal_of(patch, Limits(), f=data)
    assert time.monotonic() - began < MAX_SECONDS


@attacks
def test_hostile_patch_is_rejected_in_little_memory(attack: Callable[[], tuple[bytes, bytes]]) -> None:
    data, patch = attack()
    tracemalloc.start()
    try:
        refusal_of(patch, Limits(), f=data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 64 * MIB


@pytest.mark.parametrize("attack", [anchors_in_many_chains, empty_lines], ids=lambda attack: attack.__name__)
def test_large_patch_is_applied_quickly(attack: Callable[[], tuple[bytes, bytes]]) -> None:
    data, patch = attack()
    began = time.monotonic()
    patched_by_us({"f": Content(data=data)}, patch)
    assert time.monotonic() - began < MAX_SECONDS
