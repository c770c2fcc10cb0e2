"""The compaction of a turn's conversation: by lines for results, then by a summary, and without one by a note."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

import msgspec

from chat.engine.answer import Answer, Price
from chat.engine.budget_port import Budget
from chat.engine.compaction.conversation import Conversation
from chat.engine.compaction.shortening import Compacted
from chat.engine.compaction.summary import Summarizer, summary_tokens
from chat.engine.context.window import Count, message_tokens
from chat.engine.events import BudgetUsed, Compaction, Retry, TotalUsage, Usage
from chat.engine.limits import Retries
from chat.engine.messages import Summary
from chat.engine.model_port import ProviderError, SamplingOptions
from chat.engine.retry import Candidate, Sleep
from chat.engine.tool_calls import LimitReached
from chat.engine.transcript import add_usage

COMPACTED: Final = 0.5
"""The part of the context that a shortened conversation takes: services cache a common prefix, so much goes at once."""

ENOUGH: Final = 0.6
"""The part of the context up to which lines in place of results suffice."""

MIN_CONTEXT: Final = 2_000
"""Tokens of a context that has room for a useful summary."""

Step = Retry | BudgetUsed | Usage | Summary | Compaction


class Compactor:
    """Shortens the conversation of one turn. With `pages`, a line for a result says how to read it.

    `usage` is that of the newest summary.
    """

    def __init__(
        self,
        conversation: Conversation,
        *,
        pages: bool,
        sampling: SamplingOptions,
        retries: Retries,
        sleep: Sleep,
        budget: Budget,
        price: Price,
        count: Count,
    ) -> None:
        self.usage = TotalUsage()
        self._conversation = conversation
        self._pages = pages
        self._sampling = sampling
        self._retries = retries
        self._sleep = sleep
        self._budget = budget
        self._price = price
        self._count = count
        self._summarizer: Summarizer | None = None
        self._has_failed = False

    async def fit(self, candidate: Candidate, limit: int, max_output: int) -> AsyncGenerator[Step]:
        """Shorten the conversation to a part of `limit` tokens. A summary that fails is replaced by a note."""
        tokens = int(limit * COMPACTED)
        found = self._conversation.compacted(tokens, pages=self._pages)
        if sum(map(message_tokens, found.entries)) <= limit * ENOUGH:
            found = msgspec.structs.replace(found, left=())
        # After a failure the turn asks for no other summary, because the next call would probably fail as well.
        has_room = candidate.context_tokens >= MIN_CONTEXT and max_output >= summary_tokens(candidate)
        if found.left and has_room and not self._has_failed:
            shorter = self._conversation.compacted(tokens - summary_tokens(candidate), pages=self._pages)
            self._has_failed = True
            try:
                async with aclosing(self._summarize(shorter, candidate, max_output)) as steps:
                    async for step in steps:
                        if isinstance(step, Compaction):
                            self._has_failed = False
                        yield step
            except (ProviderError, LimitReached):
                if (usage := self.unfinished()) is not None:
                    yield usage
            if not self._has_failed:
                return
        before, after = self._conversation.tokens, sum(map(message_tokens, found.messages))
        if after < before:
            self._conversation.shorten(found)
            yield Compaction(before=before, after=after, results=found.results, left_out=found.left_out)

    async def summarize_older(self, candidate: Candidate, max_output: int) -> AsyncGenerator[Step]:
        """Summarise all older messages. Yield no `Compaction` if there are none, or their summary is not shorter.

        Raise `ProviderError`, and `LimitReached` of a budget.
        """
        # Lines for results are not stored, so they would be of no use to the next turn.
        found = self._conversation.compacted(0, replaces=False)
        if found.left:
            async with aclosing(self._summarize(found, candidate, max_output)) as steps:
                async for step in steps:
                    yield step

    def unfinished(self) -> Usage | None:
        """Return the usage of a summary's call that was stopped, once."""
        if self._summarizer is None or self._summarizer.answer is None:
            return None
        answer, self._summarizer.answer = self._summarizer.answer, None
        return answer.usage(self._price, self._count)

    async def _summarize(self, found: Compacted, candidate: Candidate, max_output: int) -> AsyncGenerator[Step]:
        """Put a summary in place of the messages that are left out, if it is shorter."""
        conversation = self._conversation
        before = conversation.tokens
        self.usage = TotalUsage()
        writer = self._summarizer = Summarizer(
            candidate,
            sampling=self._sampling,
            max_output=max_output,
            retries=self._retries,
            sleep=self._sleep,
            budget=self._budget,
        )
        async with aclosing(writer.write([conversation.whole[place] for place in found.left])) as steps:
            async for step in steps:
                if isinstance(step, Answer):
                    usage = step.usage(self._price, self._count)
                    self.usage = add_usage(self.usage, usage)
                    yield usage
                else:
                    yield step
        summary = conversation.summary(found, writer.text)
        after = sum(map(message_tokens, found.with_instead(summary)))
        if after < before:
            yield summary
            conversation.shorten(found, summary)
            yield Compaction(before=before, after=after, results=found.results, left_out=0, summarized=found.left_out)
