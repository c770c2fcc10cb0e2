"""Parsing of a patch in either format."""

from tools.base import ToolError
from tools.patching.formats.envelope import BEGIN, parse_envelope
from tools.patching.formats.lines import Lines
from tools.patching.formats.unified import parse_unified
from tools.patching.limits import DEFAULT_LIMITS, Allowance, Limits
from tools.patching.patch import Patch


def parse(text: bytes, limits: Limits = DEFAULT_LIMITS) -> Patch:
    """Parse a patch: a unified diff, unless its first line is `*** Begin Patch`.

    Raises `ToolError`, which names the line:

    - `invalid_params` for text that is not a patch
    - `outside_workspace` and `not_allowed` for refused paths and kinds of files
    - `too_large` beyond the limits
    """
    lines = Lines(text, limits)
    files = Allowance(limits.max_files, "files can be changed at once")
    hunks = Allowance(limits.max_hunks, "hunks can be applied at once")
    while (first := lines.peek()) is not None and not first.strip():
        lines.take()
    parse_format = parse_envelope if first is not None and first.strip() == BEGIN else parse_unified
    sections = parse_format(lines, files, hunks)
    if not sections:
        raise ToolError(
            "The patch names no file: expected '--- a/<file>' and '+++ b/<file>', 'diff --git a/<file> b/<file>', or "
            "'*** Begin Patch' on the first line.",
            code="invalid_params",
        )
    return Patch(sections=sections)
