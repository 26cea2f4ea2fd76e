"""Charts are markup made from numbers and hostile names."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from django.utils.safestring import SafeString

from projects import charts
from projects.charts import Bin, Mark, Plot, Series, Tick

SVG = "{http://www.w3.org/2000/svg}"


def tree(markup: SafeString) -> ET.Element:
    assert isinstance(markup, SafeString)
    return ET.fromstring(markup.replace("<svg", '<svg xmlns="http://www.w3.org/2000/svg"', 1))


def paths(root: ET.Element, kind: str) -> list[str]:
    return [path.get("d", "") for path in root.iter(f"{SVG}path") if path.get("class") == kind]


def texts(root: ET.Element) -> list[str]:
    return [text.text or "" for text in root.iter(f"{SVG}text")]


def plot(**changes: object) -> Plot:
    return Plot(**{"key": "c", "title": "Errors", "description": "They fall.", **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 1, [0, 0.25, 0.5, 0.75, 1]),
        (0, 0.041, [0, 0.02, 0.04, 0.06]),
        (0, 12, [0, 5, 10, 15]),
        (0, 48_210, [0, 20_000, 40_000, 60_000]),
        (0.84, 0.96, [0.8, 0.85, 0.9, 0.95, 1.0]),
        (0, 0, [0, 0.25, 0.5, 0.75, 1]),
        (7, 7, [6, 8, 10, 12, 14]),
    ],
)
def test_ticks_are_three_to_five_round_numbers_around_the_data(low: float, high: float, ticks: list[float]) -> None:
    assert charts.round_ticks(low, high) == pytest.approx(ticks)
    assert ticks[0] <= low
    assert ticks[-1] >= high


@pytest.mark.parametrize("high", [1e-9, 3e-4, 0.07, 0.99, 1.01, 3, 9.99, 123, 9999, 4.2e6, 7e11])
def test_there_are_never_fewer_than_three_nor_more_than_five_ticks(high: float) -> None:
    ticks = charts.round_ticks(0, high)
    assert 3 <= len(ticks) <= 5
    assert ticks[-1] >= high


def test_a_spark_spans_its_box_and_says_nothing_to_assistive_technology() -> None:
    root = tree(charts.spark([1, 3, 2]))
    assert root.get("aria-hidden") == "true"
    assert root.findall(f"{SVG}path")[1].get("d") == "M0 25.5 L50 2.5 L100 14"


def test_a_spark_of_one_point_is_nothing() -> None:
    assert charts.spark([None, 3, None]) == ""


def test_a_chart_says_what_it_is_and_what_it_shows() -> None:
    root = tree(charts.timeseries([Series([1, 2])], plot()))
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == "c-t c-d"
    assert [root.find(f"{SVG}{tag}").text for tag in ("title", "desc")] == ["Errors", "They fall."]  # type: ignore[union-attr]


def test_a_line_goes_from_edge_to_edge_and_a_gap_in_the_data_is_a_gap_in_the_line() -> None:
    root = tree(charts.timeseries([Series([0, 1, None, 2, 4])], plot()))
    assert paths(root, "s1") == ["M0 160 L250 120M750 80 L1000 0"]


def test_a_band_goes_along_the_highs_and_back_along_the_lows() -> None:
    root = tree(charts.timeseries([Series([2, 2], low=[1, 0], high=[3, 4])], plot()))
    assert paths(root, "band") == ["M0 40 L1000 0 L1000 160 L0 120Z"]


def test_a_band_has_a_gap_where_an_end_is_unknown() -> None:
    root = tree(charts.timeseries([Series([2, 2, 2], low=[1, 1, None], high=[3, 3, None])], plot()))
    assert paths(root, "band")[0].count("L") == 3


def test_the_time_in_breach_is_shaded_and_the_last_dot_is_red() -> None:
    root = tree(charts.timeseries([Series([1, 1, 3, 4])], plot(threshold=2, threshold_label="Limit 2", breach=">")))
    assert paths(root, "breach") == ["M500 0H1000V160H500Z"]
    assert "Limit 2" in texts(root)
    assert [dot.get("class") for dot in root.iter(f"{SVG}circle")] == ["dot fail"]


def test_below_the_bound_is_the_breach_of_a_floor() -> None:
    root = tree(charts.timeseries([Series([0.95, 0.85])], plot(threshold=0.9, breach="<", zero=False)))
    assert paths(root, "breach") == ["M500 0H1000V160H500Z"]


def test_marks_that_would_collide_become_dots_with_a_tooltip() -> None:
    marks = [Mark(0.5, "release-one"), Mark(0.52, "release-two"), Mark(1.0, "v3")]
    root = tree(charts.timeseries([Series([1, 2, 3])], plot(marks=marks)))
    notes = [group for group in root.iter(f"{SVG}g") if group.get("class") == "anno"]
    assert [group.find(f"{SVG}text") is not None for group in notes] == [True, False, True]
    assert notes[1].find(f"{SVG}circle/{SVG}title").text == "release-two"  # type: ignore[union-attr]


def test_x_labels_stay_inside_the_plot() -> None:
    ticks = [Tick(0, "14 Nov"), Tick(0.5, "17 Nov"), Tick(1, "20 Nov")]
    root = tree(charts.timeseries([Series([1, 2])], plot(x=ticks)))
    anchors = {text.text: text.get("text-anchor") for text in root.iter(f"{SVG}text")}
    assert [anchors[name] for name in ("14 Nov", "17 Nov", "20 Nov")] == ["start", "middle", "end"]


def test_names_from_outside_are_text() -> None:
    evil = "</title><script>alert(1)</script>"
    markup = charts.timeseries(
        [Series([1, 2], label=evil)],
        plot(title=evil, description=evil, marks=[Mark(0.5, evil)], x=[Tick(0, evil)], text=lambda value: evil),
    )
    assert "<script" not in markup
    assert evil in texts(tree(markup))


def test_without_data_a_chart_says_so() -> None:
    root = tree(charts.timeseries([Series([None, None])], plot()))
    assert texts(root) == ["Nothing was measured in this period"]
    assert "Nothing" in charts.histogram([Bin("0"), Bin("1")], key="h", title="t", description="d")


def test_one_single_point_is_drawn() -> None:
    root = tree(charts.timeseries([Series([5], low=[4], high=[6])], plot()))
    assert paths(root, "s1") != [""]


def test_a_bar_never_leaves_its_track() -> None:
    widths = [tree(charts.bar(share)).find(f"{SVG}rect").get("width") for share in (-1, 0.46, 7)]  # type: ignore[union-attr]
    assert widths == ["0%", "46%", "100%"]


def test_an_interval_that_leaves_the_scale_is_cut_at_the_edge_and_has_no_cap_there() -> None:
    root = tree(charts.interval_row(1, -1, 9, scale=(-2, 2), kind="bad"))
    lines = [(line.get("x1"), line.get("x2")) for line in root.iter(f"{SVG}line")]
    assert lines == [("50%", "50%"), ("25%", "100%"), ("25%", "25%")]  # zero, the interval, one cap
    assert root.find(f"{SVG}circle").get("cx") == "75%"  # type: ignore[union-attr]


def test_a_histogram_stacks_passes_on_fails() -> None:
    root = tree(charts.histogram([Bin("0", 2, 2), Bin("1", 0, 4)], key="h", title="t", description="d", height=100))
    boxes = [(rect.get("class"), rect.get("y"), rect.get("height")) for rect in root.iter(f"{SVG}rect")]
    assert boxes == [("b-fail", "50", "50"), ("b-pass", "0", "50"), ("b-pass", "0", "100")]


def test_labels_at_the_ends_of_lines_never_overlap() -> None:
    series = [Series([1, 50], label="p50"), Series([1, 51], kind="s2", label="p95"), Series([1, 52], label="p99")]
    root = tree(charts.timeseries(series, plot()))
    places = sorted(float(text.get("y", "0")) for text in root.iter(f"{SVG}text") if text.get("class") == "lab")
    assert len(places) == 3
    assert all(lower - upper > 13.8 for upper, lower in pairwise(places))
