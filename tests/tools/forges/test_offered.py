"""Checks of the objects and the difference that a pull request offers.

Covers `tools.forges.offered` and `tools.forges.pkt_line`.
"""

import pytest

from tools.base import ToolError
from tools.forges.offered import check_secrets, graph, shown_diff
from tools.forges.pkt_line import pkt_line, pkt_lines
from tools.forges.private_repository import Object
from tools.output.masking import Masker
from tools.workspace import SecretNames

SECRET = "known-secret-of-the-service-1"
TOKEN = "ghp_" + "a1" * 18
KEY = "-----BEGIN PRIVATE KEY-----\n" + "A" * 64 + "\n-----END PRIVATE KEY-----\n"
ONE, TWO, THREE = "1" * 40, "2" * 40, "3" * 40


def blob(content: bytes, sha: str = ONE) -> Object:
    return Object(sha, "blob", content)


def tree(name: str, of: str) -> Object:
    return Object(THREE, "tree", b"100644 " + name.encode() + b"\0" + bytes.fromhex(of))


def check(offered: list[Object], before: list[Object]) -> None:
    check_secrets(offered, before, Masker((SECRET,)).secrets, SecretNames())


@pytest.mark.parametrize(
    "item",
    [
        blob(f"x = {SECRET}".encode()),
        blob(f"x = {TOKEN}".encode("utf-16")),
        blob(b"\xff\0" + TOKEN.encode()),
        blob(KEY.encode()),
        Object(ONE, "commit", f"tree {TWO}\n\nUse {TOKEN}".encode()),
        tree(TOKEN, TWO),
    ],
)
def test_new_secret_is_refused(item: Object) -> None:
    with pytest.raises(ToolError) as error:
        check([item], [blob(b"", TWO)])

    assert error.value.code == "not_allowed"
    assert TOKEN not in str(error.value)
    assert SECRET not in str(error.value)


def test_secret_that_the_host_has_already_is_no_obstacle() -> None:
    check([blob(f"y = {TOKEN}".encode())], [blob(f"x = {TOKEN}".encode(), TWO)])


def test_new_file_with_the_name_of_a_secret_is_refused() -> None:
    check([tree(".env", TWO)], [])
    check([tree("env", ONE), blob(b"x")], [])
    with pytest.raises(ToolError, match="name of a secret"):
        check([tree(".env", ONE), blob(b"x")], [])


def commit(sha: str, *parents: str) -> Object:
    lines = "".join(f"parent {parent}\n" for parent in parents)
    return Object(sha, "commit", f"tree {ONE}\n{lines}author x\n\nparent {'9' * 40}\n".encode())


def test_graph_of_commits_leads_to_the_base() -> None:
    found = graph([commit(TWO, ONE, "4" * 40), commit(THREE, TWO)], THREE, ONE)

    assert found == (2, frozenset({ONE, TWO, THREE, "4" * 40}))
    for head, base in ((THREE, "9" * 40), (ONE, ONE)):
        with pytest.raises(ToolError):
            graph([commit(TWO, ONE), commit(THREE, TWO)], head, base)


def test_binary_difference_is_shown_by_its_size() -> None:
    text = b"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-one\n+caf\xe9\n"
    binary = b"diff --git a/y b/y\n--- a/y\n+++ b/y\n@@ -1 +1 @@\n-\0\n+two\n"

    assert shown_diff(text + binary) == (
        "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-one\n+caf\\xe9\n"
        "diff --git a/y b/y\n--- a/y\n+++ b/y\nBinary content: 20 bytes of difference\n"
    )


@pytest.mark.parametrize("data", [b"0", b"zzzz", b"0002", b"0009ab", b"-001", b"<html>"])
def test_malformed_lines_are_refused(data: bytes) -> None:
    with pytest.raises(ToolError, match="git's protocol"):
        list(pkt_lines(data))


def test_lines_are_read_as_they_are_written() -> None:
    assert list(pkt_lines(pkt_line("a\n") + b"0000" + pkt_line(""))) == [b"a\n", None, b""]
