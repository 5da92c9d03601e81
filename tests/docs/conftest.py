"""What the tests of the documentation share: its pages, and the code blocks of a page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_FENCE = re.compile(r"^(`{3,})[ \t]*([\w+-]*)[ \t]*(.*?)[ \t]*$")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: its language, the rest of its opening line, its text, and the line that the text starts at."""

    language: str
    info: str
    text: str
    line: int


@dataclass(frozen=True, slots=True)
class Page:
    """One Markdown page, by its path in the repository."""

    name: str
    path: Path

    @property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    def blocks(self) -> Iterator[Block]:
        """The fenced blocks, in order."""
        fence: re.Match[str] | None = None
        lines: list[str] = []
        start = 0
        for number, line in enumerate(self.text.splitlines(), 1):
            match = _FENCE.match(line)
            if fence is None:
                if match is not None:
                    fence, lines, start = match, [], number + 1
            elif match is not None and len(match[1]) >= len(fence[1]) and not match[2]:
                yield Block(fence[2], fence[3], "".join(lines), start)
                fence = None
            else:
                lines.append(line + "\n")
        assert fence is None, f"{self.name}: the block before line {start} is never closed"


def pages() -> list[Page]:
    """README.md and everything in docs/."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return [Page(str(path.relative_to(ROOT)), path) for path in found]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "page" in metafunc.fixturenames:
        metafunc.parametrize("page", pages(), ids=lambda page: page.name)


@pytest.fixture(scope="session")
def all_pages() -> list[Page]:
    return pages()
