from console.html.charts import Bar, bars, share


def test_chart_shows_each_value_and_speaks_those_that_exist() -> None:
    shown = bars(
        "Spend", "$3.00", [Bar("Mar 01", 1.0, "$1.00"), Bar("Mar 02", None, "no figure"), Bar("Mar 03", 2.0, "$2.00")]
    )
    assert 'aria-label="Spend. Mar 01: $1.00; Mar 03: $2.00"' in shown
    assert shown.count("<title>") == 3
    assert 'height="100.0"' in shown
    assert 'height="50.0"' in shown


def test_chart_without_values_is_drawn() -> None:
    assert "<svg" in bars("Spend", "", [])
    assert "<svg" in bars("Spend", "", [Bar("Mar 01", 0, "$0.00")])


def test_smallest_value_is_visible_and_texts_are_escaped() -> None:
    shown = bars("<b>", "", [Bar("a", 0.0001, "<i>"), Bar("b", 1_000_000, "x")])
    assert 'height="1.5"' in shown
    assert "<b>" not in shown
    assert "<i>" not in shown


def test_share_is_a_part_of_the_largest_and_nothing_without_one() -> None:
    assert 'width="25.0"' in share(1, 4)
    assert share(0, 4) == share(None, 4) == share(1, 0) == ""
