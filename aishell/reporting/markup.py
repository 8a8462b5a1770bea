"""HTML as a tree that is made safe where it is made: no text of it is ever put together with another by hand.

The standard library escapes what it writes out, and every text that comes in is shown exactly, as on a terminal. What is written
is ASCII, so that no encoding can change it.
"""

from __future__ import annotations

from xml.etree.ElementTree import Element, tostring

from aishell.reporting.units import exact, printable, visible


class Shown(str):
    """A text that was made safe to show already."""


def command_text(text: str) -> Shown:
    """A command that is pasted: its blanks stay as they are."""
    return Shown(printable(text))


def lines_text(text: str) -> Shown:
    """Several lines, whose names were made printable when they were written."""
    return Shown(visible(text, lines=True))


def cut(text: str, most: int) -> Shown:
    """A text as it is shown, and no more than so many characters of it."""
    shown = exact(text)
    return Shown(shown if len(shown) <= most else f"{shown[: most - 1]}…")


def element(tag: str, *children: Element | str | None, **attributes: object) -> Element:
    """An element with its children in order. `class_` is `class`, `_` in a name is `-`; what is None is left out."""
    made = Element(tag, {_name(name): _safe(value) for name, value in attributes.items() if value is not None})
    last: Element | None = None
    for child in children:
        if isinstance(child, Element):
            made.append(child)
            last = child
        elif child is not None and last is None:
            made.text = (made.text or "") + _safe(child)
        elif child is not None and last is not None:
            last.tail = (last.tail or "") + _safe(child)
    return made


def stylesheet(css: str) -> Element:
    """Our own style sheet. Raises ValueError for what would be escaped: browsers read it as it is written."""
    if set(css) & set("<>&") or not css.isascii():
        raise ValueError("a style sheet holds no mark-up, and ASCII alone")
    made = Element("style")
    made.text = css
    return made


def written(root: Element) -> str:
    """The whole document.

    As XML writes it, which escapes `<` in attributes too; what is empty in HTML has no end there. No text can hold such an end.
    """
    text = tostring(root, encoding="us-ascii", short_empty_elements=False).decode("ascii")
    return f"<!doctype html>\n{text.replace('></meta>', '>')}\n"


def _safe(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.1f}".removesuffix(".0")
    return str(value) if isinstance(value, Shown) else exact(str(value))


def _name(name: str) -> str:
    """`viewBox` stays as it is."""
    return name.removesuffix("_").replace("_", "-")
