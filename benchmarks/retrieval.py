"""The quality and the cost of `retrieval.search`: `uv run --group bench python -m benchmarks.retrieval`.

Two corpora are made from the Python that runs this: the documentation strings of the standard library as Markdown, and
its source. `questions/stdlib.tsv` names a function or class for each line, with a question in key words and one that
avoids them. An answer is right if one of its lines belongs to the definition. PostgreSQL is measured beside SQLite if
its package is installed. It takes about ten minutes.
"""

import argparse
import ast
import asyncio
import os
import resource
import statistics
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

import bm25s
import psycopg
from psycopg.conninfo import conninfo_to_dict

from benchmarks.harness import machine, postgres
from retrieval import ranking
from retrieval.base import Reader, SourceFile
from retrieval.indexes.base import Index, Indexes, file_of, piece_numbers
from retrieval.indexes.postgres.database import PostgresIndexes
from retrieval.indexes.sqlite.folder import SqliteIndexes
from retrieval.limits import MAX_RESULTS
from retrieval.service import OPERATOR_PAYER
from retrieval.updating import Update
from retrieval.worker.tasks import LocalReader
from spending.accounts import Payer

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


class CachingReader(LocalReader):
    """A reader that makes each vector once, so that several indexes have the same ones."""

    def __init__(self) -> None:
        self._made: dict[str, bytes] = {}

    def vectors(self, texts: Sequence[str], _payer: Payer | None = None, /) -> list[bytes]:
        new = [text for text in texts if text not in self._made]
        self._made.update(zip(new, super().vectors(new), strict=True) if new else ())
        return [self._made[text] for text in texts]


class Measured:
    """An index of a corpus, with the costs of making it."""

    def __init__(self, index: Index, corpus: Corpus, reader: Reader, max_pieces: int) -> None:
        self.index = index
        self.corpus = corpus
        self.reader = reader
        update = Update(index, corpus, reader)
        began, waited = time.process_time(), time.perf_counter()
        update.words()
        self.words_seconds, self.words_wait = time.process_time() - began, time.perf_counter() - waited
        began = time.process_time()
        update.vectors(OPERATOR_PAYER, max_pieces)
        self.vectors_seconds = time.process_time() - began
        self.totals = index.totals()
        self.files = {file.id: file for file in index.files().values()}
        numbers = [number for file in self.files.values() for number in piece_numbers(file.id, file.pieces)]
        self.pieces = index.pieces(numbers)

    def words(self, query: str) -> list[int]:
        return [piece for piece, _ in ranking.by_words(self.index, query, self.files)]

    def vectors(self, query: str) -> list[int]:
        return [piece for piece, _ in self.near(query)]

    def both(self, query: str) -> list[int]:
        words = ranking.by_words(self.index, query, self.files)
        return [piece for _, piece in ranking.fused(words, self.near(query))]

    def near(self, query: str) -> ranking.Ranking:
        return ranking.by_vectors(self.index, self.reader.vectors([query], OPERATOR_PAYER)[0], self.files)

    def peer(self) -> Ask:
        """Return the ranking of bm25s over the same pieces."""
        texts = [
            f"{self.files[file_of(number)].path} {piece.title} {piece.text}" for number, piece in self.pieces.items()
        ]
        numbers = list(self.pieces)
        retriever = bm25s.BM25()
        retriever.index(bm25s.tokenize(texts, show_progress=False), show_progress=False)

        def ask(query: str) -> list[int]:
            found, _ = retriever.retrieve(bm25s.tokenize(query, show_progress=False), k=DEPTH, show_progress=False)
            return [numbers[at] for at in found[0]]

        return ask

    def is_right(self, number: int, target: Lines) -> bool:
        piece = self.pieces[number]
        is_file = self.files[file_of(number)].path == target[0]
        return is_file and piece.first <= target[2] and piece.last >= target[1]


def score(measured: Measured, ask: Ask, questions: Sequence[tuple[str, Lines]]) -> tuple[float, float]:
    """Return the share of questions with a right answer among the first five, and the mean reciprocal rank."""
    ranks = []
    for question, target in questions:
        found = list(ask(question))[:DEPTH]
        ranks.append(next((rank for rank, piece in enumerate(found, 1) if measured.is_right(piece, target)), 0))
    hits = sum(0 < rank <= TOP for rank in ranks)
    return hits / len(ranks), statistics.mean(1 / rank if rank else 0.0 for rank in ranks)


def report(name: str, measured: Sequence[Measured], names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print the quality of each ranking for both kinds of questions, in each database."""
    first = measured[0]
    known = [(row, first.corpus.targets[row[0]]) for row in rows if row[0] in first.corpus.targets]
    print(f"\n{name}: {len(known)} questions of each kind, {first.totals.pieces:,} pieces\n")
    print("| ranking | key words: recall@5 | MRR | paraphrases: recall@5 | MRR |\n| --- | ---: | ---: | ---: | ---: |")
    rankings = [("bm25s", first, first.peer()), ("vectors", first, first.vectors)]
    for database, each in zip(names, measured, strict=True):
        rankings += [(f"words, {database}", each, each.words), (f"both, {database}", each, each.both)]
    for title, each, ask in rankings:
        cells = [
            f"{value:.2f}"
            for column in (1, 2)
            for value in score(each, ask, [(row[column], target) for row, target in known])
        ]
        print(f"| {title} | {' | '.join(cells)} |")


def query_times(measured: Measured, question: str, *, new_vector: bool) -> tuple[float, float]:
    """Return the CPU time of this process and the time of a query, in milliseconds."""
    began, waited = time.process_time(), time.perf_counter()
    files = {file.id: file for file in measured.index.files().values()}
    reader = LocalReader() if new_vector else measured.reader
    vector = reader.vectors([question], OPERATOR_PAYER)[0]
    found = ranking.fused(
        ranking.by_words(measured.index, question, files), ranking.by_vectors(measured.index, vector, files)
    )
    measured.index.pieces(number for _, number in found[:MAX_RESULTS])
    return (time.process_time() - began) * 1_000, (time.perf_counter() - waited) * 1_000


def cost(measured: Sequence[Measured], names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print the time, the memory and the size of the indexes, and the time of queries."""
    totals = measured[0].totals
    print("\n| cost | measured |\n| --- | ---: |")
    print(f"| vectors of {totals.embedded:,} pieces: CPU s | {measured[0].vectors_seconds:.0f} |")
    print(f"| memory of all that in one process: MB | {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} |")
    questions = [question for row in rows for question in row[1:]]
    cpu = sorted(query_times(measured[0], question, new_vector=True)[0] for question in questions)
    middle, late = cpu[len(cpu) // 2], cpu[len(cpu) * 95 // 100]
    print(f"| query in {names[0]}, its own vector included: CPU ms, p50 (p95) | {middle:.1f} ({late:.1f}) |")
    print(
        f"\nGoal: a query takes at most {MAX_QUERY_MS:g} ms of CPU: {'met' if late <= MAX_QUERY_MS else '**missed**'}."
    )
    # The databases take turns with each question, so that a busy moment of the machine meets all of them.
    times = [[query_times(each, question, new_vector=False) for each in measured] for question in questions]
    print(
        "\n| database | words: s | CPU s | rows or file: MB | query: ms, p50 (p95) | ratio | CPU ms, p50 |\n"
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    )
    for at, (name, each) in enumerate(zip(names, measured, strict=True)):
        waits = sorted(row[at][1] for row in times)
        ratio = statistics.median(row[at][1] / row[0][1] for row in times)
        cpu = sorted(row[at][0] for row in times)
        middle, late = waits[len(waits) // 2], waits[len(waits) * 95 // 100]
        print(
            f"| {name} | {each.words_wait:.1f} | {each.words_seconds:.1f} | {each.totals.bytes / 1e6:.0f} | "
            f"{middle:.1f} ({late:.1f}) | {ratio:.2f} | {cpu[len(cpu) // 2]:.1f} |"
        )


def databases(folder: Path, server: postgres.Postgres | None) -> dict[str, Indexes]:
    """Return the indexes of each database, by its name."""
    found: dict[str, Indexes] = {"SQLite": SqliteIndexes(folder / "indexes")}
    if server is None:
        print(postgres.MISSING)
        return found
    for name in ("PostgreSQL", "PostgreSQL with pgvector"):
        url = server.database()
        with psycopg.connect(url, autocommit=True) as connection:
            if "pgvector" in name:
                connection.execute("CREATE EXTENSION vector")
        found[name] = PostgresIndexes(partial(conninfo_to_dict, url))
    return found


def run(size: int, server: postgres.Postgres | None) -> None:
    """Print the quality and the cost of the indexes in each database."""
    rows = [line.split("\t") for line in QUESTIONS.read_text(encoding="utf-8").splitlines()]
    asked = {row[0].rpartition(".")[0] for row in rows} | {row[0].split(".")[0] for row in rows}
    reader = CachingReader()
    reader.vectors(["warm"])
    with tempfile.TemporaryDirectory() as folder:
        docs, code = Corpus(Path(folder, "documentation")), Corpus(Path(folder, "source"))
        left = size
        for name, text, tree in modules(asked):
            documentation(docs, name, tree)
            if left > 0:
                source(code, name, text, tree)
                left -= len(LocalReader().pieces("code", text.encode()))
        stores = databases(Path(folder), server)
        for name, corpus in (("Documentation strings", docs), ("Source", code)):
            with ExitStack() as stack:
                opened = [stack.enter_context(store.open(corpus.folder)) for store in stores.values()]
                measured = [Measured(index, corpus, reader, 2 * size) for index in opened]
                report(name, measured, list(stores), rows)
                if corpus is code:
                    cost(measured, list(stores), rows)


async def beside_postgres(size: int) -> None:
    """Run with a PostgreSQL server beside this process, if its package is installed."""
    if postgres.MISSING:
        run(size, None)
        return
    async with postgres.served(max(os.sched_getaffinity(0)), show=False) as server:
        await asyncio.to_thread(run, size, server)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=SIZE, help="pieces of the corpus of source (default: %(default)s)")
    size = parser.parse_args().size
    print(machine.described())
    asyncio.run(beside_postgres(size))


if __name__ == "__main__":
    main()
