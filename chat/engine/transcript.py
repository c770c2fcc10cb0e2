"""The result of a run's events: text, usage, and how the run ended."""

import json
from collections.abc import Iterable

import msgspec

from chat.engine.events import COST_DIGITS, End, Error, Event, Terminal, Token, TotalUsage, Usage
from chat.engine.text import whole_text


class Transcript(msgspec.Struct, frozen=True, kw_only=True):
    """The text and the usage of a run so far; `terminal` is None while the run is open."""

    text: str = ""
    usage: TotalUsage = TotalUsage()
    terminal: Terminal | None = None


def fold(events: Iterable[Event]) -> Transcript:
    """Reduce a run's events, from the first one, to its transcript."""
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
    """Return the sum. Its cost is None if the cost of any part is unknown."""
    first = total == TotalUsage()
    known = call.cost_usd is not None and (first or total.cost_usd is not None)
    return TotalUsage(
        input_tokens=total.input_tokens + call.input_tokens,
        output_tokens=total.output_tokens + call.output_tokens,
        cached_tokens=total.cached_tokens + call.cached_tokens,
        reasoning_tokens=total.reasoning_tokens + call.reasoning_tokens,
        cost_usd=round((total.cost_usd or 0.0) + (call.cost_usd or 0.0), COST_DIGITS) if known else None,
        estimated=total.estimated or call.estimated,
    )


def decode_pieces(pieces: Iterable[bytes]) -> str:
    """Return the text of pieces of a JSON string literal, with U+FFFD for each character that cannot be stored."""
    literal = b'"' + b"".join(pieces) + b'"'
    if b"\\u" not in literal:
        return msgspec.json.decode(literal, type=str)
    # Only an escape can write NUL, which PostgreSQL's text rejects, or half of a surrogate pair, which UTF-8 cannot
    # encode and msgspec rejects. The standard decoder accepts both, and joins a pair that was split between pieces.
    text: str = json.loads(literal)
    return whole_text(text)
