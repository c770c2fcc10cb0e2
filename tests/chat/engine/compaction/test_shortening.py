from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from chat.engine.compaction.shortening import compact
from chat.engine.context.window import answered, message_tokens
from chat.engine.messages import AssistantMessage, Entry, Message, Summary, ToolCall, ToolMessage, UserMessage


def user(text: str) -> UserMessage:
    return UserMessage(text=text)


def step(number: int, size: int) -> tuple[Message, Message]:
    made = ToolCall(call_id=f"c{number}", name="fs.read", arguments="{}")
    result = ToolMessage(call_id=made.call_id, name="fs.read", content="r" * size, execution_id=f"e{number}")
    return AssistantMessage(text="", tool_calls=(made,)), result


def tokens(messages: Sequence[Entry]) -> int:
    return sum(map(message_tokens, messages))


def is_whole(messages: Sequence[Entry]) -> bool:
    """Return whether each call is followed by its result, and each result follows its call."""
    return answered(messages) == tuple(messages)


def test_old_results_are_replaced_first_and_say_how_to_read_them() -> None:
    steps = [message for number in range(6) for message in step(number, 3_000)]
    found = compact((user("Go"), *steps), 4_000, pages=True)
    assert (found.results, found.left_out) == (3, 0)
    assert "output.read with execution_id e0 reads it" in str(found.messages[2])
    assert found.messages[-1] == steps[-1]
    assert "output.read" not in str(compact((user("Go"), *steps), 4_000).messages)


def test_older_exchanges_are_left_out_next_with_a_note() -> None:
    old = [message for n in range(5) for message in (user(f"old {n} " + "x" * 900), AssistantMessage(text="y" * 900))]
    found = compact((*old, user("New"), AssistantMessage(text="short")), 1_500)
    assert found.left_out == 6
    assert found.messages[0] == user("[6 earlier messages of this conversation were left out to save context.]")
    assert found.messages[1:] == (*old[6:], user("New"), AssistantMessage(text="short"))


def test_question_and_newest_steps_of_a_long_loop_are_kept() -> None:
    steps = [message for number in range(500) for message in step(number, 90)]
    found = compact((user("Go"), *steps), 2_000)
    assert found.messages[0] == user("Go")
    assert found.messages[-4:] == tuple(steps[-4:])
    assert tokens(found.messages) <= 2_000 + 30, "with the note"
    assert is_whole(found.messages)


MESSAGES = st.lists(
    st.one_of(
        st.builds(lambda size: [user("u" * size)], st.integers(0, 600)),
        st.builds(lambda size: [AssistantMessage(text="a" * size)], st.integers(1, 600)),
        st.builds(lambda number, size: [*step(number, size)], st.integers(0, 10**6), st.integers(0, 2_000)),
    ),
    max_size=30,
).map(lambda groups: [message for group in groups for message in group])


@given(MESSAGES, st.integers(50, 3_000))
def test_shortening_never_parts_a_call_and_its_result_and_never_lengthens(messages: list[Message], limit: int) -> None:
    whole = answered(messages)
    found = compact(whole, limit)
    assert is_whole(found.messages)
    assert tokens(found.messages) <= max(tokens(whole), limit) + 30
    if whole:
        assert found.messages[-1].__class__ is whole[-1].__class__


def test_summary_is_left_out_only_together_with_messages() -> None:
    before = Summary(text="It began. " + "x" * 300)
    steps = [message for number in range(6) for message in step(number, 90)]
    assert compact((before, user("Go")), 10).left == ()
    assert compact((user("Go"), before, *steps), 250).left[:3] == (1, 2, 3), "the summary stands for older steps"
    assert compact((before, user("Old"), AssistantMessage(text="So."), user("Go")), 10).left == (0, 1, 2)


def test_newest_user_message_stays_when_a_correction_follows_it() -> None:
    asked = (user("Go"), *step(1, 900), *step(2, 900), *step(3, 900), AssistantMessage(text="{"), user("Again"))
    found = compact(asked, 10, unasked={8})
    assert found.messages[0] == user("Go")
    assert found.messages[-1] == user("Again")
