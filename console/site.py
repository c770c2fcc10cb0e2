"""The console as an admin site: its name, its navigation, and a home page that another app fills."""

from collections.abc import Callable
from typing import Any, ClassVar, Final

from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.template.response import TemplateResponse
from django.urls import get_script_prefix, reverse

LINKS: Final = (
    ("Sessions", "chat.session"),
    ("Runs", "chat.run"),
    ("Messages", "chat.message"),
    ("Tools", "tools.toolexecution"),
    ("MCP", "tools.mcptoolset"),
    ("Speech", "speech.speechrequest"),
    ("Usage", "spending.use"),
    ("Budgets", "spending.account"),
    ("Keys", "access.apikey"),
    ("Users", "auth.user"),
    ("Groups", "auth.group"),
    ("Audit", "audit.auditentry"),
)
"""The links of the navigation: a title, and the model whose list it opens."""


class ConsoleSite(AdminSite):
    """The site of all pages below `/admin/`. `home` returns the context of the home page's template.

    `cursor` returns the state of the records that a page shows: `live.js` reports it to the socket.
    """

    site_header = "Orchestrator Service"
    site_title = "Orchestrator Service"
    index_title = "Home"
    index_template = "console/home.html"
    # The lists need the width of the sidebar.
    enable_nav_sidebar = False
    # The navigation has the link.
    site_url = None
    home: ClassVar[Callable[[HttpRequest], dict[str, Any]]]
    cursor: ClassVar[Callable[[], str]]

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        context = super().each_context(request)
        if not context["has_permission"]:
            return context
        # Before the records are read: a change in between is then reported again, and not missed.
        cursor = type(self).cursor()
        here = request.path
        # A link to a list that the user may not see would only lead to a refusal.
        links = [("Home", reverse("admin:index"), here == reverse("admin:index"))]
        for title, name in LINKS:
            app, model = name.split(".")
            if request.user.has_perm(f"{app}.view_{model}"):
                url = reverse(f"admin:{app}_{model}_changelist")
                links.append((title, url, here.startswith(url)))
        links.append(("Playground", get_script_prefix(), False))
        return {**context, "console_links": links, "cursor": cursor}

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> TemplateResponse:
        return super().index(request, {**type(self).home(request), **(extra_context or {})})
