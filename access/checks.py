"""System checks of the access settings."""

from typing import Any, Final

from django.core.checks import CheckMessage, register
from django.core.checks import Warning as Caution

from access import conf

# Characters. A shorter key can be guessed over the network.
SHORTEST: Final = 16


@register
def check_api_key(**_: Any) -> list[CheckMessage]:
    key = conf.api_key()
    if not key or len(key) >= SHORTEST:
        return []
    hint = "Give it 32 random characters, or leave it out and make keys with manage.py create_api_key."
    return [Caution(f"API_KEY has only {len(key)} characters and can be guessed.", hint=hint, id="access.W001")]
