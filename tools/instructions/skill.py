"""A skill: a folder with a file `SKILL.md`, whose front matter has its name and its description.

The format is that of Agent Skills (https://agentskills.io/specification).
"""

import re
from functools import lru_cache
from typing import Any, Final

import msgspec
import yaml

from console.visible_text import visible_text_line

FILE: Final = "SKILL.md"
NAME: Final = re.compile(r"(?=.{1,64}\Z)[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)
MAX_DESCRIPTION: Final = 1_024
"""Characters of a description."""

MAX_HEAD: Final = 8 * 1_024
"""Bytes of a file in which its front matter must end."""

MAX_KNOWN: Final = 1_024
"""Contents of front matter that are not parsed again."""

FRONT_MATTER: Final = re.compile(r"---[ \t]*\r?\n(.*?)^---[ \t]*\r?$", re.DOTALL | re.MULTILINE)


class Skill(msgspec.Struct, frozen=True, kw_only=True):
    """A skill. Its description is one line. If it has a `problem`, it cannot be used."""

    description: str = ""
    problem: str = ""


@lru_cache(MAX_KNOWN)
def skill_of(folder: str, head: bytes) -> Skill:
    """Return the skill in a folder, by the beginning of its file."""
    text = head.decode(errors="replace").removeprefix("\ufeff")
    found = FRONT_MATTER.match(text)
    if found is None:
        return Skill(problem=f"it must begin with front matter between two lines ---, of at most {MAX_HEAD} bytes")
    try:
        # This loader makes texts of all values and follows no merges, whose results can be of any size.
        fields: Any = yaml.BaseLoader(found[1]).get_single_data()
    except (yaml.YAMLError, RecursionError):
        return Skill(problem="its front matter is not valid YAML")
    values = fields if isinstance(fields, dict) else {}
    name, description = values.get("name"), values.get("description")
    if name != folder:
        return Skill(problem="its front matter must have the name of the folder as name")
    if not isinstance(description, str) or not 0 < len(description.strip()) <= MAX_DESCRIPTION:
        return Skill(problem=f"its front matter must have a description of 1 to {MAX_DESCRIPTION} characters")
    return Skill(description=visible_text_line(description, MAX_DESCRIPTION))
