"""Each folder of `scenarios/`: the patch makes what is in `expected/` of `input/`, or the refusal of `error.txt`."""

from pathlib import Path

import pytest

from tests.tools.patching.trees import patched_by_us, read_tree
from tools.base import ToolError

SCENARIOS = sorted((Path(__file__).parent / "scenarios").iterdir())


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_scenario(scenario: Path) -> None:
    before = read_tree(scenario / "input")
    patch = (scenario / "patch.txt").read_bytes()
    error = scenario / "error.txt"
    if error.exists():
        with pytest.raises(ToolError) as refusal:
            patched_by_us(before, patch)
        assert f"{refusal.value.code}\n{refusal.value}\n" == error.read_text()
    else:
        assert patched_by_us(before, patch) == read_tree(scenario / "expected")
