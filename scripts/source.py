"""The Python files of the project, parsed: the source of each app, and the tests."""

import ast
import io
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
APPS: Final = (
    "access",
    "audit",
    "benchmarks",
    "chat",
    "clients",
    "command_line",
    "console",
    "orchestrator_site",
    "playground",
    "retrieval",
    "scripts",
    "speech",
    "spending",
    "storage",
    "telemetry",
    "kernel",
    "tools",
    "web",
)
TESTS: Final = "tests"
PACKAGES: Final = "clients/python/"
"""The folder of packages that are installed on their own: their names begin below it."""

DIRECTIVES: Final = ("noqa", "type:", "pragma:", "ruff:", "fmt:", "mypy:", "!")

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True, kw_only=True)
class Comment:
    """A comment without its `#`, and the line that it is on."""

    line: int
    text: str


@dataclass(frozen=True)
class Module:
    """A Python file below `root`; everything else is read from it when first asked for."""

    path: Path
    root: Path = ROOT

    @property
    def place(self) -> str:
        """The path from the root, with forward slashes."""
        return self.path.relative_to(self.root).as_posix()

    @property
    def name(self) -> str:
        """The dotted name, as an import statement has it."""
        return self.place.removeprefix(PACKAGES).removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.place)

    @cached_property
    def tokens(self) -> tuple[tokenize.TokenInfo, ...]:
        return tuple(tokenize.generate_tokens(io.StringIO(self.text).readline))

    @cached_property
    def nodes(self) -> tuple[ast.AST, ...]:
        return tuple(ast.walk(self.tree))

    @property
    def functions(self) -> tuple[FunctionNode, ...]:
        return tuple(node for node in self.nodes if isinstance(node, FunctionNode))

    @property
    def classes(self) -> tuple[ast.ClassDef, ...]:
        return tuple(node for node in self.nodes if isinstance(node, ast.ClassDef))

    @cached_property
    def docstrings(self) -> tuple[ast.Constant, ...]:
        """The string nodes of all docstrings, also of those below a constant or an attribute."""
        found = []
        for node in self.nodes:
            match node:
                case ast.Expr(value=ast.Constant(value=str()) as docstring):
                    found.append(docstring)
        return tuple(found)

    @property
    def comments(self) -> Iterator[Comment]:
        """Yield the comments, except directives to a tool such as `noqa`."""
        # Tokenizing takes most of the time of a check, and many modules have no comment.
        for token in self.tokens if "#" in self.text else ():
            text = token.string.lstrip("#").strip()
            if token.type == tokenize.COMMENT and text and not text.startswith(DIRECTIVES):
                yield Comment(line=token.start[0], text=text)

    @property
    def code_lines(self) -> int:
        """Count the lines that hold code: blank lines, lines with only a comment, and docstrings have none."""
        layout = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
        lines: set[int] = set()
        for token in self.tokens:
            if token.type not in layout:
                lines.update(range(token.start[0], token.end[0] + 1))
        for docstring in self.docstrings:
            lines.difference_update(range(docstring.lineno, (docstring.end_lineno or docstring.lineno) + 1))
        return len(lines)


def modules(folder: Path, root: Path = ROOT) -> list[Module]:
    """Return the modules below a folder, or the one at a path, in the order of their paths; migrations are left out."""
    paths = [folder] if folder.is_file() else sorted(folder.rglob("*.py"))
    return [Module(path, root) for path in paths if "migrations" not in path.relative_to(root).parts]


def source_modules(apps: tuple[str, ...] = APPS, root: Path = ROOT) -> list[Module]:
    """Return the modules of these apps; an app that does not exist has none."""
    return [module for app in apps if (root / app).is_dir() for module in modules(root / app, root)]


def modules_of_tests(root: Path = ROOT) -> list[Module]:
    return modules(root / TESTS, root)
