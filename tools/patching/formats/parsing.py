"""Parsing of a patch in either format."""

from collections.abc import Sequence

from tools.base import ToolError
from tools.patching.formats.envelope import BEGIN, parse_envelope
from tools.patching.formats.lines import Lines
from tools.patching.formats.unified import parse_unified, starts_diff
from tools.patching.limits import DEFAULT_LIMITS, Allowance, Limits
from tools.patching.patch import Patch
from web.plurals import noun_for


def parse(text: bytes, limits: Limits = DEFAULT_LIMITS, roots: Sequence[str] = ()) -> Patch:
    """Parse a patch: a unified diff, unless a line `*** Begin Patch` comes before any diff.

    Other text around a patch is skipped. `roots` are the absolute paths of the workspace.

    Raises `ToolError`, which names the line:

    - `invalid_params` for text that is not a patch
    - `outside_workspace` and `not_allowed` for refused paths and kinds of files
    - `too_large` beyond the limits
    """
    lines = Lines(text, limits, roots)
    files = Allowance(limits.max_files, "files can be changed at once")
    hunks = Allowance(limits.max_hunks, "hunks can be applied at once")
    ahead = lines.find(BEGIN)
    is_envelope = ahead is not None and not any(starts_diff(lines, index) for index in range(ahead))
    if is_envelope:
        for _ in range(ahead or 0):
            lines.take()
    sections = (parse_envelope if is_envelope else parse_unified)(lines, files, hunks)
    if not sections:
        raise ToolError(
            "The patch names no file: expected '--- a/<file>' and '+++ b/<file>', 'diff --git a/<file> b/<file>', or "
            "'*** Begin Patch' on the first line.",
            code="invalid_params",
        )
    return Patch(
        sections=sections,
        notes=(f"{ahead} {noun_for(ahead, 'line before the patch was', 'lines before the patch were')} skipped.",)
        if ahead
        else (),
    )
