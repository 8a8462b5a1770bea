"""Reports as they are laid out: the same figures in every format, and no name that could do anything on a page."""

from __future__ import annotations

import dataclasses
import json
import re
from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from aishell.reporting import pages
from aishell.reporting.formats import code, markdown, text
from aishell.reporting.html import html
from aishell.reporting.night import (
    BacklogChange,
    Effect,
    Need,
    NewestBackup,
    NightFinding,
    NightReport,
    NightSum,
    Postponed,
    RunReport,
    RunSummary,
    SizeChange,
    StepSummary,
    ToolTime,
    Trend,
    WorkflowSummary,
    document,
)
from aishell.reporting.page import Page, ReportTable
from aishell.reporting.units import exact, visible
from tests.hostile_text import PIECES, TEXT, raw
from tests.unit.reporting.page_reader import Node, read

UNTIL = "2026-11-22T07:00:00.000000+00:00"
EARLIER = "2026-11-21T07:00:00.000000+00:00"
#: What would end an element, an attribute, a comment, a style sheet; and letters of no width, of two, or of another direction.
PAGE_PIECES = (
    *PIECES,
    '"><script>alert(1)</script>',
    "' onload='alert(1)",
    "</style></title></svg></table><img src=x onerror=alert(1)>",
    "<!-- ]]> <?php &lt;&#60;&quot;",
    "javascript:alert(1)",
    "`|`` \\ 象形 é",
)
HOSTILE = "".join(PAGE_PIECES)


def night(name: str) -> NightReport:
    """A night in which each text is this one, and every block of a page comes."""
    effect = Effect(10_000_000, 4_000_000, "statistics", 1234, True, {"indexes_rebuilt": 2})
    steps = (
        StepSummary("r" * 32, name, name, name, "done", UNTIL, 61.5, effect, None, name),
        StepSummary("r" * 32, "b", name, "", "failed", UNTIL, 0.5, Effect(), name),
    )
    run = RunSummary(
        "r" * 32, "maintenance", name, "sqlite", "completed", "failure", name, name, EARLIER, UNTIL, 62.0, name, steps,
        workflow=name, stage=name,
    )  # fmt: skip
    return NightReport(
        since=EARLIER,
        until=UNTIL,
        needs=(Need("failure", name, name, UNTIL, f"aishell runs show {name}", "r" * 32), Need("backup", name, name)),
        runs=(run, dataclasses.replace(run, target="crm", status=None, ended_at=None, execution_time=None)),
        sizes=(SizeChange(name, name, 10_000_000, 4_000_000, "statistics"), SizeChange("crm", "a", 7, 9)),
        tools=(ToolTime(name, 2, 62.0),),
        left=(Postponed(name, "r" * 32, name, name),),
        backups=(
            NewestBackup(name, True, name, name, "readable", EARLIER, 86_400.0, 5_000),
            NewestBackup("crm", False, name),
            NewestBackup("old", False, name, name, "written", EARLIER, 86_400.0 * 30, 5_000),
        ),
        nights=(NightSum(EARLIER, 3, 1, 5.0, -70_000, 5), NightSum(UNTIL, 4, 0, 6.0, 90_000, 7)),
        site=name,
        trends=tuple(
            Trend(name, name, metric, ((EARLIER, 4.0), (UNTIL, 8.0)))
            for metric in ("database_bytes", "object_bytes", "fragmentation_percent")
        ),
        workflows=(
            WorkflowSummary(
                "w" * 32, name, "partial", EARLIER, UNTIL, 2, {name: {"done": 1, "failed": 1}, "b": {"done": 2}}
            ),
        ),
        backlog=(BacklogChange(name, name, 2, 3, 60.0, 90.0, EARLIER, 3600.0, False, name),),
        day=name,
    )


def report(name: str) -> RunReport:
    told = night(name)
    findings = (
        NightFinding(name, "warning", name, name, name, name),
        NightFinding(name, "critical", name, None, "", ""),
    )
    return RunReport(told.runs[0], told.needs, told.sizes, told.tools, told.left, findings, visible(name))


def both(name: str) -> list[Page]:
    return [pages.digest(night(name)), pages.run_report(report(name), UNTIL)]


def tables(page: Page) -> list[ReportTable]:
    found = []
    for section in page.sections:
        for block in section.blocks:
            found += [block] if isinstance(block, ReportTable) else [block.table] if hasattr(block, "table") else []
    return found


@pytest.mark.parametrize("hostile", [*PAGE_PIECES, HOSTILE])
def test_no_text_changes_what_a_page_is_made_of(hostile: str) -> None:
    for plain, page in zip(both("plain"), both(hostile), strict=True):
        document_ = read(html(page))
        assert document_.shape == read(html(plain)).shape
        assert raw(document_.text.replace(document_.all("style")[0].text, "")) == []


@cache
def plain_shape() -> tuple:
    return read(html(both("plain")[0])).shape


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(st.text(st.characters(codec="utf-8"), min_size=1, max_size=60))
def test_whatever_a_name_is_it_is_only_text(name: str) -> None:
    (page, _) = both(name)
    found = read(html(page))
    assert found.shape == plain_shape()
    assert exact(name) in [node.text for node in found.all("th")]
    for shown in (text(page), markdown(page)):
        assert raw(shown) == []


def test_a_page_needs_nothing_else_and_says_so() -> None:
    for page in both("shop"):
        shown = html(page)
        found = read(shown)
        policy = next(node for node in found.all("meta") if node.attributes.get("http-equiv"))
        assert policy.attributes["content"].startswith("default-src 'none'")
        assert not re.search(r"https?://|//[a-z]|\bsrc=|\bhref=|<script|@import|url\(", shown)
        assert found.attributes["lang"] == "en"
        assert "prefers-color-scheme: dark" in found.all("style")[0].text
        assert "@media print" in found.all("style")[0].text


def test_every_plot_says_what_it_shows_and_stands_with_a_table() -> None:
    for page in both("shop"):
        found = read(html(page))
        figures = found.all("figure")
        assert figures
        for figure in figures:
            for drawing in figure.all("svg"):
                assert drawing.attributes["role"] == "img"
                assert len(drawing.attributes["aria-label"]) > 20
            assert figure.all("table")
            assert figure.all("figcaption")
        for table in found.all("table"):
            assert table.all("caption")[0].text
            assert {node.attributes["scope"] for node in table.all("th")} == {"col", "row"}
            columns = len(table.all("thead")[0].all("th"))
            for row in table.all("tbody")[0].all("tr"):
                assert len(row.all("th")) + len(row.all("td")) == columns
        levels = [int(node.tag[1]) for tag in ("h1", "h2", "h3") for node in found.all(tag)]
        assert levels.count(1) == 1


@pytest.mark.parametrize("name", ["shop", "we|ird", "a  b", "象形", TEXT])
def test_every_cell_stands_in_every_format(name: str) -> None:
    for page in both(name):
        in_html = {
            node.text for table in read(html(page)).all("table") for tag in ("th", "td") for node in table.all(tag)
        }
        in_markdown = _markdown_cells(markdown(page))
        plain = text(page)
        for table in tables(page):
            for row in table.rows:
                for cell in filter(None, row):
                    assert exact(cell) in in_html
                    assert exact(cell) in in_markdown
                    assert exact(cell).split(" ")[0] in plain


def _markdown_cells(source: str) -> set[str]:
    """The cells of tables as a reader of Markdown shows them."""
    tokens = MarkdownIt("commonmark").enable("table").parse(source)
    cells, inside = set(), False
    for token in tokens:
        inside = token.type in ("th_open", "td_open") or (inside and token.type not in ("th_close", "td_close"))
        if inside and token.type == "inline":
            cells.add("".join(child.content for child in token.children or ()))
    return cells


def test_markdown_has_no_markup_of_a_name() -> None:
    tokens = MarkdownIt("commonmark").enable("table").parse(markdown(both(TEXT)[0]))
    inline = [child.type for token in tokens for child in token.children or ()]
    assert set(inline) <= {"text", "softbreak", "strong_open", "strong_close", "code_inline", "text_special"}
    assert not [token for token in tokens if token.type.startswith("html")]


@settings(max_examples=40)
@given(st.text("`a b", min_size=1, max_size=12))
def test_a_command_is_code_whatever_is_in_it(command: str) -> None:
    shown = f"x{command}x"
    ((inline),) = [token for token in MarkdownIt("commonmark").parse(code(shown)) if token.type == "inline"]
    assert [(child.type, child.content) for child in inline.children or ()] == [("code_inline", shown)]


def test_bars_are_as_long_as_what_they_stand_for() -> None:
    found = read(html(both("shop")[0]))
    first = next(node for node in found.all("figure") if "before and after" in node.text)
    before, after = (float(node.attributes["width"]) for node in first.all("rect")[:2])
    assert after / before == pytest.approx(0.4, abs=0.01)
    ages = next(node for node in found.all("figure") if "verified backup" in node.text)
    widths = [float(node.attributes["width"]) for node in ages.all("rect")]
    (limit,) = ages.all("line", "limit")
    assert widths[0] == 0.0  # there is none: first, and no bar
    assert widths[1] / widths[2] == pytest.approx(30, rel=0.05)
    assert widths[2] < float(limit.attributes["x1"]) < widths[1]
    assert [node.attributes["class"] for node in ages.all("rect")] == ["after", "after over", "after"]


@pytest.mark.parametrize("most", [0, 1, 10**15])
def test_nothing_is_drawn_outside_of_a_plot(most: int) -> None:
    told = dataclasses.replace(
        night("shop"),
        sizes=(SizeChange("shop", "a", most, 0), SizeChange("shop", "b", 0, 0)),
        nights=(NightSum(EARLIER, bytes_reclaimed=-most), NightSum(UNTIL, bytes_reclaimed=most)),
    )
    for drawing in read(html(pages.digest(told))).all("svg"):
        _, _, width, height = map(float, drawing.attributes["viewBox"].split())
        for one in drawing.all("rect"):
            x, y, wide, high = (float(one.attributes[name]) for name in ("x", "y", "width", "height"))
            assert 0 <= x <= x + wide <= width
            assert 0 <= y <= y + high <= height
        for one in drawing.all("circle"):
            assert 0 < float(one.attributes["cx"]) < width
            assert 0 < float(one.attributes["cy"]) < height
        for one in drawing.all("text"):
            assert 0 <= float(one.attributes["x"]) <= width
            assert 0 < float(one.attributes["y"]) <= height


def test_a_sum_below_nothing_hangs_below_the_axis() -> None:
    found = read(html(both("shop")[0]))
    small = next(node for node in found.all("svg") if "reclaimed" in node.attributes["aria-label"])
    (axis,) = small.all("line", "axis")
    worse, better = small.all("rect")
    zero = float(axis.attributes["y1"])
    assert float(worse.attributes["y"]) == pytest.approx(zero, abs=0.1)
    assert float(better.attributes["y"]) + float(better.attributes["height"]) == pytest.approx(zero, abs=0.1)


def test_a_page_of_very_many_is_bounded_and_json_has_them_all() -> None:
    told = dataclasses.replace(night("shop"), sizes=tuple(SizeChange("t", f"o{n}", n, 0) for n in range(5_000)))
    page = pages.digest(told)
    assert len(html(page)) < 120_000
    assert "4,940 more" in read(html(page)).text
    assert "4,940 more" in text(page)
    assert "4,940 more" in markdown(page)
    assert len(document(told)["sizes"]) == 5_000


def test_a_good_night_says_so_first() -> None:
    quiet = NightReport(EARLIER, UNTIL, (), (), (), (), (), (), (), ())
    page = pages.digest(quiet)
    found = read(html(page))
    assert [node.text for node in found.all("p", "good")] == ["Nothing needs a person."]
    assert "Nothing needs a person." in text(page)
    assert found.all("svg") == []


def test_json_has_names_as_they_are() -> None:
    told: dict[str, Any] = json.loads(json.dumps(document(night(HOSTILE))))
    assert told["needs"][0]["text"] == HOSTILE
    assert told["runs"][0]["bytes_reclaimed"] == 6_000_000
    assert set(told) == {
        *("since", "until", "site", "needs", "runs", "sizes", "tools", "left", "backups", "nights", "trends", "totals"),
        *("workflows", "backlog", "day"),
    }


def test_a_gist_fits_into_a_chat_and_counts_what_it_leaves_out() -> None:
    told = night("shop")
    many = dataclasses.replace(
        told,
        needs=tuple(Need("failure", f"target{number}", "it failed " * 200, UNTIL, "aishell runs show 1") for number in range(30)),
        runs=tuple(dataclasses.replace(told.runs[0], target=f"target{number}") for number in range(500)),
    )  # fmt: skip
    for shown in (text(pages.gist(many)), markdown(pages.gist(many))):
        assert len(shown) < 4000
        assert "… and 22 more." in shown
        assert "500 run(s) on 500 target(s), not listed here: 500 failed." in shown
    quiet = text(pages.gist(dataclasses.replace(told, needs=(), runs=(), tools=())))
    assert "Nothing needs a person." in quiet
    assert len(quiet.splitlines()) < 20


@pytest.mark.parametrize("hostile", [*PAGE_PIECES, HOSTILE])
def test_no_text_changes_what_a_gist_is_made_of(hostile: str) -> None:
    page = pages.gist(night(hostile))
    assert read(html(page)).shape == read(html(pages.gist(night("plain")))).shape
    for shown in (text(page), markdown(page)):
        assert raw(shown) == []


def test_the_reader_sees_what_is_wrong() -> None:
    page = html(both("shop")[0])
    for broken in (
        page.replace("</dl>", "", 1),
        page.replace("<dl>", "<dl><script></script>", 1),
        page.replace("<dl>", '<dl onclick="x">', 1),
        page.replace("<main>", "<main><!-- x -->", 1),
        page.replace("<main>", "<main>é", 1),
    ):
        assert broken != page
        with pytest.raises((AssertionError, SyntaxError)):
            read(broken)
    assert isinstance(read(page), Node)
