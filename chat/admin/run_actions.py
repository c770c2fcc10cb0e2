"""The actions of a run's page: cancel, undo and redo. Each is in the audit, with the user, before it takes effect."""

from typing import Any, Final
from uuid import UUID

from asgiref.sync import async_to_sync
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from audit import staff
from chat import conf as chat_conf
from chat import service_registry
from chat.models import Run
from console import error_pages
from console.html.params import numbered
from console.visible_text import visible_text, visible_text_line
from tools import conf, resources
from tools.base import ToolError
from tools.changes.report import described
from tools.changes.undo import ChangedSince, Direction, NotKept, restore
from tools.workspaces.access import permits
from web.plurals import counted

CANCEL: Final = "chat.cancel_run"
UNDO: Final = "chat.undo_run"
MAX_NAMED: Final = 1_000
"""Characters of a message that names files. A browser keeps it in a cookie until the next page."""

OPEN: Final = (Run.Status.RUNNING, Run.Status.WAITING)


def cancel_view(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Cancel a run, as `POST /chat/runs/{run_id}/cancel` does. Its output so far is kept."""
    run = _changeable(request, run_id, CANCEL)
    if isinstance(run, HttpResponse):
        return run
    if run.status not in OPEN:
        messages.info(request, f"The run is {run.status} already.")
        return HttpResponseRedirect(reverse("admin:chat_run_change", args=[run_id]))
    staff.record(request.user, "run.cancelled", run_id, run.session.owner)
    status = async_to_sync(_cancel)(run_id, run.session.owner)
    messages.info(request, f"The run is {status}.")
    return HttpResponseRedirect(reverse("admin:chat_run_change", args=[run_id]))


def undo_view(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """Restore the files that a run changed, or make its changes again: all of them, or none."""
    run = _changeable(request, run_id, UNDO)
    if isinstance(run, HttpResponse):
        return run
    page = HttpResponseRedirect(reverse("admin:chat_run_change", args=[run_id]))
    if run.status in OPEN:
        messages.error(request, f"The run is {run.status}. Wait for its end, or cancel it.")
        return page
    changes = resources.changes().of(run_id)
    if not changes.files():
        messages.info(request, "The run changed no files.")
        return page
    # A button without a value, as of an old page, undoes: that can be redone.
    direction: Direction = "redo" if request.POST.get("direction") == "redo" else "undo"
    staff.record(request.user, f"run.{direction}", run_id, run.session.owner)
    try:
        workspace = resources.workspaces().at(run.session.owner, run.session_id).restricted(permits("fs.write"))
        files = restore(workspace, changes, direction)
    except (ChangedSince, NotKept) as refused:
        problem = "changed since the run" if isinstance(refused, ChangedSince) else "are not kept (UNDO_MAX_BYTES)"
        paths = visible_text_line(", ".join(refused.paths), MAX_NAMED)
        messages.error(request, f"Nothing was restored: {paths} {problem}.")
    except ToolError as error:
        messages.error(request, f"Nothing was restored: {visible_text_line(str(error), MAX_NAMED)}")
    else:
        changed = [file for file in files if file.action != "none"]
        messages.success(request, f"{counted(len(changed), 'file')} restored ({direction}).")
    return page


def context(request: HttpRequest, run: Run) -> dict[str, Any]:
    """Return the context of the actions that the user may take, and of the files that the run changed."""
    changes = described(resources.changes().of(run.pk), permits("fs.read"), conf.masker())
    changed = [file for file in changes["files"] if file["action"] != "none"]
    is_open = run.status in OPEN
    return {
        "changed_files": changed,
        "is_diff_cut": changes["truncated"],
        "diff": numbered(visible_text(changes["diff"]).rstrip("\n").split("\n"), is_diff=True)
        if changes["diff"]
        else "",
        "error": visible_text(run.error),
        "is_open": is_open,
        "cancel_url": reverse("admin:chat_run_cancel", args=[run.pk])
        if is_open and request.user.has_perm(CANCEL)
        else "",
        "undo_url": reverse("admin:chat_run_undo", args=[run.pk])
        if changed and not is_open and request.user.has_perm(UNDO)
        else "",
    }


async def _cancel(run_id: UUID, owner: str) -> str | None:
    # The service belongs to an event loop, so it is looked up in the loop itself.
    return await service_registry.current().cancel(run_id, owner)


def _changeable(request: HttpRequest, run_id: UUID, permission: str) -> Run | HttpResponse:
    """Return the run, or the answer to a request that may not change it."""
    if request.method != "POST":
        return error_pages.only_post()
    if not request.user.has_perm(permission):
        raise PermissionDenied
    run = Run.objects.select_related("session").filter(pk=run_id).first()
    if run is None or not chat_conf.is_stored():
        raise Http404
    return run
