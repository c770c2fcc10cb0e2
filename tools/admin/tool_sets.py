"""The console's pages of the tool sets of MCP servers: their states, what differs, and the form that accepts one."""

from typing import Any, ClassVar, Final

from asgiref.sync import async_to_sync
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html

from audit.admin import VIEW, entries_table
from console import cells, columns, error_pages
from console.filters import DayFilter, RecentValueFilter
from console.html.params import numbered
from console.pages import ReadOnlyAdmin
from console.visible_text import visible_text
from tools import assembly
from tools.base import ToolError
from tools.mcp_client import entries, pins, tool_set
from tools.mcp_client.entries import EntryRefused
from tools.mcp_client.tool_set import ToolSet
from tools.mcp_client.tools import INSTALL, ask, installed, state
from tools.models import McpToolSet

ACCEPT: Final = "tools.accept_mcptoolset"
DIFFERENCE: Final = "Difference from the accepted tools"
EXAMPLE: Final = (
    'url = "https://wiki.example/mcp"\nheaders = { Authorization = "env:MCP_SECRET_WIKI" }\neffect = "network"'
)
LIST: Final = "admin:tools_mcptoolset_changelist"


def _may_name(request: HttpRequest) -> bool:
    """Return whether the user may name servers: they decide to which addresses the service connects."""
    return request.user.is_active and request.user.is_superuser


def _state(row: McpToolSet) -> str:
    if row.removed is not None:
        return cells.status("cancelled", "Replaced")
    return cells.status("waiting", "Waiting") if row.accepted is None else cells.status("succeeded", "Accepted")


def _difference(row: McpToolSet) -> str:
    """Return the difference of a set from the accepted one as coloured lines, whole: an acceptance is about all."""
    before = pins.accepted().get(row.server) or ToolSet()
    lines = list(tool_set.report(before, pins.parsed(row))) if row.accepted is None or row.removed else []
    if not lines:
        return "None."
    shown = numbered([visible_text(line) for line in lines], is_diff=True)
    return format_html('<pre class="audit-text audit-diff audit-whole" dir="ltr">{}</pre>', shown)


@admin.register(McpToolSet)
class McpToolSetAdmin(ReadOnlyAdmin):
    """The tool sets of MCP servers. One that waits can be accepted on its page."""

    change_list_template = "console/tool_sets.html"
    change_form_template = "console/tool_set.html"
    ordering = ("-found",)
    list_display = (
        columns.moment("found"),
        columns.text("server"),
        columns.column("state", _state),
        columns.column("tools", lambda row: cells.number(len(pins.parsed(row).tools))),
        columns.moment("accepted"),
        columns.text("accepted_by", "accepted by"),
        columns.column("hash", lambda row: row.sha256[:12]),
    )
    sortable_by = ()
    list_filter: ClassVar = [("found", DayFilter), ("server", RecentValueFilter)]
    uuid_fields = ()
    long_fields: ClassVar = {"tools": columns.json_of("tools")}
    sections = (
        (
            None,
            (
                (columns.text("server"), columns.column("state", _state)),
                (columns.exact_moment("found"), columns.exact_moment("accepted"), columns.exact_moment("removed")),
                columns.text("accepted_by", "accepted by"),
                columns.column("sha256", lambda row: row.sha256),
            ),
        ),
        (DIFFERENCE, (columns.column("difference", _difference),)),
        ("Tools", (columns.block("tools", lambda row: cells.pretty(pins.parsed(row).tools)),)),
        ("Audit", (columns.column("entries", lambda row: entries_table(str(row.pk))),)),
    )
    section_permissions: ClassVar = {"Audit": VIEW}

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("ask/", wrap(self.ask_view), name="tools_mcptoolset_ask"),
            path("add-server/", wrap(self.add_server_view), name="tools_mcptoolset_add_server"),
            path("remove-server/", wrap(self.remove_server_view), name="tools_mcptoolset_remove_server"),
            path("<int:key>/accept/", wrap(self.accept_view), name="tools_mcptoolset_accept"),
            *super().get_urls(),
        ]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        accepted, waiting = pins.accepted(), pins.waiting()
        rows = []
        for server in entries.servers():
            name, waits = server.name, waiting.get(server.name)
            found = cells.status("failed", "Not accepted")
            if name in accepted:
                found = cells.status("stopped", "Changed") if waits else cells.status("succeeded", "Accepted")
            link = cells.link("tools_mcptoolset", waits.pk, "Waits for a decision") if waits else cells.NOTHING
            count = cells.number(len(accepted[name].tools)) if name in accepted else cells.NOTHING
            rows.append((cells.short(name), cells.short(server.place), found, count, link))
        servers = cells.table(("Server", "Place", "State", "Tools", "Found since"), rows)
        context = {
            "servers": servers if rows else "",
            "may_accept": request.user.has_perm(ACCEPT),
            "may_name": _may_name(request),
            "entries": list(entries.entries()),
            "text": EXAMPLE,
        }
        return super().changelist_view(request, {**context, **(extra_context or {})})

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        row: McpToolSet = context["original"]
        if row.accepted is None and row.removed is None and request.user.has_perm(ACCEPT):
            context["accept_url"] = reverse("admin:tools_mcptoolset_accept", args=[row.pk])
        return super().render_change_form(request, context, *args, **kwargs)

    def accept_view(self, request: HttpRequest, key: int) -> HttpResponse:
        """Accept a set that waits. The form has the hash of the set that the page showed."""
        if request.method != "POST":
            return error_pages.only_post()
        if not request.user.has_perm(ACCEPT):
            raise PermissionDenied
        waits = McpToolSet.objects.filter(pk=key, accepted__isnull=True, removed__isnull=True)
        row = waits.filter(sha256=request.POST.get("sha256", "")).first()
        if row is None:
            messages.error(request, "This set no longer waits, or it is not the one that was shown. Nothing changed.")
        elif problem := tool_set.collision(row.server, pins.parsed(row), assembly.names()):
            messages.error(request, problem)
        elif pins.accept_waiting(row, request.user.get_username()):
            messages.success(request, f"The tools of {row.server} are accepted. They are offered within seconds.")
        else:
            messages.error(request, "Another set was found or accepted meanwhile. Nothing changed.")
        return HttpResponseRedirect(reverse("admin:tools_mcptoolset_change", args=[key]))

    def add_server_view(self, request: HttpRequest) -> HttpResponse:
        """Add an entry of a server, whose tools are offered once they are accepted too."""
        if request.method != "POST":
            return error_pages.only_post()
        if not _may_name(request):
            raise PermissionDenied
        name, text = request.POST.get("name", "").strip(), request.POST.get("text", "")
        try:
            entries.add(name, text, request.user)
            messages.success(request, f"The server {name} is added. Ask the servers for their tools, and accept them.")
        except EntryRefused as error:
            messages.error(request, str(error))
            # The page itself, and not a redirect to it: nothing that was typed is stored.
            return self.changelist_view(request, {"typed_name": name, "text": entries.typed(text)})
        return HttpResponseRedirect(reverse(LIST))

    def remove_server_view(self, request: HttpRequest) -> HttpResponse:
        """Remove an entry of a server. Its tools are withdrawn within seconds."""
        if request.method != "POST":
            return error_pages.only_post()
        if not _may_name(request):
            raise PermissionDenied
        if entries.remove(request.POST.get("name", ""), request.user):
            messages.success(request, "The server is removed. Its tools are withdrawn within seconds.")
        else:
            messages.error(request, "There is no such entry. Servers of MCP_SERVERS_FILE are removed there.")
        return HttpResponseRedirect(reverse(LIST))

    def ask_view(self, request: HttpRequest) -> HttpResponse:
        """Ask all servers for their tools now. Those that differ from the accepted ones wait for a decision."""
        if request.method != "POST":
            return error_pages.only_post()
        if not request.user.has_perm(ACCEPT):
            raise PermissionDenied
        servers = entries.servers()
        if not installed():
            messages.error(request, f"{INSTALL}.")
            return HttpResponseRedirect(reverse(LIST))
        accepted = pins.accepted()
        for server, found in zip(servers, async_to_sync(ask)(servers), strict=True):
            before, say = accepted.get(server.name), messages.success
            if isinstance(found, ToolError):
                say = messages.error
            elif before is None or found.sha256 != before.sha256:
                pins.note_found(server.name, found)
                say = messages.warning
            say(request, f"Server {server.name}: {state(server.name, found, before)}")
        return HttpResponseRedirect(reverse(LIST))
