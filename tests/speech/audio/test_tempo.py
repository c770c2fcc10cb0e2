import pytest

from speech.audio.tempo import Tempo
from speech.base import SAMPLE_RATE
from tests.speech.recordings import pitch, tone


@pytest.mark.parametrize("speed", [0.25, 0.5, 0.9, 1.0, 1.5, 2.0, 3.0, 4.0])
def test_speed_changes_duration_and_not_pitch(speed: float) -> None:
    samples, tempo = tone(3.0), Tempo(speed)
    changed = b"".join([*(tempo.add(samples[at : at + 4_801]) for at in range(0, len(samples), 4_801)), tempo.end()])
    assert len(changed) / 2 / SAMPLE_RATE == pytest.approx(3.0 / speed, rel=0.02)
    assert pitch(changed) == pytest.approx(440, rel=0.01)
