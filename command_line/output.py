"""The JSON that commands print for programs, in place of their lines for people."""

import json
from argparse import ArgumentParser
from typing import Any

import msgspec


def add_json(parser: ArgumentParser, shown: str) -> None:
    parser.add_argument("--json", action="store_true", help=f"print {shown} as JSON, and nothing else")


def as_json(value: Any) -> str:
    """Return a value as indented JSON, with escapes for characters that a terminal obeys or does not show."""
    text = msgspec.json.format(msgspec.json.encode(value)).decode()
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in text)
