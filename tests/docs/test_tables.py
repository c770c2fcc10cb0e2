"""The tables of the documents are whole."""

from itertools import groupby

from scripts.prose import documents
from scripts.source import ROOT


def test_every_table_has_a_header_and_rows_of_its_width() -> None:
    broken = []
    for page in documents():
        if page.suffix != ".md":
            continue
        lines = page.read_text(encoding="utf-8").splitlines()
        for is_table, found in groupby(enumerate(lines, 1), lambda line: line[1].startswith("|")):
            rows = list(found)
            # A bar in a cell is escaped. A blank line within a table would make its rest a table without a header.
            widths = {row.replace("\\|", "").count("|") for _, row in rows}
            has_header = len(rows) > 2 and set(rows[1][1]) <= set("|-: ")
            if is_table and not (has_header and len(widths) == 1):
                broken.append(f"{page.relative_to(ROOT)}:{rows[0][0]}")
    assert broken == []
