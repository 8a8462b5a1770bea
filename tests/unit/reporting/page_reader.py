"""Reads a page of a report strictly: as XML once its empty elements are closed, and as browsers read HTML; both agree."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from xml.etree import ElementTree

VOID = ("meta",)
TAGS = set(
    """html head meta title style body header main section footer h1 h2 h3 p dl div dt dd ul li span code figure figcaption
    strong small i svg g rect line polyline circle text table caption thead tbody tr th td details summary pre""".split()
)
ATTRIBUTES = set(
    """lang charset http-equiv content name class scope role data-name colspan viewBox width height aria-label x y x1 x2 y1 y2
    cx cy r points text-anchor""".split()
)


@dataclass
class Node:
    """An element: texts and elements in their order."""

    tag: str
    attributes: dict[str, str]
    children: list[Node | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return "".join(child if isinstance(child, str) else child.text for child in self.children)

    def all(self, tag: str, class_: str | None = None) -> list[Node]:
        found = [] if self.tag != tag or (class_ and class_ not in self.attributes.get("class", "").split()) else [self]
        return found + [one for child in self.children if isinstance(child, Node) for one in child.all(tag, class_)]

    @property
    def shape(self) -> tuple:
        """The elements without what they say."""
        return self.tag, *(child.shape for child in self.children if isinstance(child, Node))


def read(page: str) -> Node:
    """The document. Fails where it is not well formed, or two ways to read it differ, or it could do or load something."""
    assert page.startswith("<!doctype html>\n")
    assert page.isascii()
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == [], "an element is left open"
    closed = re.sub(r"<(meta)((?: [^<>]*)?)>", r"<\1\2/>", page.removeprefix("<!doctype html>\n"))
    assert _xml(ElementTree.fromstring(closed)) == reader.root
    assert reader.root is not None
    _harmless(reader.root)
    return reader.root


def _harmless(node: Node) -> None:
    assert node.tag in TAGS, node.tag
    assert set(node.attributes) <= ATTRIBUTES, node
    if node.tag == "style":
        assert "url(" not in node.text
        assert "@import" not in node.text
    for child in node.children:
        if isinstance(child, Node):
            _harmless(child)


def _xml(made: ElementTree.Element) -> Node:
    node = Node(made.tag, dict(made.attrib), [made.text] if made.text else [])
    for child in made:
        node.children += [_xml(child), *([child.tail] if child.tail else [])]
    return node


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root: Node | None = None
        self.open: list[Node] = []

    def handle_starttag(self, tag, attrs):
        names = {"viewbox": "viewBox"}  # which browsers do in SVG
        assert len(dict(attrs)) == len(attrs), f"an attribute twice: {attrs}"
        node = Node(tag, {names.get(name, name): value or "" for name, value in attrs})
        if self.open:
            self.open[-1].children.append(node)
        else:
            assert self.root is None, "two documents"
            self.root = node
        if tag not in VOID:
            self.open.append(node)

    def handle_endtag(self, tag):
        assert self.open.pop().tag == tag

    def handle_data(self, data):
        if not self.open:
            assert data.strip() == ""
            return
        children = self.open[-1].children
        if children and isinstance(children[-1], str):
            children[-1] += data
        else:
            children.append(data)

    def handle_comment(self, data):
        raise AssertionError(f"a comment: {data}")

    def handle_pi(self, data):
        raise AssertionError(f"an instruction: {data}")

    def unknown_decl(self, data):
        raise AssertionError(f"a declaration: {data}")
