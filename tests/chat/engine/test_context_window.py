from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from chat.engine.context_window import UNANSWERED, answered, compact, fit, message_tokens
from chat.engine.messages import AssistantMessage, Image, Message, ToolCall, ToolMessage, UserMessage

CALL = ToolCall(call_id="c", name="fs.read", arguments="{}")
ASKED = AssistantMessage(text="", tool_calls=(CALL,))
RESULT = ToolMessage(call_id="c", name="fs.read", content="found")


def user(text: str) -> UserMessage:
    return UserMessage(text=text)


def test_valid_conversation_is_unchanged() -> None:
    messages = (user("Hi"), ASKED, RESULT, AssistantMessage(text="That."))
    assert answered(messages) == messages


def test_call_without_a_result_gets_an_error_result() -> None:
    lost = ToolMessage(call_id="c", name="fs.read", content=UNANSWERED, is_error=True)
    assert answered((user("Hi"), ASKED, user("And?"))) == (user("Hi"), ASKED, lost, user("And?"))
    assert answered((user("Hi"), ASKED)) == (user("Hi"), ASKED, lost)


def test_result_of_a_caller_call_becomes_user_text() -> None:
    ran = ToolMessage(call_id="", name="fs.read", content="I ran fs.read.")
    assert answered((user("Hi"), ran)) == (user("Hi"), user("I ran fs.read."))


def test_context_is_cut_at_whole_exchanges() -> None:
    old = (user("x" * 300), ASKED, RESULT, AssistantMessage(text="y" * 300))
    new = (user("z"), AssistantMessage(text="short"))
    assert fit((*old, *new), 1_000) == (*old, *new)
    assert fit((*old, *new), 100) == new


def test_newest_exchange_is_kept_however_long_it_is() -> None:
    newest = (user("x" * 10_000), ASKED, RESULT)
    assert fit((user("old"), AssistantMessage(text="old"), *newest), 10) == newest


def test_consecutive_user_messages_are_one_exchange() -> None:
    together = (user("a" * 30), user("b" * 30), AssistantMessage(text="c"))
    assert fit((user("old" * 99), AssistantMessage(text="d"), *together), 60) == together


def test_images_and_wide_characters_count_at_their_token_cost() -> None:
    picture: Message = UserMessage(text="", images=(Image(media_type="image/png", data=b""),))
    later = (user("漢" * 100), AssistantMessage(text="ok"))
    assert fit((picture, AssistantMessage(text=""), *later), 500) == later


def test_empty_history_fits_any_window() -> None:
    assert fit((), 10) == ()


def step(number: int, size: int) -> tuple[Message, Message]:
    made = ToolCall(call_id=f"c{number}", name="fs.read", arguments="{}")
    result = ToolMessage(call_id=made.call_id, name="fs.read", content="r" * size, execution_id=f"e{number}")
    return AssistantMessage(text="", tool_calls=(made,)), result


def tokens(messages: Sequence[Message]) -> int:
    return sum(map(message_tokens, messages))


def is_whole(messages: Sequence[Message]) -> bool:
    """Return whether each call is followed by its result, and each result follows its call."""
    return answered(messages) == tuple(messages)


def test_old_results_are_replaced_first_and_say_how_to_read_them() -> None:
    steps = [message for number in range(6) for message in step(number, 3_000)]
    found = compact((user("Go"), *steps), 4_000, pages=True)
    assert (found.results, found.left_out) == (3, 0)
    assert "output.read with execution_id e0 reads it" in found.messages[2].content
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
