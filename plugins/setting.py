"""The settings of a provider or of a plug-in: environment variables, with a kind and bounds each."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

Values = Mapping[str, Any]
"""The values of settings, by their names."""


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """An environment variable that configures a provider or a plug-in.

    An empty `file` is None. `minimum` and `maximum` bound an `integer`. An `object` is a JSON object, and `texts` is
    one whose values are texts.
    """

    name: str
    kind: Literal["text", "secret", "url", "url_with_query", "file", "integer", "names", "texts", "object"]
    default: Any = ""
    minimum: int = 0
    maximum: int = 2**53
