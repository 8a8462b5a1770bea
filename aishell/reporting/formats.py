"""The formats of a report, and how the names of their files end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from aishell.reporting.page import Page

TEXT, MARKDOWN, JSON, HTML = "text", "markdown", "json", "html"
#: Format -> the ends of its files' names.
ENDINGS = {TEXT: (".txt", ".text"), MARKDOWN: (".md", ".markdown"), JSON: (".json",), HTML: (".html", ".htm")}


def written(form: str, page: Page, document: Mapping[str, Any]) -> str:
    """A report in one of the formats, a line end at its end. HTML and JSON are ASCII."""
    from aishell.reporting import html, plain_page

    if form == JSON:
        return json.dumps(document, indent=2) + "\n"
    render = {TEXT: plain_page.text, MARKDOWN: plain_page.markdown, HTML: html.html}
    return render[form](page)


def meant(path: PurePath | None) -> str:
    """The format that the name of a file ends with; text without one."""
    end = path.suffix.lower() if path is not None else ""
    return next((form for form, endings in ENDINGS.items() if end in endings), TEXT)
