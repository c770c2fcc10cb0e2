"""Print the structural figures of the project, and check them against limits.

The figures are read from the source itself (abstract syntax trees and tokens), without importing it:

- modules: those of one folder, without `__init__.py`, migrations and `management/commands/`.
- methods: the functions in the body of one class, without overloads.
- imports: the modules of this project that one module imports, each once.
- helpers: functions and methods with exactly one leading underscore that are called once, as a share of all functions.
  Called once means that the module has exactly one reference to the name outside the function's own definition.
- comments: lines with a `#` comment, as a share of the lines of code. Directives such as `noqa` do not count.
- openers, words: the findings of `scripts.prose` that are about first words, and about words that are not used.
- untested: modules with functions that no test file is named after and that no test mentions. Benchmarks have no tests.
"""

import argparse
import ast
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

from scripts.prose import module_findings
from scripts.source import APPS, ROOT, FunctionNode, Module, modules_of_tests, source_modules

MAX_MODULES: Final = 14
MAX_METHODS: Final = 15
MAX_IMPORTS: Final = 15
MAX_HELPERS: Final = 0.15
MIN_COMMENTS: Final = 0.03
SHOWN: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place in the source, and the number or the text that goes with it."""

    place: str
    line: int = 1
    note: str

    def __str__(self) -> str:
        return f"{self.place}:{self.line}: {self.note}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Count:
    """A named thing and its number of modules, methods or imports."""

    name: str
    count: int


@dataclass(frozen=True)
class Structure:
    """The figures of some source modules and of the tests beside them."""

    source: tuple[Module, ...]
    tests: tuple[Module, ...]

    @classmethod
    def of(cls, root: Path = ROOT, apps: tuple[str, ...] = APPS) -> "Structure":
        return cls(tuple(source_modules(apps, root)), tuple(modules_of_tests(root)))

    @property
    def folders(self) -> list[Count]:
        """The folders by their number of modules, fullest first."""
        counts = Counter(
            module.place.rpartition("/")[0]
            for module in self.source
            if module.path.name != "__init__.py" and "management/commands/" not in module.place
        )
        return _fullest(counts)

    @property
    def classes(self) -> list[Count]:
        """The classes by their number of methods, fullest first."""
        counts = {
            f"{module.name}.{node.name}": sum(_is_method(statement) for statement in node.body)
            for module in self.source
            for node in module.classes
        }
        return _fullest(counts)

    @cached_property
    def imports(self) -> list[Count]:
        """The modules by the number of project modules that they import, fullest first."""
        known = {module.name for module in self.source} | {module.name for module in source_modules()}
        return _fullest({module.name: len(_modules_of(imported(module), known)) for module in self.source})

    @property
    def functions(self) -> int:
        return sum(len(module.functions) for module in self.source)

    @cached_property
    def helpers(self) -> list[Place]:
        """The private functions and methods that are called once."""
        return [
            Place(place=module.place, line=function.lineno, note=function.name)
            for module in self.source
            for function in helpers_called_once(module)
        ]

    @property
    def helper_share(self) -> float:
        return len(self.helpers) / max(1, self.functions)

    @cached_property
    def comments(self) -> list[Place]:
        return [
            Place(place=module.place, line=comment.line, note=comment.text)
            for module in self.source
            for comment in module.comments
        ]

    @cached_property
    def code_lines(self) -> int:
        return sum(module.code_lines for module in self.source)

    @property
    def comment_share(self) -> float:
        return len(self.comments) / max(1, self.code_lines)

    @cached_property
    def openers(self) -> list[Place]:
        return self._prose({"opener"})

    @cached_property
    def words(self) -> list[Place]:
        return self._prose({"phrase", "name"})

    def _prose(self, kinds: set[str]) -> list[Place]:
        return [
            Place(place=finding.place, line=finding.line, note=finding.problem)
            for module in (*self.source, *self.tests)
            for finding in module_findings(module)
            if finding.kind in kinds
        ]

    @cached_property
    def untested(self) -> list[Place]:
        """The modules with functions that no test file is named after and that no test mentions."""
        files = {test.place for test in self.tests}
        mentioned: set[str] = set()
        for test in self.tests:
            mentioned |= imported(test)
        texts = "\n".join(test.text for test in self.tests)
        return [
            Place(place=module.place, note=module.name)
            for module in self.source
            if module.functions
            and not module.name.startswith("benchmarks.")
            and not module.name.endswith(".apps")
            and mirror(module) not in files
            and module.name not in mentioned
            and module.name not in texts
        ]


def imported(module: Module) -> set[str]:
    """Return the dotted names that a module imports; `from a import b` may mean `a` or `a.b`, so both are in it."""
    names: set[str] = set()
    for node in module.nodes:
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.update({node.module}, (f"{node.module}.{alias.name}" for alias in node.names))
    return names


def _modules_of(names: set[str], known: set[str]) -> set[str]:
    """Return the imported modules: a package counts only if no module of it is imported by name."""
    modules = names & known
    return {name for name in modules if not any(other.startswith(f"{name}.") for other in modules)}


def helpers_called_once(module: Module) -> list[FunctionNode]:
    """Return the private functions and methods of a module with exactly one reference outside their own definition."""
    references = Counter(name for node in module.nodes if (name := _reference(node)))
    found = []
    for function in module.functions:
        if function.name.startswith("_") and not function.name.startswith("__"):
            inside = sum(_reference(node) == function.name for node in ast.walk(function))
            if references[function.name] - inside == 1:
                found.append(function)
    return found


def mirror(module: Module) -> str:
    """Return the path that the tests of a module have."""
    folder, _, name = module.place.rpartition("/")
    return f"tests/{folder}/test_{name}"


def _reference(node: ast.AST) -> str:
    """Return the name that a node refers to, or an empty string."""
    match node:
        case ast.Name(id=name, ctx=ast.Load()) | ast.Attribute(attr=name, ctx=ast.Load()):
            return name
    return ""


def _is_method(statement: ast.stmt) -> bool:
    if not isinstance(statement, FunctionNode):
        return False
    return not any(ast.unparse(decorator).endswith("overload") for decorator in statement.decorator_list)


def _fullest(counts: dict[str, int]) -> list[Count]:
    return [
        Count(name=name, count=count) for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    ]


def _lines(modules: Iterable[Module]) -> int:
    return sum(module.text.count("\n") for module in modules)


def figures(structure: Structure) -> dict[str, object]:
    """Return all figures by name, as `--json` prints them."""
    return {
        "fullest_folders": {folder.name: folder.count for folder in structure.folders[:SHOWN]},
        "fullest_classes": {found.name: found.count for found in structure.classes[:SHOWN]},
        "most_imports": {module.name: module.count for module in structure.imports[:SHOWN]},
        "functions": structure.functions,
        "helpers_called_once": len(structure.helpers),
        "helper_share": round(structure.helper_share, 4),
        "code_lines": structure.code_lines,
        "comment_lines": len(structure.comments),
        "comment_share": round(structure.comment_share, 4),
        "source_lines": _lines(structure.source),
        "test_lines": _lines(structure.tests),
        "docstring_openers": len(structure.openers),
        "words_not_used": len(structure.words),
        "untested_modules": len(structure.untested),
    }


def exceeded(structure: Structure) -> list[str]:
    """Return a line for each limit that is passed."""
    problems = [
        f"{found.name}: {found.count} {noun} (at most {limit})"
        for counts, noun, limit in (
            (structure.folders, "modules", MAX_MODULES),
            (structure.classes, "methods", MAX_METHODS),
            (structure.imports, "imports of project modules", MAX_IMPORTS),
        )
        for found in counts
        if found.count > limit
    ]
    if structure.helper_share > MAX_HELPERS:
        problems.append(f"helpers called once: {structure.helper_share:.1%} of functions (at most {MAX_HELPERS:.0%})")
    problems += [f"{place.note}: no test file is named after it or names it" for place in structure.untested]
    if structure.comment_share < MIN_COMMENTS:
        problems.append(f"comments: {structure.comment_share:.1%} of the lines of code (at least {MIN_COMMENTS:.0%})")
    return problems


def report(structure: Structure) -> str:
    """Return the figures as text, one a line."""
    lines = []
    for name, value in figures(structure).items():
        label = name.replace("_", " ")
        if isinstance(value, dict):
            lines.append(f"{label}: " + ", ".join(f"{key} {count}" for key, count in value.items()))
        elif isinstance(value, float):
            lines.append(f"{label}: {value:.1%}")
        else:
            lines.append(f"{label}: {value:,}")
    return "\n".join(lines)


LISTS: Final[dict[str, Callable[[Structure], list[Place]]]] = {
    "helpers": lambda structure: structure.helpers,
    "comments": lambda structure: structure.comments,
    "openers": lambda structure: structure.openers,
    "words": lambda structure: structure.words,
    "untested": lambda structure: structure.untested,
}
COUNTS: Final[dict[str, Callable[[Structure], list[Count]]]] = {
    "modules": lambda structure: structure.folders,
    "methods": lambda structure: structure.classes,
    "imports": lambda structure: structure.imports,
}


def listed(structure: Structure, name: str) -> list[str]:
    """Return the places behind one figure, one a line."""
    if name in LISTS:
        return [str(place) for place in LISTS[name](structure)]
    return [f"{found.count:4} {found.name}" for found in COUNTS[name](structure)]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.structure",
        description=__doc__,
        epilog="Examples: python -m scripts.structure --app chat\n"
        "          python -m scripts.structure --list helpers --app tools\n"
        "          python -m scripts.structure --check",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--app", action="append", choices=APPS, metavar="NAME", help="only this app (may be repeated)")
    output = parser.add_mutually_exclusive_group()
    output.add_argument("--json", action="store_true", help="print the figures as JSON")
    output.add_argument("--list", choices=[*COUNTS, *LISTS], help="list the places behind one figure")
    output.add_argument("--check", action="store_true", help="print each limit that is passed; exit with 1 if any is")
    options = parser.parse_args(arguments)

    structure = Structure.of(apps=tuple(options.app or APPS))
    if options.check:
        lines = exceeded(structure)
    elif options.list:
        lines = listed(structure, options.list)
    elif options.json:
        lines = [json.dumps(figures(structure), indent=2)]
    else:
        lines = [report(structure)]
    sys.stdout.writelines(f"{line}\n" for line in lines)
    return 1 if options.check and lines else 0


if __name__ == "__main__":
    sys.exit(main())
