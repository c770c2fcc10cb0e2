"""The admin pages of API keys."""

import re
from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.auth import get_user_model
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone

from access.keys import issuing
from access.keys.issuing import CreatedKey, KeyInvalid
from access.keys.named_pages import NamedAdmin, named
from access.models import ApiKey
from access.scopes import DEFAULT, TOOLS, WORDS
from console import cells, columns, error_pages

REVOKE: Final = "access.revoke_apikey"
ADDED: Final[list[Any]] = [{"added": {}}]
REVOKED: Final[list[Any]] = [{"changed": {"fields": ["revoked"]}}]


def _state(row: Any) -> str:
    if row.revoked:
        return cells.status("cancelled", "Revoked")
    if row.expires and row.expires <= timezone.now():
        return cells.status("failed", "Expired")
    return cells.status("succeeded", "Live")


_name = columns.text("name")
_status = columns.column("status", _state)
_created = columns.moment("created", sortable=True)
_may = columns.column("may", lambda row: cells.short(" ".join(row.scopes)))
_limits = (
    columns.text("rate"),
    columns.number("max_runs"),
    columns.column("budgets", lambda row: cells.short(", ".join(row.budgets))),
)
_whose = columns.column("owner", lambda row: row.names.link(row.owner) if row.user_id else "the key itself")


class KeyForm(forms.Form):
    """The form for a new key, with the same fields as `orchestrator create_api_key`."""

    name = forms.CharField(max_length=ApiKey.NAME_LENGTH)
    scopes = forms.CharField(
        initial=" ".join(DEFAULT.texts()),
        help_text=f"Any of {', '.join(WORDS)}, {TOOLS}, and names or patterns of tools, such as fs.read or git.*",
    )
    expires = forms.CharField(required=False, help_text="Such as 30d, 12h or 2027-01-31; empty for never.")
    rate = forms.CharField(required=False, help_text="Requests, such as 60/minute; empty for RATE_LIMIT_PER_KEY.")
    max_runs = forms.IntegerField(required=False, min_value=1, help_text="Maximum of active runs; empty for no limit.")
    budgets = forms.CharField(required=False, help_text="Limits, such as 10usd/month, 200000tokens/day.")
    user = forms.ModelChoiceField(
        get_user_model().objects.filter(is_active=True),
        required=False,
        help_text="The owner of what the key makes; empty for the key itself.",
    )

    def __init__(self, *given: Any, maker: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._maker = maker

    def clean(self) -> dict[str, Any]:
        given = self.cleaned_data
        words = [word for word in re.split(r"[\s,]+", given.get("scopes", "")) if word]
        user = given.get("user")
        problems: dict[str, str] = {}
        try:
            self.asked = issuing.validated(
                timezone.now(),
                name=given.get("name", ""),
                words=words,
                expires=given.get("expires", ""),
                rate=given.get("rate", ""),
                max_runs=given.get("max_runs"),
                budgets=[text for text in given.get("budgets", "").split(",") if text.strip()],
                user_id=user.pk if user else None,
            )
        except KeyInvalid as error:
            problems |= error.problems
        if ApiKey.objects.live(given.get("name", "")):
            problems["name"] = issuing.NAME_TAKEN
        # The things of others, and keys that make keys, are a superuser's to give away.
        if not self._maker.is_superuser:
            if user not in (None, self._maker):
                problems["user"] = "Only a superuser creates keys for another user."
            if {"audit", "keys"} & {*words}:
                problems["scopes"] = "Only a superuser creates keys with the scopes audit or keys."
        for field in problems.keys() - self.errors.keys():
            self.add_error(field, problems[field])
        return given

    def issue(self) -> CreatedKey | None:
        """Return the new key; None if the form is invalid, in which case it shows why."""
        if not self.is_valid():
            return None
        try:
            return issuing.issue(self.asked, timezone.now(), by=self._maker.get_username())
        except KeyInvalid as error:
            for field, problem in error.problems.items():
                self.add_error(field, problem)
            return None


@admin.register(ApiKey)
class ApiKeyAdmin(NamedAdmin):
    """Creates, shows and revokes keys. A key is shown once, and cannot be changed or deleted."""

    change_form_template = "console/api_key.html"
    ordering = ("-created",)
    actions = ("revoke_selected",)  # type: ignore[assignment]  # the other pages have none
    list_display = (
        _name,
        columns.text("prefix"),
        _status,
        _may,
        _whose,
        *_limits,
        _created,
        columns.moment("expires"),
        columns.moment("last_used", "last used"),
    )
    list_display_links = (_name,)
    sortable_by = (_created,)
    search_fields = ("name", "prefix")
    search_help_text = "Part of the name of a key or its user, the first characters of a key, or its id."
    references = ("owner", "made_by")
    sections = (
        (
            None,
            (
                columns.whole_link("id", "access_apikey", "id"),
                _name,
                columns.text("prefix"),
                _status,
                _whose,
                named("made_by"),
                _may,
            ),
        ),
        ("Limits", (_limits,)),
        (
            "Time",
            (
                (columns.exact_moment("created"), columns.exact_moment("expires")),
                (columns.exact_moment("revoked"), columns.exact_moment("last_used")),
            ),
        ),
    )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.revoke_view)
        return [path("<uuid:key_id>/revoke/", view, name="access_apikey_revoke"), *super().get_urls()]

    def referring(self, references: Sequence[str]) -> Q:
        users = [one.removeprefix("user:") for one in references if one.startswith("user:")]
        return Q(user__in=users)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("access.add_apikey")

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm(REVOKE)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Create a key, and show it in the response."""
        # A redirect, as after other forms, would need the key in a session or a URL.
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = KeyForm(request.POST if request.method == "POST" else None, maker=request.user)
        issued = form.issue() if request.method == "POST" else None
        if issued is not None:
            self.log_addition(request, issued.row, ADDED)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": "New API key",
            "form": form,
            "issued": issued,
        }
        return TemplateResponse(request, "console/new_api_key.html", context, headers={"Cache-Control": "no-store"})

    def render_change_form(
        self, request: HttpRequest, context: dict[str, Any], *args: Any, **kwargs: Any
    ) -> HttpResponse:
        row: ApiKey = context["original"]
        if row.revoked is None and self.has_revoke_permission(request):
            context = {**context, "revoke_url": reverse("admin:access_apikey_revoke", args=[row.pk])}
        return super().render_change_form(request, context, *args, **kwargs)

    def revoke_view(self, request: HttpRequest, key_id: UUID) -> HttpResponse:
        # Django's CSRF protection does not cover GET, so a link on any page could revoke a key.
        if request.method != "POST":
            return error_pages.only_post()
        row = ApiKey.objects.filter(pk=key_id).first()
        if row is None:
            raise Http404
        self._revoke(request, row)
        return HttpResponseRedirect(reverse("admin:access_apikey_change", args=[key_id]))

    @admin.action(permissions=["revoke"], description="Revoke the selected API keys")
    def revoke_selected(self, request: HttpRequest, rows: QuerySet[ApiKey]) -> None:
        for row in rows:
            self._revoke(request, row)

    def _revoke(self, request: HttpRequest, row: ApiKey) -> None:
        # Django checks the permission of an action, but not that of `revoke_view`.
        if not self.has_revoke_permission(request):
            raise PermissionDenied
        with transaction.atomic():
            if issuing.revoke(row, timezone.now(), by=request.user.get_username()):
                self.log_change(request, row, REVOKED)
                messages.success(request, f"Revoked: {cells.short(row.name)}.")
