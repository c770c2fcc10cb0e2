"""The console's pages of messages."""

from typing import Any, ClassVar

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import URLPattern, path

from chat.admin import annotations, fields, searching
from chat.models import Attachment, Message
from console import columns
from console.filters import BelongsToFilter, DayFilter, RecentValueFilter
from console.pages import SYNTAX, ReadOnlyAdmin


@admin.register(Message)
class MessageAdmin(ReadOnlyAdmin):
    """The pages of messages."""

    ordering = ("-id",)
    list_display = (
        columns.moment("created", "time"),
        fields.message_id,
        fields.role,
        fields.content,
        columns.text("tool"),
        fields.model,
        *fields.tokens[:2],
        fields.cost,
        columns.link("session", "chat_session", "session_id"),
        columns.link("run", "chat_run", "run_id"),
    )
    list_display_links = (fields.message_id, fields.content)
    sortable_by = (fields.message_id,)
    list_filter: ClassVar = [
        ("run__created", DayFilter),
        "role",
        *((field, RecentValueFilter) for field in ("provider", "model", "tool")),
        "is_error",
        *((field, BelongsToFilter) for field in ("session_id", "run_id")),
    ]
    # No field is scanned, but without one there would be no search.
    search_fields = ("id__endswith",)
    search_help_text = f"Words of the text or the tool's name, or the id of a session, a run or a tool call. {SYNTAX}"
    text_sources = searching.MESSAGES
    uuid_fields = ("session_id", "run_id")
    section_permissions: ClassVar = fields.SECTIONS
    long_fields: ClassVar = {
        "content": lambda row: row.content,
        "tool_calls": columns.json_of("tool_calls"),
        "summarizes": columns.json_of("summarizes"),
        "provider_parts": columns.json_of("provider_parts"),
    }
    sections = (
        (
            None,
            (
                fields.message_id,
                fields.role,
                fields.session_link,
                fields.run_of,
                columns.exact_moment("created"),
                fields.provider,
                fields.model,
                columns.text("tool"),
                columns.text("call_id"),
            ),
        ),
        ("Text", (columns.block("content", long_fields["content"]),)),
        ("Pictures", (columns.column("pictures", fields.pictures),)),
        ("Tool calls", (columns.block("tool_calls", long_fields["tool_calls"]),)),
        ("Summarized messages", (columns.block("summarizes", long_fields["summarizes"]),)),
        ("Tool executions", (columns.column("executions", fields.executions_of_calls),)),
        ("Tokens and cost", ((*fields.tokens, fields.cost, fields.counted),)),
        ("Provider parts", (columns.block("provider_parts", long_fields["provider_parts"]),)),
    )

    def title_of(self, row: Message) -> str:
        return f"{row.get_role_display()} message {row.pk}"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.picture_view)
        return [path("<int:message_id>/pictures/<int:key>/", view, name="chat_message_picture"), *super().get_urls()]

    def picture_view(self, request: HttpRequest, message_id: int, key: int) -> HttpResponse:
        """Return a picture of a message, with the type that was detected when it came."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = Attachment.objects.filter(message=message_id, pk=key).first()
        if found is None:
            raise Http404
        headers = {"Cache-Control": "private, max-age=3600"}
        return HttpResponse(bytes(found.data), content_type=found.media_type, headers=headers)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return annotations.with_beginnings(super().get_queryset(request))
