"""`orchestrator workspace`: list, measure, find, export and remove the workspaces of owners and sessions."""

import os
import shutil
import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
from django.core.management.base import BaseCommand, CommandError

from access.caller import OPERATOR
from access.models import ApiKey
from chat.models import Session
from command_line.database import existing_database
from command_line.output import add_json, as_json
from command_line.program import PROGRAM
from retrieval.base import DocumentError
from tools import resources
from tools.base import ToolError
from tools.workspace.quota import usage_of
from tools.workspaces.archive import pack
from tools.workspaces.scope import Workspaces, owner_folder, session_folder
from web.plurals import counted

NO_OWNER: Final = ""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A workspace on disk. Without an owner, its owner or session no longer exists."""

    owner: str
    session: str | None
    path: str
    files: int
    bytes: int


class Command(BaseCommand):
    help = (
        "Show and manage the workspaces beneath ALLOW_FS_BASE. An OWNER is user:NUMBER, key:ID or operator, as list "
        f"shows it. Examples: {PROGRAM} workspace list; {PROGRAM} workspace export user:1 --output files.tar.gz"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
        listing = actions.add_parser("list", help="list all workspaces with their owners and sizes")
        add_json(listing, "the workspaces")
        size = actions.add_parser("size", help="print the files and bytes of one owner's workspaces")
        add_json(size, "the sizes")
        export = actions.add_parser("export", help="write an owner's files as a tar archive, compressed with gzip")
        export.add_argument("--output", type=Path, metavar="FILE", help="the archive; by default, standard output")
        path = actions.add_parser(
            "path", help="print the folder of an owner's workspace, which is made if it is missing"
        )
        for action in (size, export, path):
            action.add_argument("owner", metavar="OWNER", help="user:NUMBER, key:ID or operator")
        prune = actions.add_parser("prune", help="remove the workspaces of owners and sessions that no longer exist")
        prune.add_argument("--yes", action="store_true", help="remove them; without it, they are only listed")
        add_json(prune, "the workspaces")

    def handle(self, *, action: str, json: bool = False, **options: Any) -> None:
        with existing_database():
            workspaces = resources.workspaces()
            owners = {OPERATOR, *(row.owner for row in ApiKey.objects.all())}
            owners.update(Session.objects.exclude(owner="").values_list("owner", flat=True).distinct())
            found = list(_found(workspaces, owners))
        owner = options.get("owner")
        if owner is not None and owner not in owners:
            known = ", ".join(sorted(owners))
            raise CommandError(f"There is no owner {owner!r}; there are {known}.")
        if action == "list":
            self._print(found, json=json)
        elif action == "size":
            self._print([one for one in found if one.owner == owner], json=json)
        elif action == "path":
            self.stdout.write(str(_opened(workspaces, str(owner)).base))
        elif action == "export":
            self._export(workspaces, str(owner), options["output"])
        else:
            self._prune([one for one in found if one.owner == NO_OWNER], yes=options["yes"], json=json)

    def _print(self, found: list[Found], *, json: bool) -> None:
        if json:
            self.stdout.write(as_json({"items": found, "count": len(found)}))
            return
        for one in found:
            who = one.owner or "no owner or session any more"
            session = f", session {one.session}" if one.session else ""
            self.stdout.write(f"{counted(one.files, 'file'):>14} {one.bytes:>15,} bytes  {one.path}  ({who}{session})")
        self.stderr.write(f"{counted(len(found), 'workspace')}.")

    def _prune(self, found: list[Found], *, yes: bool, json: bool) -> None:
        self._print(found, json=json)
        if yes:
            for one in found:
                # The index first: it has the texts of the files.
                try:
                    resources.retrieval().forget(Path(one.path).resolve())
                    resources.foreign_folders(Path(one.path).resolve()).forget()
                except DocumentError as error:
                    raise CommandError(str(error)) from None
                shutil.rmtree(one.path)
        self.stderr.write("They were removed." if yes else "Add --yes to remove them.")

    def _export(self, workspaces: Workspaces, owner: str, output: Path | None) -> None:
        if output is None and sys.stdout.isatty():
            raise CommandError("The archive is binary: add --output FILE, or redirect the output.")
        try:
            pieces = pack(_opened(workspaces, owner), ".")
            # A new file only: an archive of another day is not overwritten.
            with output.open("xb") if output else os.fdopen(os.dup(1), "wb") as file:
                file.writelines(pieces)
        except (OSError, ToolError) as error:
            raise CommandError(f"The workspace could not be exported: {error}") from None


def _opened(workspaces: Workspaces, owner: str) -> Any:
    try:
        return workspaces.at(owner)
    except ToolError as error:
        raise CommandError(str(error)) from None


def _found(workspaces: Workspaces, owners: set[str]) -> Iterator[Found]:
    """Yield the workspaces on disk: the root, without those beneath it, and then the others."""
    root, beneath = usage_of(workspaces.root.base), usage_of(workspaces.folder)
    files, size = root.files - beneath.files, root.bytes - beneath.bytes
    yield Found(owner=OPERATOR, session=None, path=str(workspaces.root.base), files=files, bytes=size)
    named = {owner_folder(owner): (owner, None) for owner in owners}
    sessions = Session.objects.values_list("owner", "id").iterator()
    with_sessions = {**named, **{session_folder(owner, key): (owner, str(key)) for owner, key in sessions}}
    folders = sorted(path for path in workspaces.folder.iterdir()) if workspaces.folder.is_dir() else []
    for path in folders:
        owner, session = with_sessions.get(path.name, (NO_OWNER, None))
        usage = usage_of(path)
        yield Found(owner=owner, session=session, path=str(path), files=usage.files, bytes=usage.bytes)
