"""Folding a run's events into what they amount to: text, usage, and how it ended."""

import json
from collections.abc import Iterable

import msgspec

from chat.engine.events import End, Error, Event, Terminal, Token, TotalUsage, Usage


class Transcript(msgspec.Struct, frozen=True, kw_only=True):
    """What a run has produced so far; `terminal` is None while it goes on."""

    text: str = ""
    usage: TotalUsage = TotalUsage()
    terminal: Terminal | None = None


def fold(events: Iterable[Event]) -> Transcript:
    """Folds a run's events, from its first on, into its transcript."""
    pieces: list[str] = []
    usage = TotalUsage()
    terminal: Terminal | None = None
    for event in events:
        if isinstance(event, Token):
            pieces.append(event.token)
        elif isinstance(event, Usage):
            usage = add_usage(usage, event)
        elif isinstance(event, End | Error):
            terminal = event
    return Transcript(text="".join(pieces), usage=usage, terminal=terminal)


def add_usage(total: TotalUsage, call: Usage) -> TotalUsage:
    """The sum; its cost is unknown once any part's is."""
    first = total == TotalUsage()
    known = call.cost_usd is not None and (first or total.cost_usd is not None)
    return TotalUsage(
        input_tokens=total.input_tokens + call.input_tokens,
        output_tokens=total.output_tokens + call.output_tokens,
        cached_tokens=total.cached_tokens + call.cached_tokens,
        reasoning_tokens=total.reasoning_tokens + call.reasoning_tokens,
        cost_usd=(total.cost_usd or 0.0) + (call.cost_usd or 0.0) if known else None,
        estimated=total.estimated or call.estimated,
    )


def decode_pieces(pieces: Iterable[bytes]) -> str:
    """The text of pieces of a JSON string literal.

    What no database can keep becomes U+FFFD: NUL, and halves of surrogate pairs that never met.
    """
    literal = b'"' + b"".join(pieces) + b'"'
    if b"\\u" not in literal:
        return msgspec.json.decode(literal, type=str)
    text: str = json.loads(literal)
    return text.replace("\x00", "\ufffd").encode("utf-16", "surrogatepass").decode("utf-16", "replace")
