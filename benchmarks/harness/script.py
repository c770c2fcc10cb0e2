"""The streamed words, which the upstream and the client both know.

The client requests them by a directive in the user's message, `[[tokens=1000 rate=0 nonce=5f]]`. Servers in between
pass it on untouched. If a history has several, the last one counts.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

OBSERVED: Final = "/observed"
"""The path at which the upstream reports the requests that it received."""

DIRECTIVE: Final = re.compile(rb"\[\[tokens=(\d+) rate=([\d.]+) nonce=(\w+)\]\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    """One answer: the number of tokens, and tokens a second (0: all at once). The first one begins with the nonce."""

    tokens: int
    rate: float
    nonce: str

    @classmethod
    def found_in(cls, body: bytes) -> "Script | None":
        # Only the last directive is matched: a history holds those of all earlier turns.
        found = DIRECTIVE.match(body, max(0, body.rfind(b"[[tokens=")))
        if found is None:
            return None
        return cls(tokens=int(found[1]), rate=float(found[2]), nonce=found[3].decode())

    @property
    def directive(self) -> str:
        return f"[[tokens={self.tokens} rate={self.rate} nonce={self.nonce}]]"

    @property
    def text(self) -> str:
        return self.nonce + "".join(words(self.tokens))


@lru_cache(maxsize=16)
def words(count: int) -> tuple[str, ...]:
    """Return the tokens."""
    # All are different, so that a lost, doubled or moved one shows.
    return tuple(f" w{number:05}" for number in range(count))
