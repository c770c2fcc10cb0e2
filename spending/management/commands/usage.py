"""`orchestrator usage`: report usage and its cost, or the rest of budgets."""

from argparse import ArgumentParser
from datetime import date
from typing import Any

from django.core.management.base import BaseCommand
from django.utils import timezone

from access.keys.names import Names
from command_line.database import existing_database
from command_line.output import add_json, as_json
from command_line.program import PROGRAM
from spending import budget_report, usage_report
from spending.usage_report import FIELDS, GROUPS, GroupBy, Span
from web.plurals import counted, noun_for


class Command(BaseCommand):
    help = (
        "Print calls, tokens and cost (USD) by day, key, model or tool, from the sums that pruning leaves. "
        f"Example: {PROGRAM} usage --group-by model --since 2026-11-01"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--group-by", choices=GROUPS, default="day")
        parser.add_argument("--since", type=date.fromisoformat, metavar="YYYY-MM-DD", help="the first day (UTC)")
        parser.add_argument("--until", type=date.fromisoformat, metavar="YYYY-MM-DD", help="the last day (UTC)")
        parser.add_argument(
            "--budgets", action="store_true", help="show the spent, the reserved and the remaining part of each budget"
        )
        add_json(parser, "the body of GET /usage, or the budgets,")

    def handle(
        self, *, group_by: GroupBy, since: date | None, until: date | None, budgets: bool, json: bool, **_: Any
    ) -> None:
        with existing_database():
            if budgets:
                self._print_budgets(json=json)
                return
            report = usage_report.usage(group_by, None, Span(since=since, until=until))
            names = Names(item.get("key") for item in report["items"])
        if json:
            self.stdout.write(as_json(report))
            return
        for item in report["items"]:
            group = "  ".join(str(item[name]) for name in FIELDS[group_by] if name not in {"owner", "key"})
            self.stdout.write(_line(group or names.text(item["key"]), item))
        self.stdout.write(_line("all", report["total"]))

    def _print_budgets(self, *, json: bool) -> None:
        balances = budget_report.balances(timezone.now())
        if json:
            self.stdout.write(as_json({"items": [balance.as_dict() for balance in balances], "count": len(balances)}))
            return
        names = Names(balance.account for balance in balances)
        for balance in balances:
            spent, reserved, limit, left = (
                "unknown" if amount is None else balance.written(amount)
                for amount in (balance.spent, balance.reserved, balance.limit, balance.left)
            )
            unit = noun_for(balance.spent, "token") if balance.unit == "tokens" else balance.unit
            amounts = f"{spent:>16} {unit} spent, {reserved} reserved, {limit} limit, {left} left"
            self.stdout.write(f"{names.text(balance.account):80} {amounts}")
        self.stderr.write(f"{counted(len(balances), 'budget')}.")


def _line(group: str, sums: dict[str, Any]) -> str:
    unknown = f", and {counted(sums['unpriced'], 'call')} without a known price" if sums["unpriced"] else ""
    calls = noun_for(sums["calls"], "call")
    return (
        f"{group:48} {sums['calls']:>9} {calls:5} {sums['input_tokens']:>12} in {sums['output_tokens']:>12} out "
        f"{sums['cost_usd']:>12.6f} USD{unknown}"
    )
