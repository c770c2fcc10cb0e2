"""The languages of providers: ISO 639-1 codes, or BCP 47 tags (RFC 5646) if a region matters."""

from collections.abc import Mapping
from typing import Final

import msgspec

Languages = Mapping[str, str]
"""A mapping from each primary subtag that a provider supports to the code that it expects."""


def _table(text: str) -> dict[str, str]:
    return dict(pair.split(":", 1) for pair in text.split())


# The languages that OpenAI's models support: https://platform.openai.com/docs/guides/speech-to-text.
# `verbose_json` answers with the English name instead of the code, so both are needed.
NAMES: Final[Mapping[str, str]] = _table("""
    af:afrikaans ar:arabic hy:armenian az:azerbaijani be:belarusian bs:bosnian bg:bulgarian ca:catalan zh:chinese
    hr:croatian cs:czech da:danish nl:dutch en:english et:estonian fi:finnish fr:french gl:galician de:german el:greek
    he:hebrew hi:hindi hu:hungarian is:icelandic id:indonesian it:italian ja:japanese kn:kannada kk:kazakh ko:korean
    lv:latvian lt:lithuanian mk:macedonian ms:malay mr:marathi mi:maori ne:nepali no:norwegian fa:persian pl:polish
    pt:portuguese ro:romanian ru:russian sr:serbian sk:slovak sl:slovenian es:spanish sw:swahili sv:swedish tl:tagalog
    ta:tamil th:thai tr:turkish uk:ukrainian ur:urdu vi:vietnamese cy:welsh
""")

WHISPER: Final[Languages] = {code: code for code in NAMES}
ENGLISH: Final[Languages] = {"en": "en"}
# https://cloud.google.com/speech-to-text/docs/v1/speech-to-text-supported-languages
# Google requires a region, so each language has its most common one.
GOOGLE: Final[Languages] = _table("""
    af:af-ZA ar:ar-EG bg:bg-BG bn:bn-IN ca:ca-ES cs:cs-CZ da:da-DK de:de-DE el:el-GR en:en-US es:es-ES et:et-EE fa:fa-IR
    fi:fi-FI fr:fr-FR gl:gl-ES gu:gu-IN he:iw-IL hi:hi-IN hr:hr-HR hu:hu-HU id:id-ID is:is-IS it:it-IT ja:ja-JP kn:kn-IN
    ko:ko-KR lt:lt-LT lv:lv-LV ml:ml-IN mr:mr-IN ms:ms-MY nl:nl-NL no:no-NO pl:pl-PL pt:pt-BR ro:ro-RO ru:ru-RU sk:sk-SK
    sl:sl-SI sr:sr-RS sv:sv-SE sw:sw-KE ta:ta-IN te:te-IN th:th-TH tr:tr-TR uk:uk-UA ur:ur-PK vi:vi-VN zh:cmn-Hans-CN
""")


class Tag(msgspec.Struct, frozen=True):
    """A language tag: `en-US` has the language `en` and the rest `US`."""

    language: str
    rest: str = ""


def parse(text: str) -> Tag:
    language, _, rest = text.strip().replace("_", "-").partition("-")
    return Tag(language.lower(), rest)


def code_of(name: str | None) -> str | None:
    """Return the code of a language that a model reports by its English name or by a tag."""
    if not name:
        return None
    found = next((code for code, spelled in NAMES.items() if spelled == name.lower()), None)
    return found or parse(name).language
