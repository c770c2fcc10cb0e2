"""The quality and the cost of `retrieval.search`: `uv run --group bench python -m benchmarks.retrieval`.

Two corpora are made from the Python that runs this: the documentation strings of the standard library as Markdown, and
its source. `questions/stdlib.tsv` names a function or class for each line, with a question in key words and one that
avoids them. An answer is right if one of its lines belongs to the definition. It takes about ten minutes.
"""

import argparse
import ast
import resource
import statistics
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import bm25s

from benchmarks.harness import machine
from retrieval import ranking
from retrieval.base import SourceFile
from retrieval.index_file import IndexFile
from retrieval.limits import MAX_PIECES_PER_FILE
from retrieval.ranking import file_of
from retrieval.service import OPERATOR_PAYER
from retrieval.updating import Update
from retrieval.worker.tasks import LocalReader

QUESTIONS: Final = Path(__file__).parent / "questions" / "stdlib.tsv"
LIBRARY: Final = Path(sysconfig.get_path("stdlib"))
SKIPPED: Final = {"test", "idlelib", "lib2to3", "site-packages", "encodings", "ensurepip", "pydoc_data", "turtledemo"}
SIZE: Final = 10_000
"""Pieces of the corpus of source."""

TOP: Final = 5
DEPTH: Final = 10
MAX_QUERY_MS: Final = 50.0

Lines = tuple[str, int, int]
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
Ask = Callable[[str], Sequence[int]]


class Corpus:
    """Files in a folder, and the lines of each definition by its qualified name."""

    complete = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.targets: dict[str, Lines] = {}

    def add(self, path: str, text: str) -> None:
        (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / path).write_text(text)

    def files(self) -> Iterator[SourceFile]:
        for path in sorted(self.folder.rglob("*.*")):
            status = path.stat()
            name = str(path.relative_to(self.folder))
            yield SourceFile(path=name, size=status.st_size, modified_ns=status.st_mtime_ns)

    def read(self, path: str, max_bytes: int) -> bytes:
        return (self.folder / path).read_bytes()

    def over(self) -> bool:
        return False


def modules(first: set[str]) -> Iterator[tuple[str, str, ast.Module]]:
    """Yield the name, the text and the tree of each module, those that are asked about first."""
    paths = [path for path in sorted(LIBRARY.rglob("*.py")) if not SKIPPED.intersection(path.parts)]
    named = [
        (".".join(path.relative_to(LIBRARY).with_suffix("").parts).removesuffix(".__init__"), path) for path in paths
    ]
    for name, path in sorted(named, key=lambda each: (each[0] not in first, each[0])):
        try:
            text = path.read_text(encoding="utf-8")
            yield name, text, ast.parse(text)
        except (UnicodeDecodeError, SyntaxError):
            continue


def definitions(tree: ast.AST, prefix: str) -> Iterator[tuple[str, Definition]]:
    """Yield the public definitions of a module and of its classes, with their qualified names."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield f"{prefix}.{node.name}", node
            if isinstance(node, ast.ClassDef):
                yield from definitions(node, f"{prefix}.{node.name}")
        elif isinstance(node, ast.If | ast.Try):
            yield from definitions(node, prefix)


def documentation(corpus: Corpus, name: str, tree: ast.Module) -> None:
    """Add the documentation strings of a module."""
    lines = [f"# {name}", *(ast.get_docstring(tree) or "").split("\n")]
    for qualified, node in definitions(tree, name):
        text = ast.get_docstring(node)
        if not text:
            continue
        first = len(lines) + 1
        arguments = "" if isinstance(node, ast.ClassDef) else f"({ast.unparse(node.args)})"
        lines += [f"## {qualified}{arguments}", *text.split("\n")]
        corpus.targets.setdefault(qualified, (f"{name}.md", first, len(lines)))
    corpus.add(f"{name}.md", "\n".join(lines))


def source(corpus: Corpus, name: str, text: str, tree: ast.Module) -> None:
    path = f"{name.replace('.', '/')}.py"
    for qualified, node in definitions(tree, name):
        corpus.targets.setdefault(qualified, (path, node.lineno, node.end_lineno or node.lineno))
    corpus.add(path, text)


class Measured:
    """An index of a corpus, with the costs of making it."""

    def __init__(self, index: IndexFile, corpus: Corpus, max_pieces: int) -> None:
        self.index = index
        self.corpus = corpus
        self.reader = LocalReader()
        self.reader.vectors(["warm"])
        update = Update(index, corpus, self.reader)
        began = time.process_time()
        update.words()
        self.words_seconds = time.process_time() - began
        began = time.process_time()
        update.vectors(OPERATOR_PAYER, max_pieces)
        self.vectors_seconds = time.process_time() - began
        self.totals = index.totals()
        self.lines = {
            piece: (path, first, last)
            for piece, path, first, last in index.connection.execute(
                "SELECT pieces.id, path, first, last FROM pieces JOIN files ON files.id = pieces.id / ?",
                (MAX_PIECES_PER_FILE,),
            )
        }

    def words(self, query: str) -> list[int]:
        return [piece for piece, _ in ranking.by_words(self.index, query, lambda _: True)]

    def vectors(self, query: str) -> list[int]:
        return [piece for piece, _ in self.near(query)]

    def both(self, query: str) -> list[int]:
        words = ranking.by_words(self.index, query, lambda _: True)
        return [piece for _, piece in ranking.fused(words, self.near(query))]

    def near(self, query: str) -> ranking.Ranking:
        return ranking.by_vectors(self.index, self.reader.vectors([query])[0], lambda _: True)

    def peer(self) -> Ask:
        """Return the ranking of bm25s over the same pieces."""
        rows = self.index.connection.execute("SELECT rowid, path || ' ' || title || ' ' || text FROM texts").fetchall()
        retriever = bm25s.BM25()
        retriever.index(bm25s.tokenize([text for _, text in rows], show_progress=False), show_progress=False)

        def ask(query: str) -> list[int]:
            found, _ = retriever.retrieve(bm25s.tokenize(query, show_progress=False), k=DEPTH, show_progress=False)
            return [rows[at][0] for at in found[0]]

        return ask

    def is_right(self, piece: int, target: Lines) -> bool:
        path, first, last = self.lines[piece]
        return bool(path == target[0] and first <= target[2] and last >= target[1])


def score(measured: Measured, ask: Ask, questions: Sequence[tuple[str, Lines]]) -> tuple[float, float]:
    """Return the share of questions with a right answer among the first five, and the mean reciprocal rank."""
    ranks = []
    for question, target in questions:
        found = list(ask(question))[:DEPTH]
        ranks.append(next((rank for rank, piece in enumerate(found, 1) if measured.is_right(piece, target)), 0))
    hits = sum(0 < rank <= TOP for rank in ranks)
    return hits / len(ranks), statistics.mean(1 / rank if rank else 0.0 for rank in ranks)


def report(name: str, measured: Measured, rows: Sequence[Sequence[str]]) -> None:
    """Print the quality of each ranking for both kinds of questions."""
    known = [(row, measured.corpus.targets[row[0]]) for row in rows if row[0] in measured.corpus.targets]
    print(f"\n{name}: {len(known)} questions of each kind, {measured.totals.pieces:,} pieces\n")
    print("| ranking | key words: recall@5 | MRR | paraphrases: recall@5 | MRR |\n| --- | ---: | ---: | ---: | ---: |")
    rankings = {"bm25s": measured.peer(), "words": measured.words, "vectors": measured.vectors, "both": measured.both}
    for title, ask in rankings.items():
        cells = [
            f"{value:.2f}"
            for column in (1, 2)
            for value in score(measured, ask, [(row[column], target) for row, target in known])
        ]
        print(f"| {title} | {' | '.join(cells)} |")


def cost(measured: Measured, rows: Sequence[Sequence[str]]) -> None:
    """Print the time, the memory and the size of an index, and the time of queries."""
    totals = measured.totals
    times = []
    for row in rows:
        for question in row[1:]:
            began = time.process_time()
            files = {file.id for file in measured.index.files().values()}
            vector = measured.reader.vectors([question])[0]
            found = ranking.fused(
                ranking.by_words(measured.index, question, files.__contains__),
                ranking.by_vectors(measured.index, vector, files.__contains__),
            )
            assert {file_of(piece) for _, piece in found} <= files
            times.append((time.process_time() - began) * 1_000)
    times.sort()
    middle, late = times[len(times) // 2], times[len(times) * 95 // 100]
    print("\n| cost | measured |\n| --- | ---: |")
    print(f"| words of {totals.pieces:,} pieces ({totals.files} files): CPU s | {measured.words_seconds:.1f} |")
    print(f"| vectors of {totals.embedded:,} pieces: CPU s | {measured.vectors_seconds:.0f} |")
    print(f"| index file: MB | {totals.bytes / 1e6:.0f} |")
    print(f"| memory of all that in one process: MB | {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} |")
    print(f"| query by words and vectors: CPU ms, p50 (p95) | {middle:.1f} ({late:.1f}) |")
    print(
        f"\nGoal: a query takes at most {MAX_QUERY_MS:g} ms of CPU: {'met' if late <= MAX_QUERY_MS else '**missed**'}."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=SIZE, help="pieces of the corpus of source (default: %(default)s)")
    size = parser.parse_args().size
    rows = [line.split("\t") for line in QUESTIONS.read_text(encoding="utf-8").splitlines()]
    asked = {row[0].rpartition(".")[0] for row in rows} | {row[0].split(".")[0] for row in rows}
    print(machine.described())
    with tempfile.TemporaryDirectory() as folder:
        docs, code = Corpus(Path(folder, "documentation")), Corpus(Path(folder, "source"))
        left = size
        for name, text, tree in modules(asked):
            documentation(docs, name, tree)
            if left > 0:
                source(code, name, text, tree)
                left -= len(LocalReader().pieces("code", text.encode()))
        with IndexFile(Path(folder, "documentation.db")) as index:
            report("Documentation strings", Measured(index, docs, size), rows)
        with IndexFile(Path(folder, "source.db")) as index:
            measured = Measured(index, code, 2 * size)
            report("Source", measured, rows)
            cost(measured, rows)


if __name__ == "__main__":
    main()
