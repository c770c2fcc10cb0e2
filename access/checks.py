"""System checks of the access settings."""

from typing import Any, Final

from django.core.checks import CheckMessage, register
from django.core.checks import Warning as Caution

from access import conf
from command_line.program import PROGRAM
from web.plurals import counted

# Characters. A shorter key can be guessed over the network.
SHORTEST: Final = 16


@register
def check_api_key(**_: Any) -> list[CheckMessage]:
    key = conf.api_key()
    if not key or len(key) >= SHORTEST:
        return []
    hint = f"Give it 32 random characters, or leave it out and make keys: {PROGRAM} create_api_key NAME"
    return [
        Caution(f"API_KEY has only {counted(len(key), 'character')} and can be guessed.", hint=hint, id="access.W001")
    ]
