"""The admin pages of the calls of `/speech/`."""

from typing import Any, ClassVar

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest

from access.keys.named_pages import NamedAdmin, NamedFilter, named
from console import cells, columns
from console.filters import DayFilter, RecentValueFilter
from speech.models import SpeechRequest

_time = columns.moment("created", "time", sortable=True)
_operation = columns.text("operation")
_provider = columns.text("provider")
_model = columns.text("model")
_voice = columns.text("voice")
_format = columns.text("format")
_cost = columns.column("cost", lambda row: cells.money(row.cost_usd))
_took = columns.column("took", lambda row: cells.duration(row.duration_ms))
_seconds = columns.column("seconds", lambda row: cells.NOTHING if row.seconds is None else f"{row.seconds:.2f}")
_whole = {"error": lambda row: row.error, "note": lambda row: row.note}


@admin.register(SpeechRequest)
class SpeechRequestAdmin(NamedAdmin):
    """Calls of `/speech/`: caller, provider, amounts and cost."""

    ordering = ("-created",)
    list_display = (
        _time,
        _operation,
        columns.status(),
        _provider,
        _model,
        _voice,
        _format,
        columns.number("characters"),
        _seconds,
        columns.number("audio_bytes", "bytes"),
        _cost,
        _took,
        columns.text("code"),
    )
    list_display_links = (_operation,)
    sortable_by = (_time,)
    list_filter: ClassVar = [
        ("created", DayFilter),
        "status",
        "operation",
        ("provider", RecentValueFilter),
        ("model", RecentValueFilter),
        ("code", RecentValueFilter),
        ("owner", NamedFilter),
    ]
    search_fields = ("id__endswith", "error", "audio_sha256", "text_sha256")
    search_help_text = (
        "Search by words of the error, the owner's name, the SHA-256 of an audio or a text, or the id of a call."
    )
    long_fields = _whole
    sections = (
        (
            None,
            (
                columns.whole_link("id", "speech_speechrequest", "id"),
                _operation,
                columns.status(),
                named("owner"),
                columns.text("process"),
                (_provider, _model, _voice, _format, columns.text("language")),
            ),
        ),
        ("Time", ((columns.exact_moment("created"), columns.exact_moment("ended"), _took),)),
        (
            "Amounts",
            (
                (columns.number("characters"), _seconds, columns.number("audio_bytes"), _cost),
                columns.text("audio_sha256"),
                columns.text("text_sha256"),
            ),
        ),
        (
            "Outcome",
            (columns.text("code"), columns.block("error", _whole["error"]), columns.block("note", _whole["note"])),
        ),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        # A stored recording may have 25 MB, and no page shows it.
        return super().get_queryset(request).defer("audio")
