"""`orchestrator search`: find passages in the files of a workspace."""

import asyncio
from argparse import ArgumentParser
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError

from access.caller import OPERATOR
from command_line.output import add_json, as_json
from command_line.program import PROGRAM
from console.visible_text import visible_text
from spending.accounts import Payer
from tools import conf, resources
from tools.base import Execution, ToolError
from tools.builtin import retrieval


async def _no_output(*_: str) -> None:
    pass


class Command(BaseCommand):
    help = (
        "Print the passages of a workspace's files that answer a query, by their words and their meaning. "
        f"Example: {PROGRAM} search 'how are backups made' --limit 3"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("query", help="a question, or words")
        parser.add_argument("--owner", default=OPERATOR, help="the owner of the workspace (default: %(default)s)")
        parser.add_argument("--path", default=".", help="only files below this folder, or this file")
        parser.add_argument("--limit", type=int, choices=range(1, 51), default=8, metavar="1-50")
        add_json(parser, "the result of retrieval.search")

    def handle(self, *, query: str, owner: str, path: str, limit: int, json: bool, **_: Any) -> None:
        try:
            workspace = resources.workspaces().at(owner)
            indexed = retrieval.IndexedWorkspace(workspace, resources.retrieval())
            execution = Execution(payer=Payer(owner=owner), emit=_no_output)
            result = asyncio.run(retrieval.search(workspace, indexed, execution, query=query, path=path, limit=limit))
        except ToolError as error:
            raise CommandError(visible_text(str(error))) from None
        if json:
            self.stdout.write(as_json(conf.masker().data(msgspec.to_builtins(result))))
            return
        for passage in result.results:
            first, last = passage.lines
            title = f"  {passage.title}" if passage.title else ""
            self.stdout.write(visible_text(f"{passage.path}:{first}-{last}  {passage.score:.4f}{title}"))
            self.stdout.write(visible_text(conf.masker().text(passage.text)) + "\n")
        if not result.complete:
            self.stderr.write(result.note)
