"""Every relative link of the documentation leads to a file, and every anchor to a heading."""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from .conftest import Page

_FENCED = re.compile(r"^(`{3,}).*?^\1`*[ \t]*$", re.MULTILINE | re.DOTALL)
_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\[[^\]]*\]\(\s*<?([^)\s>]+)>?[^)]*\)")
_HEADING = re.compile(r"^#{1,6}[ \t]+(.*?)[ \t]*$", re.MULTILINE)


def _links(text: str) -> list[str]:
    return _LINK.findall(_CODE.sub("", _FENCED.sub("", text)))


def _anchors(text: str) -> set[str]:
    """The anchors that code hosts make of headings."""
    anchors: set[str] = set()
    for heading in _HEADING.findall(_FENCED.sub("", text)):
        kept = "".join(c for c in heading.lower() if c in " -_" or unicodedata.category(c)[0] in "LN")
        anchor = base = kept.replace(" ", "-")
        count = 0
        while anchor in anchors:
            count += 1
            anchor = f"{base}-{count}"
        anchors.add(anchor)
    return anchors


def test_links_lead_somewhere(page: Page) -> None:
    broken = []
    for link in _links(page.text):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = unquote(link).partition("#")
        path = (page.path.parent / target).resolve() if target else page.path
        if not path.exists() or (anchor and (path.suffix != ".md" or anchor not in _anchors(path.read_text("utf-8")))):
            broken.append(link)
    assert not broken, f"{page.name}: {broken}"


def test_every_page_can_be_reached(all_pages: list[Page]) -> None:
    by_path = {page.path: page for page in all_pages}
    index = next(page for page in all_pages if page.name == "docs/index.md")
    seen, stack = {index.path}, [index]
    while stack:
        page = stack.pop()
        for link in _links(page.text):
            path = (page.path.parent / unquote(link).partition("#")[0]).resolve()
            if path in by_path and path not in seen:
                seen.add(path)
                stack.append(by_path[path])
    lost = {page.name for page in all_pages if page.name.startswith("docs/") and page.path not in seen}
    assert not lost, f"no link leads from docs/index.md to {sorted(lost)}"
