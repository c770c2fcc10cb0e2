"""`docs/dependencies.md`: a reason for each dependency, and for each module that does what a package does."""

import re
import tomllib
from typing import Final

from scripts.source import ROOT

PAGE: Final = (ROOT / "docs" / "dependencies.md").read_text()
PROJECT: Final = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_dependency_has_a_reason() -> None:
    groups = [PROJECT["project"]["dependencies"], *PROJECT["project"]["optional-dependencies"].values()]
    groups += [[name for name in group if isinstance(name, str)] for group in PROJECT["dependency-groups"].values()]
    names = {re.split(r"[^\w-]", requirement)[0].lower() for group in groups for requirement in group}
    listed = set(re.findall(r"[\w-]+", PAGE.lower()))
    assert names - listed - {"orchestrator-service"} == set()


def test_every_module_that_stands_in_for_a_package_exists() -> None:
    rows = re.findall(r"^\| (`[^|]+) \| [^|]* \| [^|]+ \|$", PAGE, re.MULTILINE)
    assert len(rows) > 15
    for row in rows:
        first, *others = re.findall(r"`([^`]+)`", row)
        folder = (ROOT / first).parent
        assert (ROOT / first).exists(), first
        assert all((folder / other).exists() or (ROOT / other).exists() for other in others), row
