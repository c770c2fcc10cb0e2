"""The actions of a session's page: title, archive, fork, export, import. Each is in the audit, with the user."""

from typing import Any, Final
from uuid import UUID

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.http.response import HttpResponseBase, StreamingHttpResponse
from django.urls import reverse

from access.caller import OPERATOR
from audit import staff
from chat.history.transfer.files import SessionFile, exported
from chat.history.transfer.importing import imported
from chat.history.transfer.reading import SessionReader
from chat.history.transfer.storing import store_session
from chat.models import Session
from console import error_pages
from storage import sanitize
from web.errors import ApiError
from web.plurals import counted

CHANGE: Final = "chat.change_session"
READ: Final = ("chat.view_session", "chat.view_message")
MAX_TITLE: Final = 200


def change_view(request: HttpRequest, session_id: UUID) -> HttpResponse:
    """Set a session's title, or archive it, or take it back from the archive, or copy it into a new one."""
    if request.method != "POST":
        return error_pages.only_post()
    if not request.user.has_perm(CHANGE):
        raise PermissionDenied
    row = Session.objects.filter(pk=session_id).first()
    if row is None:
        raise Http404
    action = request.POST.get("action", "")
    with transaction.atomic():
        if action == "rename":
            title = sanitize.text(request.POST.get("title", "").strip(), MAX_TITLE)
            if title:
                Session.objects.filter(pk=session_id).update(title=title)
                staff.record(request.user, "session.renamed", session_id, row.owner)
            else:
                messages.error(request, "Write the new title first.")
        elif action in {"archive", "restore"}:
            Session.objects.filter(pk=session_id).update(archived=action == "archive")
            staff.record(request.user, f"session.{action}d", session_id, row.owner)
        elif action == "fork":
            reader = SessionReader(session_id, None)
            head = reader.head()
            if head is None:
                raise Http404
            made = store_session(head, reader.messages(), row.owner, None, {"forked_from": str(session_id)})
            staff.record(request.user, "session.forked", made, row.owner, {"from": str(session_id)})
            messages.success(request, "This is the copy. Both sessions continue independently.")
            session_id = made
        else:
            messages.error(request, "Unknown action. Valid: rename, archive, restore, fork.")
    return HttpResponseRedirect(reverse("admin:chat_session_change", args=[session_id]))


def export_view(request: HttpRequest, session_id: UUID) -> HttpResponseBase:
    """Return a session as a file: JSON Lines, which can be imported again, or one page to read."""
    if not request.user.has_perms(READ):
        raise PermissionDenied
    file = SessionFile("html" if request.GET.get("format") == "html" else "jsonl")
    reader = SessionReader(session_id, None)
    head = reader.head()
    row = Session.objects.filter(pk=session_id).first()
    if head is None or row is None:
        raise Http404
    # Before the first byte: an export that breaks off may have been read.
    staff.record(request.user, "session.exported", session_id, row.owner, {"format": file.kind})
    # As a download: in the console's origin the browser must not render a model's text.
    headers = {"Content-Disposition": f'attachment; filename="session-{session_id}.{file.kind}"'}
    return StreamingHttpResponse(exported(reader, head, file), content_type="application/octet-stream", headers=headers)


def import_view(request: HttpRequest) -> HttpResponse:
    """Store an exported session as a new one of the operator. All of it is checked before anything is stored."""
    if request.method != "POST":
        return error_pages.only_post()
    if not request.user.has_perm(CHANGE):
        raise PermissionDenied
    given = request.FILES.get("file")
    back = HttpResponseRedirect(reverse("admin:chat_session_changelist"))
    if given is None:
        messages.error(request, "Choose a file that was exported as JSON Lines.")
        return back
    try:
        found = imported(given.read())
    except ApiError as refusal:
        messages.error(request, f"Nothing was imported from {given.name}: {refusal.error}")
        return back
    with transaction.atomic():
        made = store_session(found.head, found.messages, OPERATOR, None, {"imported": True})
        staff.record(request.user, "session.imported", made, OPERATOR)
    messages.success(request, f"{counted(len(found.messages), 'message')} imported.")
    return HttpResponseRedirect(reverse("admin:chat_session_change", args=[made]))


def context(request: HttpRequest, row: Session) -> dict[str, Any]:
    """Return the context of the actions that the user may take."""
    return {
        "action_url": reverse("admin:chat_session_act", args=[row.pk]) if request.user.has_perm(CHANGE) else "",
        "export_url": reverse("admin:chat_session_export", args=[row.pk]) if request.user.has_perms(READ) else "",
        "max_title": MAX_TITLE,
    }
