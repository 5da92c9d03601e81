"""The rows of a file of orders, as batches of commands.

Every line is looked at by itself: a row that is no order costs that row and never the ones after it. The place in the
file is a line number and a digest of everything up to it, so that a later run goes on only in the same file, though
more lines may have been appended to it.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Self

from .model import Bookmark, PlaceOrder
from .problems import MalformedLineError, SourceError

__all__ = ["Batch", "Malformed", "OrderFile", "Reading"]

COLUMNS = ("customer_id", "date", "quantity", "amount")
HEADER = ",".join(COLUMNS).encode()

# What is longer is no line of orders but some other kind of file, and must not fill the memory.
LONGEST_LINE = 4096

# The digits are bounded so that no sum of amounts can leave the 64 bits of an SQLite integer.
_NUMBER = rb"-?[0-9]{1,9}"
_ROW = re.compile(rb"(%b),([0-9]{4}-[0-9]{2}-[0-9]{2}),(%b),(-?[0-9]{1,9})(?:\.([0-9]{1,2}))?" % (_NUMBER, _NUMBER))


@dataclass(frozen=True, slots=True)
class Malformed:
    """A line that is no order, and why."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Batch:
    """Some lines that belong together: what they ask for, what they failed to say, and the place after them."""

    commands: tuple[PlaceOrder, ...]
    malformed: tuple[Malformed, ...]
    bookmark: Bookmark


class OrderFile:
    """A CSV file of orders, plain or compressed with gzip, whatever its name.

    Args:
        path: the file; a pipe will do.

    Raises:
        SourceError: by every method, when the file cannot be read or is no file of orders.

    Example:
        >>> file = OrderFile(Path("orders.csv"))
        >>> file
        <OrderFile orders.csv>
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def __repr__(self) -> str:
        return f"<OrderFile {self.path.name}>"

    def count_lines(self) -> int | None:
        """How many lines there are after the header; None for a pipe. It reads the whole file once.

        A damaged archive is noticed here, before anything has been done.
        """
        try:
            if not self.path.is_file() and self.path.exists():
                return None
            with self._file() as file:
                newlines, last = 0, b"\n"
                while block := file.read(1 << 18):
                    newlines += block.count(b"\n")
                    last = block[-1:]
        except (OSError, EOFError, zlib.error) as error:
            raise _problem(self.path, error) from error
        return max(0, newlines + (last != b"\n") - 1)

    def open(
        self, *, after: Bookmark | None = None, remedy: str = "use another folder, or --fresh to begin anew"
    ) -> Reading:
        """Open the file for one pass, which begins after the header.

        Args:
            after: begin where an earlier run stopped instead.
            remedy: what to do if that was in another file, for the message.

        Raises:
            SourceError: also when the bookmark is from another file.
        """
        try:
            reading = Reading(self._file(), self.path)
        except (OSError, EOFError, zlib.error) as error:
            raise _problem(self.path, error) from error
        try:
            reading.check_header()
            if after is not None:
                reading.skip_to(after, remedy)
        except BaseException:
            reading.close()
            raise
        return reading

    def _file(self) -> io.BufferedReader:
        raw = self.path.open("rb")
        # The name may lie, the first two bytes of an archive do not.
        if raw.peek(2)[:2] == b"\x1f\x8b":
            return io.BufferedReader(_Gunzip(raw), 1 << 16)
        return raw


def _problem(path: Path, error: Exception) -> SourceError:
    match error:
        case FileNotFoundError():
            return SourceError(f"{path} does not exist")
        case IsADirectoryError():
            return SourceError(f"{path} is a folder, not a file of orders")
        case gzip.BadGzipFile() | EOFError() | zlib.error():
            return SourceError(f"{path} is a damaged archive: {error}")
        case OSError():
            return SourceError(f"{path} cannot be read: {error.strerror or error}")
        case _:
            return SourceError(f"{path} cannot be read: {error}")


class _Gunzip(gzip.GzipFile):
    """An archive that closes the file which it reads."""

    def __init__(self, raw: io.BufferedReader) -> None:
        super().__init__(fileobj=raw, mode="rb")
        self._raw = raw

    def close(self) -> None:
        super().close()
        self._raw.close()


class Reading:
    """One pass through a file of orders; made by ``OrderFile.open``, closed by whoever opened it."""

    def __init__(self, file: io.BufferedReader, path: Path) -> None:
        self._file = file
        self._path = path
        self._name = path.name
        self._digest = hashlib.sha256()
        self._line = 0
        self._malformed = 0

    def _next(self) -> bytes | None:
        """The next line without its end, at most LONGEST_LINE + 1 bytes of it; None at the end of the file."""
        try:
            text = self._file.readline(LONGEST_LINE + 1)
        except (OSError, EOFError, zlib.error) as error:
            raise _problem(self._path, error) from error
        if not text:
            return None
        self._line += 1
        if len(text) > LONGEST_LINE and not text.endswith(b"\n"):
            self._digest.update(text)
            start = text
            while rest := self._file.readline(1 << 16):
                self._digest.update(rest)
                if rest.endswith(b"\n"):
                    break
            return start
        text = text.rstrip(b"\r\n")
        # Whether the last line ends in a newline must not matter: lines may be appended later.
        self._digest.update(text)
        self._digest.update(b"\n")
        return text

    def check_header(self) -> None:
        """Read the first line.

        Raises:
            SourceError: it is not the one of a file of orders.
        """
        text = self._next()
        wanted = HEADER.decode()
        if text is None:
            raise SourceError(f"{self._name} is empty: its first line must be {wanted}")
        if text.removeprefix(b"\xef\xbb\xbf") != HEADER:
            raise SourceError(f"{self._name} is no file of orders: its first line must be {wanted}, not {_show(text)}")

    def skip_to(self, bookmark: Bookmark, remedy: str) -> None:
        """Read on to a bookmark, and make sure that it was put into this file.

        Raises:
            SourceError: it was not.
        """
        while self._line < bookmark.line:
            if self._next() is None:
                raise SourceError(
                    f"the stores hold the orders of {bookmark.line} lines, but {self._name} has only {self._line}: "
                    f"{remedy}"
                )
        if self._digest.hexdigest() != bookmark.digest:
            raise SourceError(
                f"the stores hold the orders of another file: the first {bookmark.line} lines of {self._name} are not "
                f"those that were read: {remedy}"
            )
        self._malformed = bookmark.malformed

    def batches(self, size: int, *, strict: bool = False) -> Iterator[Batch]:
        """The rest of the file.

        Args:
            size: how many lines a batch holds; the last one may hold fewer.
            strict: stop at the first malformed line.

        Raises:
            SourceError: the file cannot be read any further.
            MalformedLineError: ``strict``, after the batch of what stands before that line.
        """
        commands: list[PlaceOrder] = []
        malformed: list[Malformed] = []
        place = self._place()
        while (text := self._next()) is not None:
            order = _order(text, self._line)
            if type(order) is PlaceOrder:
                commands.append(order)
            elif isinstance(order, Malformed):
                if strict:
                    if commands:
                        yield Batch(tuple(commands), (), place)
                    raise MalformedLineError(f"{self._name}:{order.line}: {order.reason}")
                malformed.append(order)
                self._malformed += 1
            if strict:
                # A strict run may have to stop right before any line; its place costs a digest per line.
                place = self._place()
            if len(commands) + len(malformed) >= size:
                place = self._place()
                yield Batch(tuple(commands), tuple(malformed), place)
                commands, malformed = [], []
        if commands or malformed:
            yield Batch(tuple(commands), tuple(malformed), self._place())

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _place(self) -> Bookmark:
        return Bookmark(self._line, self._digest.hexdigest(), self._malformed)


def _order(text: bytes, line: int) -> PlaceOrder | Malformed | None:
    """What a line says; None if it is blank."""
    row = _ROW.fullmatch(text)
    if row is not None:
        customer_id, day, quantity, whole, cents = row.groups()
        placed_on = _day(day)
        if placed_on is not None:
            return PlaceOrder(line, int(customer_id), placed_on, int(quantity), _cents(whole, cents))
    return _look_closer(text, line)


@lru_cache(maxsize=4096)
def _day(text: bytes) -> date | None:
    try:
        return date.fromisoformat(text.decode())
    except ValueError:
        return None


def _cents(whole: bytes, cents: bytes | None) -> int:
    # The sign belongs to all of it, and "-0.50" has it on a zero: so the digits are put side by side, not added.
    return int(whole + (b"00" if cents is None else cents.ljust(2, b"0")))


def _look_closer(text: bytes, line: int) -> PlaceOrder | Malformed | None:
    """A line that is not in the usual form: quoted, or with spaces around its fields, or wrong; then say what is."""
    if not text.strip():
        return None
    if len(text) > LONGEST_LINE:
        return Malformed(line, f"longer than {LONGEST_LINE} bytes")
    try:
        fields = next(csv.reader([text.decode()], strict=True))
    except UnicodeDecodeError:
        return Malformed(line, f"not UTF-8 text: {_show(text)}")
    except csv.Error as error:
        return Malformed(line, f"not CSV: {error}")
    if len(fields) != len(COLUMNS):
        return Malformed(line, f"{len(fields)} fields instead of {len(COLUMNS)}: {_show(text)}")
    plain = [field.strip().encode() for field in fields]
    for column, pattern, field in zip(COLUMNS, _FIELDS, plain, strict=True):
        if not pattern[0].fullmatch(field):
            return Malformed(line, f"{column} must be {pattern[1]}, not {_show(field)}")
    row = _ROW.fullmatch(b",".join(plain))
    assert row is not None
    placed_on = _day(row[2])
    if placed_on is None:
        return Malformed(line, f"date must be a day of the calendar, not {_show(plain[1])}")
    return PlaceOrder(line, int(row[1]), placed_on, int(row[3]), _cents(row[4], row[5]))


_FIELDS = (
    (re.compile(_NUMBER), "a whole number of at most 9 digits"),
    (re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}"), "a day as YYYY-MM-DD"),
    (re.compile(_NUMBER), "a whole number of at most 9 digits"),
    (re.compile(rb"-?[0-9]{1,9}(\.[0-9]{1,2})?"), "dollars with at most two decimals"),
)


def _show(text: bytes) -> str:
    """A piece of a line that is safe to print: short, on one line, without control characters."""
    shown = text[:40].decode("utf-8", "replace")
    return ascii(shown) + ("…" if len(text) > 40 else "")
