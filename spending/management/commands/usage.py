"""`manage.py usage`: report usage and its cost."""

from argparse import ArgumentParser
from datetime import date
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from spending import usage_report
from spending.usage_report import FIELDS, GROUPS, GroupBy, Span


class Command(BaseCommand):
    help = (
        "Prints calls, tokens and cost (USD) by day, key, model or tool, from the sums that pruning leaves. "
        "Example: manage.py usage --group-by model --since 2026-11-01"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--group-by", choices=GROUPS, default="day")
        parser.add_argument("--since", type=date.fromisoformat, metavar="YYYY-MM-DD", help="the first day (UTC)")
        parser.add_argument("--until", type=date.fromisoformat, metavar="YYYY-MM-DD", help="the last day (UTC)")
        parser.add_argument("--budgets", action="store_true", help="the spent and the reserved amount of each budget")
        parser.add_argument("--json", action="store_true", help="as GET /usage gives it")

    def handle(
        self, *, group_by: GroupBy, since: date | None, until: date | None, budgets: bool, json: bool, **_: Any
    ) -> None:
        try:
            if budgets:
                self._print_budgets()
                return
            report = usage_report.usage(group_by, None, Span(since=since, until=until))
        except DatabaseError as error:
            raise CommandError(f"The database could not be used: {str(error).strip()}") from None
        if json:
            self.stdout.write(msgspec.json.format(msgspec.json.encode(report)).decode())
            return
        for item in report["items"]:
            group = "  ".join(str(item[name]) for name in FIELDS[group_by] if name != "owner")
            self.stdout.write(_line(f"{group}  {item.get('name', '')}".strip(), item))
        self.stdout.write(_line("all", report["total"]))

    def _print_budgets(self) -> None:
        for name, spent, reserved in usage_report.accounts():
            unit = "usd" if ":usd" in name else "tokens"
            amounts = [
                f"{usage_report.cost_of(value):f}" if unit == "usd" else str(value) for value in (spent, reserved)
            ]
            self.stdout.write(f"{name:80} {amounts[0]:>16} {unit} spent, {amounts[1]} reserved")


def _line(group: str, sums: dict[str, Any]) -> str:
    unknown = f", and {sums['unpriced']} calls without a known price" if sums["unpriced"] else ""
    return (
        f"{group:48} {sums['calls']:>9} calls {sums['input_tokens']:>12} in {sums['output_tokens']:>12} out "
        f"{sums['cost_usd']:>12.6f} USD{unknown}"
    )
