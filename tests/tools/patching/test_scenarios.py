"""The folders of `scenarios/`: each patch turns `input/` into `expected/`, or fails with `error.txt`.

Covers `tools.patching.applying`, `tools.patching.formats.headers`, `tools.patching.formats.hunks`,
`tools.patching.formats.lines`, `tools.patching.formats.names`, `tools.patching.formats.parsing`,
`tools.patching.formats.unified`, `tools.patching.line_ends`, `tools.patching.mismatch`, `tools.patching.patch`,
`tools.patching.planning`.

Covers `tools.patching.messages`.
"""

from pathlib import Path

import pytest

from tests.tools.patching.trees import patched_by_us, read_tree
from tools.base import ToolError

SCENARIOS = sorted((Path(__file__).parent / "scenarios").iterdir())


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_patch_produces_the_expected_tree_or_error(scenario: Path) -> None:
    before = read_tree(scenario / "input")
    patch = (scenario / "patch.txt").read_bytes()
    error = scenario / "error.txt"
    if error.exists():
        with pytest.raises(ToolError) as refusal:
            patched_by_us(before, patch)
        assert f"{refusal.value.code}\n{refusal.value}\n" == error.read_text()
    else:
        assert patched_by_us(before, patch) == read_tree(scenario / "expected")
