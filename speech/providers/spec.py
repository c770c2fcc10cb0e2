"""The specification of a provider of speech from a plug-in."""

from collections.abc import Callable

import msgspec

from plugins.setting import Setting, Values
from speech.base import Provider, Timeouts


class SpeechSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A provider of speech, the object of an entry point `orchestrator_service.speech`.

    `make` gets the values of `settings` and the timeouts. `missing` says why the provider cannot be made, and is empty
    if it can.
    """

    name: str
    make: Callable[[Values, Timeouts], Provider]
    settings: tuple[Setting, ...] = ()
    missing: Callable[[Values], str] = lambda _: ""
