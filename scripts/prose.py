"""Check the language of the project: docstrings, comments, messages, names and documents.

There are three rules:

- A docstring starts with a verb or with the thing's own name.
- A sentence has at most 25 words.
- The words in `vocabulary.toml` are not used. A standard term exists for each.
"""

import argparse
import ast
import re
import sys
import textwrap
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final, Literal

from scripts.source import APPS, ROOT, TESTS, Module, modules

MAX_SENTENCE_WORDS: Final = 25
VOCABULARY: Final = Path(__file__).with_name("vocabulary.toml")
DOCUMENTS: Final = ("*.md", "docs/**/*.md", "clients/*/*.md", ".env.example", "*/templates/**/*.html")

Kind = Literal["opener", "phrase", "name", "length"]

SENTENCE_END: Final = re.compile(r"(?<=[.!?])[\"')\]]*\s+(?=`|[\"'(*_\[]*[A-Z0-9])")
LIST_ITEM: Final = re.compile(r"^(?:[-*+]|\d+[.)])\s+")
NAME_PART: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z0-9]+")
STATEMENT: Final = re.compile(r"\s*(?:SELECT|INSERT|UPDATE|DELETE|CREATE|DROP|ALTER|WITH|PRAGMA|BEGIN|SET|LOCK)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A place that breaks a rule."""

    place: str
    line: int
    kind: Kind
    problem: str

    def __str__(self) -> str:
        return f"{self.place}:{self.line}: {self.problem}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """The words that are not used; each expression is given with its replacement."""

    openers: frozenset[str]
    phrases: tuple[tuple[re.Pattern[str], str], ...]
    names: tuple[tuple[re.Pattern[str], str], ...]


@cache
def vocabulary() -> Vocabulary:
    content = tomllib.loads(VOCABULARY.read_text(encoding="utf-8"))
    return Vocabulary(
        openers=frozenset(content["openers"]),
        phrases=tuple((_whole_words(expression), instead) for expression, instead in content["phrases"].items()),
        names=tuple((re.compile(expression), instead) for expression, instead in content["names"].items()),
    )


def _whole_words(expression: str) -> re.Pattern[str]:
    # A phrase may be broken over two lines. One character for a space is enough, since texts are dedented.
    return re.compile(rf"\b(?:{expression})\b".replace(" ", r"\s"), re.IGNORECASE)


def sentences(text: str) -> Iterator[tuple[int, str]]:
    """Yield each sentence with the number of lines before it. An indented block is an example, not a sentence."""
    for offset, paragraph in _paragraphs(text):
        start = 0
        for end in [match.end() for match in SENTENCE_END.finditer(paragraph)] + [len(paragraph)]:
            yield offset + paragraph.count("\n", 0, start), paragraph[start:end].strip()
            start = end


def _paragraphs(text: str) -> Iterator[tuple[int, str]]:
    lines: list[str] = []
    first = 0
    for number, line in enumerate([*text.split("\n"), ""]):
        item = LIST_ITEM.match(line)
        continues = line.strip() and not item and not (line.startswith(" ") and not lines)
        if lines and (item or not line.strip()):
            yield first, "\n".join(lines)
            lines = []
        if continues or item:
            first = first if lines else number
            lines.append(line)


def opener(text: str, place: str, line: int) -> Iterator[Finding]:
    """Yield a finding if a docstring starts with a word that is neither a verb nor a name."""
    words = text.split(maxsplit=1)
    if words and words[0].rstrip(",:;") in vocabulary().openers:
        problem = f"the docstring starts with {words[0]!r}; start with a verb or the thing's own name"
        yield Finding(place=place, line=line, kind="opener", problem=problem)


def phrases(text: str, place: str, line: int) -> Iterator[Finding]:
    """Yield a finding for each use of a word or phrase that has a plain replacement."""
    for expression, instead in vocabulary().phrases:
        for match in expression.finditer(text):
            found = " ".join(match.group().split())
            number = line + text.count("\n", 0, match.start())
            yield Finding(place=place, line=number, kind="phrase", problem=f"{found!r}; write: {instead}")


def lengths(text: str, place: str, line: int) -> Iterator[Finding]:
    """Yield a finding for each sentence with more than `MAX_SENTENCE_WORDS` words."""
    for offset, sentence in sentences(text):
        count = sum(any(character.isalnum() for character in word) for word in sentence.split())
        if count > MAX_SENTENCE_WORDS:
            start = " ".join(sentence.split()[:6])
            problem = f"a sentence of {count} words (at most {MAX_SENTENCE_WORDS}): {start} ..."
            yield Finding(place=place, line=line + offset, kind="length", problem=problem)


def name_findings(name: str, place: str, line: int) -> Iterator[Finding]:
    """Yield a finding for each part of a name that is a metaphor or a private word."""
    parts = [part.lower() for part in NAME_PART.findall(name)]
    for expression, instead in vocabulary().names:
        for position, part in enumerate(parts):
            bound = part not in {"most", "least"} or (position == 0 and name.isupper() and len(parts) > 1)
            if bound and expression.fullmatch(part):
                yield Finding(place=place, line=line, kind="name", problem=f"{part!r} in {name!r}; write: {instead}")


def module_findings(module: Module) -> Iterator[Finding]:
    """Yield the findings of a Python file. The strings of a test are data, so they are not checked."""
    place = module.place
    yield from name_findings(module.path.stem, place, 1)
    for docstring in module.docstrings:
        text = textwrap.dedent(" " * docstring.col_offset + str(docstring.value))
        yield from opener(text, place, docstring.lineno)
        yield from phrases(text, place, docstring.lineno)
        yield from lengths(text, place, docstring.lineno)
    for comment in module.comments:
        yield from phrases(comment.text, place, comment.line)
    for name, line in _names(module):
        yield from name_findings(name, place, line)
    if not place.startswith(f"{TESTS}/"):
        for text, line in _messages(module):
            yield from phrases(text, place, line)
            yield from lengths(text, place, line)


def _names(module: Module) -> Iterator[tuple[str, int]]:
    for node in module.nodes:
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name, node.lineno
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name, node.lineno
            case ast.alias(asname=str(name)):
                yield name, node.lineno


def _messages(module: Module) -> Iterator[tuple[str, int]]:
    """Yield the strings that a person may read: of two words or more, and neither SQL nor configuration."""
    known: set[ast.AST] = set(module.docstrings)
    for node in module.nodes:
        if isinstance(node, ast.JoinedStr):
            known.update(node.values)
            text = "".join(str(part.value) if isinstance(part, ast.Constant) else "{value}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in known:
            text = node.value
        else:
            continue
        # A semicolon at a line's end is a configuration file, not prose.
        if len(text.split()) > 1 and not STATEMENT.match(text) and ";\n" not in text:
            yield text, node.lineno


def document_findings(path: Path, root: Path = ROOT) -> Iterator[Finding]:
    """Yield the findings of a page of documentation, a template, or a file of settings."""
    yield from phrases(path.read_text(encoding="utf-8"), path.relative_to(root).as_posix(), 1)


def documents(root: Path = ROOT) -> list[Path]:
    return sorted({path for pattern in DOCUMENTS for path in root.glob(pattern) if ".venv" not in path.parts})


def findings(paths: Iterable[Path], root: Path = ROOT) -> list[Finding]:
    """Return the findings of these files and folders, in the order of their places."""
    found: list[Finding] = []
    for path in paths:
        for module in [] if path.is_file() and path.suffix != ".py" else modules(path, root):
            found.extend(module_findings(module))
        for document in documents(root):
            if document == path or path in document.parents:
                found.extend(document_findings(document, root))
    return sorted(set(found), key=lambda finding: (finding.place, finding.line, finding.problem))


def project_paths(root: Path = ROOT) -> list[Path]:
    """Return everything that the rules apply to: the apps, the tests, and the documents outside the apps."""
    folders = [root / name for name in (*APPS, TESTS) if (root / name).is_dir()]
    return folders + [path for path in documents(root) if not any(folder in path.parents for folder in folders)]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m scripts.prose",
        description="List the places whose language breaks a rule. Exit with 1 when there are any.",
        epilog="Examples: python -m scripts.prose chat/runs tools/api.py\n"
        "          python -m scripts.prose --kind opener --summary\n"
        "The words are in scripts/vocabulary.toml.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="files or folders (default: the project)")
    parser.add_argument("--kind", choices=["opener", "phrase", "name", "length"], help="list one kind of finding only")
    parser.add_argument("--summary", action="store_true", help="print a count for each folder instead of the places")
    options = parser.parse_args(arguments)

    missing = [path for path in options.paths if not path.exists()]
    if missing:
        parser.error(f"no such file or folder: {missing[0]}")
    found = findings([path.resolve() for path in options.paths] or project_paths())
    found = [finding for finding in found if options.kind in {None, finding.kind}]
    if options.summary:
        counts = Counter((finding.place.rpartition("/")[0] or ".", finding.kind) for finding in found)
        sys.stdout.writelines(f"{folder}: {kind} {count}\n" for (folder, kind), count in sorted(counts.items()))
    else:
        sys.stdout.writelines(f"{finding}\n" for finding in found)
    sys.stdout.write(f"{len(found)} findings\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
