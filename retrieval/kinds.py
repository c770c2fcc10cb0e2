"""The kinds of files, by their names."""

from pathlib import PurePosixPath
from typing import Final

from retrieval.base import Kind

MARKDOWN: Final = frozenset({".md", ".markdown", ".mdx"})
SUFFIXES: Final = """
    c cc clj cpp cs css cxx dart erl ex exs fish fs go graphql groovy h hh hpp hs java jl js jsx kt kts lua m mjs cjs ml
    mm nim php pl pm proto ps1 py pyi pyx r rb rs scala scss sh bash zsh sql svelte swift tf ts tsx vue zig
"""
CODE: Final = frozenset(f".{suffix}" for suffix in SUFFIXES.split())


def kind_of(path: str) -> Kind:
    """Return the kind of a file. Whether a text is one, only its content shows."""
    suffix = PurePosixPath(path).suffix.lower()
    if suffix == ".pdf":
        return "pdf"
    if suffix == ".docx":
        return "docx"
    if suffix in MARKDOWN:
        return "markdown"
    return "code" if suffix in CODE else "text"
