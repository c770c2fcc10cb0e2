"""The response that streams audio."""

from collections.abc import AsyncGenerator

from access.caller import LOCAL
from speech.api.audio_response import AudioStream
from speech.call_log import CallLog
from speech.models import SpeechRequest
from speech.service import Synthesis


async def silence() -> AsyncGenerator[bytes]:
    yield b""


def test_names_that_a_client_chose_are_visible_ascii_in_headers() -> None:
    odd = " \x14\xc9\r\nSet-Cookie: x\x7f\u65e5"
    names = {"provider": odd, "model": odd, "voice": odd, "note": odd}
    synthesis = Synthesis(audio=silence(), format="mp3", mime="audio/mpeg", characters=1, cost_usd=0, **names)
    response = AudioStream(synthesis, CallLog(LOCAL, SpeechRequest.Operation.SYNTHESIS))
    named = [value for name, value in response.items() if name.startswith("X-Speech")]
    assert named == ["? Set-Cookie: x ?"] * 4
