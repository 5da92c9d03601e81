"""Files of orders: every line is looked at by itself, and the place in the file is known."""

from __future__ import annotations

import gzip
import os
import threading
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from cnstra.demo.model import Bookmark, PlaceOrder
from cnstra.demo.problems import MalformedLineError, SourceError
from cnstra.demo.source import LONGEST_LINE, Batch, OrderFile

from .sample import HEADER, some_orders

pytestmark = pytest.mark.once

WriteCsv = Callable[..., Path]


def read(path: Path, size: int = 1000, *, after: Bookmark | None = None, strict: bool = False) -> list[Batch]:
    with OrderFile(path).open(after=after) as reading:
        return list(reading.batches(size, strict=strict))


def commands(batches: list[Batch]) -> list[PlaceOrder]:
    return [command for batch in batches for command in batch.commands]


def reason(line: bytes, tmp_path: Path) -> str:
    """Why a line is malformed."""
    path = tmp_path / "one.csv"
    path.write_bytes(HEADER.encode() + line + b"\n")
    (batch,) = read(path)
    assert batch.commands == ()
    (problem,) = batch.malformed
    assert problem.line == 2
    return problem.reason


def test_a_row_is_a_command_and_its_line_the_number_of_the_order(write_csv: WriteCsv) -> None:
    (batch,) = read(write_csv(HEADER + "4,1997-01-18,2,29.33\n21,1998-06-30,1,0.00\n"))
    assert batch.commands == (
        PlaceOrder(2, 4, date(1997, 1, 18), 2, 2933),
        PlaceOrder(3, 21, date(1998, 6, 30), 1, 0),
    )
    assert batch.malformed == ()
    assert (batch.bookmark.line, batch.bookmark.malformed) == (3, 0)


@pytest.mark.parametrize(
    ("text", "cents"),
    [
        ("11.77", 1177), ("11.7", 1170), ("11", 1100), ("0.07", 7), ("0.7", 70), ("-0.50", -50), ("-3", -300),
        ("999999999.99", 99999999999),
    ],
)  # fmt: skip
def test_amounts_are_exact(text: str, cents: int, write_csv: WriteCsv) -> None:
    (batch,) = read(write_csv(f"{HEADER}1,1997-01-01,1,{text}\n"))
    assert batch.commands[0].amount == cents


def test_quotes_spaces_and_windows_line_ends_are_fine(write_csv: WriteCsv) -> None:
    text = HEADER.replace("\n", "\r\n") + '"1", 1997-01-02 ,"3","4.50"\r\n2,1997-01-02,1,1.00\r\n'
    (batch,) = read(write_csv(text))
    assert batch.malformed == ()
    assert [(c.customer_id, c.quantity, c.amount) for c in batch.commands] == [(1, 3, 450), (2, 1, 100)]


def test_a_byte_order_mark_and_a_missing_last_newline_are_fine(tmp_path: Path) -> None:
    path = tmp_path / "bom.csv"
    path.write_bytes(b"\xef\xbb\xbf" + HEADER.encode() + b"1,1997-01-01,1,1.00")
    assert len(commands(read(path))) == 1
    assert OrderFile(path).count_lines() == 1


def test_blank_lines_are_no_orders_and_no_problem(write_csv: WriteCsv) -> None:
    (batch,) = read(write_csv(HEADER + "\n1,1997-01-01,1,1.00\n   \n2,1997-01-01,1,1.00\n"))
    assert [command.order_id for command in batch.commands] == [3, 5]
    assert batch.malformed == ()


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b"5,1997-01-03,2", "3 fields instead of 4"),
        (b"5,1997-01-03,2,1.00,7", "5 fields instead of 4"),
        (b"x,1997-01-03,2,3", "customer_id must be a whole number"),
        (b",1997-01-03,2,3", "customer_id must be a whole number"),
        (b"1.5,1997-01-03,2,3", "customer_id must be a whole number"),
        (b"12345678901,1997-01-03,2,3", "customer_id must be a whole number of at most 9 digits"),
        ("\N{ARABIC-INDIC DIGIT ONE},1997-01-03,2,3".encode(), "customer_id must be a whole number"),
        (b"1,19970103,2,3", "date must be a day as YYYY-MM-DD"),
        (b"1,01/03/1997,2,3", "date must be a day as YYYY-MM-DD"),
        (b"1,1997-02-30,2,3", "date must be a day of the calendar, not '1997-02-30'"),
        (b"1,0000-01-01,2,3", "date must be a day of the calendar"),
        (b"1,1997-01-03,two,3", "quantity must be a whole number"),
        (b"1,1997-01-03,2,1e5", "amount must be dollars with at most two decimals, not '1e5'"),
        (b"1,1997-01-03,2,1.999", "amount must be dollars"),
        (b"1,1997-01-03,2,NaN", "amount must be dollars"),
        (b"1,1997-01-03,2,$3", "amount must be dollars"),
        (b"1,1997-01-03,2,.", "amount must be dollars"),
        (b'1,1997-01-03,2,"3', "not CSV"),
        (b"1,1997-01-03,\xff,3", "not UTF-8 text"),
        (b"1,1997-01-03,2,3\rx", "not CSV"),
        (b"1,1997-01-03,2,\x1b[31m", r"not '\x1b[31m'"),
        (b"9" * (LONGEST_LINE + 1), f"longer than {LONGEST_LINE} bytes"),
    ],
)
def test_a_malformed_line_is_named_with_what_is_wrong(line: bytes, why: str, tmp_path: Path) -> None:
    assert why in reason(line, tmp_path)


def test_a_malformed_line_costs_no_other(write_csv: WriteCsv) -> None:
    text = HEADER + '1,1997-01-01,1,"1\n' + "9" * 100_000 + "\n2,1997-01-01,1,2.00\nnonsense\n3,1997-01-01,1,3.00\n"
    (batch,) = read(write_csv(text))
    assert [command.order_id for command in batch.commands] == [4, 6]
    assert [problem.line for problem in batch.malformed] == [2, 3, 5]
    assert batch.bookmark.malformed == 3


@pytest.mark.parametrize("size", [1, 7, 100, 1000])
def test_batches_hold_what_they_should(size: int, write_csv: WriteCsv) -> None:
    path = write_csv(some_orders(100))
    batches = read(path, size)
    assert [len(batch.commands) for batch in batches] == [size] * (100 // size) + ([100 % size] if 100 % size else [])
    assert commands(batches) == commands(read(path, 1_000_000))


@pytest.mark.parametrize("stop", range(1, 14))
def test_a_later_run_goes_on_at_the_bookmark(stop: int, write_csv: WriteCsv) -> None:
    lines = some_orders(90).splitlines(keepends=True)
    lines[10:10] = ["nonsense\n", "\n", "more nonsense\n"]
    path = write_csv("".join(lines))
    batches = read(path, 7)
    rest = read(path, 7, after=batches[stop - 1].bookmark)
    assert commands(batches[:stop]) + commands(rest) == commands(batches)
    if rest:
        assert rest[-1].bookmark == batches[-1].bookmark


def test_more_lines_may_be_appended(write_csv: WriteCsv) -> None:
    before = some_orders(10).rstrip("\n")  # Not even the last line was complete.
    end = read(write_csv(before))[-1].bookmark
    (batch,) = read(write_csv(before + "\n7,1998-12-31,1,1.00\n"), after=end)
    assert [command.order_id for command in batch.commands] == [12]


def test_another_file_is_recognised(write_csv: WriteCsv) -> None:
    end = read(write_csv(some_orders(10)))[-1].bookmark
    with pytest.raises(SourceError, match=r"another file: the first 11 lines of other\.csv"):
        read(write_csv(some_orders(10, seed=1), "other.csv"), after=end)
    with pytest.raises(SourceError, match=r"of 11 lines, but short\.csv has only 6"):
        read(write_csv(some_orders(5), "short.csv"), after=end)


def test_the_same_orders_in_an_archive_are_the_same_file(write_csv: WriteCsv, tmp_path: Path) -> None:
    text = some_orders(50)
    plain = read(write_csv(text), 20)
    # The name does not matter, the content does.
    packed = tmp_path / "packed.csv"
    packed.write_bytes(gzip.compress(text.encode()))
    assert read(packed, 20) == plain
    assert commands(read(packed, 20, after=plain[0].bookmark)) == commands(plain[1:])
    assert OrderFile(packed).count_lines() == 50


def test_strict_stops_at_the_line_with_everything_before_it(write_csv: WriteCsv) -> None:
    path = write_csv(HEADER + "1,1997-01-01,1,1.00\n2,1997-01-01,1,2.00\nnonsense\n3,1997-01-01,1,3.00\n")
    found: list[Batch] = []
    with OrderFile(path).open() as reading, pytest.raises(MalformedLineError, match=r"orders\.csv:4: 1 fields"):
        found.extend(reading.batches(1000, strict=True))
    # extend keeps what came before the error.
    assert [command.order_id for command in commands(found)] == [2, 3]
    assert found[-1].bookmark.line == 3
    path.write_text(path.read_text().replace("nonsense", "9,1997-01-01,1,9.00"))
    assert [c.order_id for c in commands(read(path, after=found[-1].bookmark, strict=True))] == [4, 5]


def test_what_is_no_file_of_orders_says_so(tmp_path: Path, write_csv: WriteCsv) -> None:
    with pytest.raises(SourceError, match=r"nowhere\.csv does not exist"):
        OrderFile(tmp_path / "nowhere.csv").open()
    with pytest.raises(SourceError, match="is a folder"):
        OrderFile(tmp_path).open()
    with pytest.raises(SourceError, match=r"empty\.csv is empty: its first line must be customer_id,date,"):
        OrderFile(write_csv("", "empty.csv")).open()
    with pytest.raises(SourceError, match=r"first line must be customer_id,date,quantity,amount, not 'a,b'"):
        OrderFile(write_csv("a,b\n1,2\n", "other.csv")).open()
    binary = tmp_path / "picture.png"
    binary.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 1000)
    with pytest.raises(SourceError, match=r"picture\.png is no file of orders"):
        OrderFile(binary).open()
    endless = tmp_path / "zeros"
    endless.write_bytes(bytes(10_000_000))
    with pytest.raises(SourceError, match="no file of orders"):
        OrderFile(endless).open()


def test_a_header_alone_is_a_file_without_orders(write_csv: WriteCsv) -> None:
    path = write_csv(HEADER)
    assert read(path) == []
    assert OrderFile(path).count_lines() == 0


def test_a_damaged_archive_is_noticed_before_anything_is_done(tmp_path: Path) -> None:
    whole = gzip.compress(some_orders(5000).encode())
    cut, wrong = tmp_path / "cut.gz", tmp_path / "wrong.gz"
    cut.write_bytes(whole[: len(whole) // 2])
    wrong.write_bytes(whole[:2000] + b"\0" * 100 + whole[2100:])
    for path in (cut, wrong):
        with pytest.raises(SourceError, match="is a damaged archive"):
            OrderFile(path).count_lines()
        with pytest.raises(SourceError, match="is a damaged archive"):
            read(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no named pipes here")
def test_a_pipe_will_do(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    text = some_orders(300)
    writer = threading.Thread(target=pipe.write_text, args=(text,))
    writer.start()
    try:
        assert OrderFile(pipe).count_lines() is None
        assert len(commands(read(pipe, 100))) == 300
    finally:
        writer.join()


def test_the_packaged_file_is_what_its_readme_says(real_orders: str) -> None:
    lines = real_orders.splitlines()
    assert len(lines) == 69_660
    assert sum(line.endswith(",0.00") for line in lines) == 80
    assert len(lines) - len(set(lines)) == 255
