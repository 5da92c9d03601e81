"""The tasks of a run as a tree of what caused what, each with the time that it took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from rich.console import Console
from rich.text import Text

from cnstra.durable import Attempt, Task

from .showing import MARKS, STYLES, arrow, clip, is_ascii, mark, visible
from .times import as_length

__all__ = ["counts", "task_name", "waterfalls"]

_LONGEST_BAR, _SHORTEST_BAR = 60, 12
_GAP = 2


class _Line(NamedTuple):
    task: Task
    guide: str
    # What caused it, if that is not in sight.
    cause: int | None


def waterfalls(
    tasks: Sequence[Task], attempts: Sequence[Attempt], console: Console, now: float | None
) -> Iterator[tuple[Text, list[Text]]]:
    """A title, and the lines of a table, for each attempt that tasks belong to.

    Args:
        tasks: in the order in which they were caused.
        attempts: at the run.
        console: where it goes.
        now: seconds since the epoch, if the run goes on: the time of its last attempt lasts until then.
    """
    states = {attempt.number: attempt for attempt in attempts}
    last = max(states, default=0)
    groups: dict[int, list[Task]] = {}
    for task in tasks:
        if now is not None and task.status == "pending" and task.attempt != last:
            # It has the number of the attempt that caused it, and maybe the time at which that began it; it is left to
            # the attempt that goes on.
            task = replace(task, attempt=last, started=None)
        groups.setdefault(task.attempt, []).append(task)
    for number, its in sorted(groups.items()):
        title = Text()
        if len(states) > 1:
            title.append(f"attempt {number}", style="bold")
            if number in states:
                title.append(" ").append(states[number].status, style=STYLES[states[number].status])
        yield title, _table(its, now if number == last else None, console)


def counts(tasks: Sequence[Task], console: Console) -> Text:
    """How many there are of each status, with the marks of these."""
    of = Counter[str](task.status for task in tasks)
    parts = [Text(f"{of[one]:,} {one} ").append(mark(one, console)) for one in MARKS if one in of]
    return Text(", ").join(parts)


def task_name(task: Task, console: Console) -> Text:
    """Neuron and collateral."""
    name = Text(visible(task.neuron, console))
    if task.dendrite:
        name.append(f"[{task.dendrite}]")
    return name.append(f" {arrow(console)} {visible(task.collateral, console)}", style="dim")


def _window(tasks: Sequence[Task], lengths: Mapping[int, float | None]) -> tuple[float, float]:
    """From when to when, by the clock of the process that ran them: that of the store may differ from it."""
    # One that was begun and not finished may have been begun in another attempt.
    times = [
        (task.started, length)
        for task in tasks
        if task.started is not None and (length := lengths[task.seq]) is not None
    ]
    if not times:
        return 0.0, 0.0
    return min(started for started, _ in times), max(started + length for started, length in times)


def _table(tasks: Sequence[Task], now: float | None, console: Console) -> list[Text]:
    # Line by line: rich's own tables take a second for a thousand of these.
    lengths = {task.seq: _length(task, now) for task in tasks}
    start, end = _window(tasks, lengths)
    took = {seq: "" if length is None else as_length(length) for seq, length in lengths.items()}
    seq_width = max(len("#"), *(len(str(task.seq)) for task in tasks))
    took_width = max(len("took"), *map(len, took.values()))
    room = console.width - seq_width - took_width - 2 * _GAP
    least = max(_SHORTEST_BAR, room // 3) if end > start and room >= 3 * _SHORTEST_BAR else 0
    names_width = max(room - least - _GAP if least else room, len("neuron"))
    lines = list(_lines(tasks, max(names_width // 3, 2), console))
    names = [clip(_name(line, console), names_width, console) for line in lines]
    # What names do not need, bars may have.
    names_width = max(len("neuron"), *(name.cell_len for name in names))
    bars = min(room - names_width - _GAP, _LONGEST_BAR) if least else 0
    axis = _axis(end - start, bars)
    head = _row("#".rjust(seq_width), Text("neuron"), names_width, axis, bars, "took".rjust(took_width))
    head.style = "bold"
    table = [head, Text(("-" if is_ascii(console) else "─") * head.cell_len)]
    for line, name in zip(lines, names, strict=True):
        task = line.task
        bar = _bar(task, lengths[task.seq], start, end, bars, console) if bars else None
        style = STYLES["pending"] if task.duration is None else ""
        length = Text(took[task.seq].rjust(took_width), style=style)
        table.append(_row(str(task.seq).rjust(seq_width), name, names_width, bar, bars, length))
    for row in table:
        row.no_wrap, row.overflow = True, "crop"
    return table


def _row(seq: str, name: Text, names_width: int, bar: Text | None, bars: int, took: Text | str) -> Text:
    row = Text(seq).append(" " * _GAP).append(name)
    row.stylize("dim", 0, len(seq))
    row.append(" " * (names_width - name.cell_len + _GAP))
    if bar is not None:
        row.append(bar).append(" " * (bars - bar.cell_len + _GAP))
    return row.append(took)


def _length(task: Task, now: float | None) -> float | None:
    """Seconds that it took, or that it has taken until now if it goes on."""
    if task.duration is None and task.status == "pending" and task.started is not None and now is not None:
        return max(now - task.started, 0.0)
    return task.duration


def _name(line: _Line, console: Console) -> Text:
    name = Text().append(line.guide, style="dim").append(mark(line.task.status, console)).append(" ")
    if line.cause is not None:
        name.append(f"#{line.cause} {arrow(console, out=True)} ", style="dim")
    name.append(task_name(line.task, console))
    if line.task.joined:
        name.append(f" joins {', '.join(f'#{seq}' for seq in line.task.joined)}", style="dim")
    return name


def _lines(tasks: Sequence[Task], deepest: int, console: Console) -> Iterator[_Line]:
    """Each task under what caused it; from some depth on it says how deep it is instead of going there."""
    inside, last, below = ("|  ", "`- ", "+- ") if is_ascii(console) else ("│ ", "└╴", "├╴")
    known = {task.seq for task in tasks}
    children: dict[int, list[Task]] = {}
    roots: list[Task] = []
    for task in tasks:
        if task.cause in known:
            children.setdefault(task.cause, []).append(task)
        else:
            roots.append(task)
    # Not by recursion: a chain of causes may be longer than the stack of Python. What is popped first was put last.
    stack = [(task, "", "", 0) for task in reversed(roots)]
    while stack:
        task, before, own, depth = stack.pop()
        guide, under = before + own, before
        if len(guide) > deepest:
            # What lies below is as deep, and must not carry a line of its own through all of a long chain.
            guide = f"{'..' if is_ascii(console) else '⋯'}{depth} "
        else:
            under += inside if own == below else " " * len(own)
        # 0 is the entry of the run, which is no task.
        yield _Line(task, guide, task.cause if depth == 0 and task.cause else None)
        its = children.get(task.seq, [])
        for child in reversed(its):
            stack.append((child, under, last if child is its[-1] else below, depth + 1))


def _axis(length: float, width: int) -> Text | None:
    return Text("0").append(as_length(length).rjust(width - 1)) if width else None


def _bar(task: Task, took: float | None, start: float, end: float, width: int, console: Console) -> Text:
    """A bar on a time axis, exact to half a column."""
    if task.started is None or not start <= task.started <= end:
        return Text()
    scale = 2 * width / (end - start)
    first = min(int((task.started - start) * scale), 2 * width - 1)
    length = min(max(round((took or 0.0) * scale), 1), 2 * width - first)
    whole, left, right = ("=", "=", "=") if is_ascii(console) else ("━", "╸", "╺")
    drawn = ""
    if first % 2:
        drawn, length = right, length - 1
    drawn += whole * (length // 2) + (left if length % 2 else "")
    return Text(" " * (first // 2)).append(drawn, style=STYLES[task.status])
