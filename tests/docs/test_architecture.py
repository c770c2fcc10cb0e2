"""The map in `docs/architecture.md` names every package, and only modules that exist."""

import re

from scripts.source import ROOT, source_modules

PAGE = (ROOT / "docs" / "architecture.md").read_text()
MAP = re.search(r"## Folders\n```\n(.*?)```", PAGE, re.DOTALL)


def test_every_top_level_package_is_on_the_map() -> None:
    assert MAP
    packages = {module.place.split("/")[0] for module in source_modules()}
    assert packages <= set(re.findall(r"^(\w+)/", MAP[1], re.MULTILINE))


def test_paths_through_the_code_name_modules_that_exist() -> None:
    names = {module.name for module in source_modules()}
    paths = re.findall(r"^\d+\. (`[\w.]+`(?: \(or another\))?(?:; `[\w.]+`)*)", PAGE, re.MULTILINE)
    steps = [step for path in paths for step in re.findall(r"`([\w.]+)`", path)]
    assert len(steps) > 30
    for step in steps:
        assert any(name == step or name.endswith(f".{step}") for name in names), step


def test_each_term_of_the_glossary_is_explained_once() -> None:
    glossary = PAGE.partition("## Glossary")[2].partition("\n## ")[0]
    terms = re.findall(r"^\| ([a-z ]+) \| ", glossary, re.MULTILINE)[1:]
    assert len(terms) >= 30
    assert len(terms) == len(set(terms))
    assert terms == sorted(terms)
