"""Strongly connected components, without recursion: graphs may have a million neurons in one chain (S22)."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["components"]


def components(edges: Sequence[Sequence[int]]) -> list[list[int]]:
    """The strongly connected components of a graph, by Tarjan's algorithm with stacks of its own.

    Args:
        edges: the successors of each node, by number; numbers go from 0 to ``len(edges) - 1``.

    Returns:
        The components in reverse topological order, each one after all that it can reach; nodes ascend within one.
        The same graph always gives the same list. Linear in nodes and edges, in time and in memory.

    Example:
        >>> components([[1], [2], [1], [0]])
        [[1, 2], [0], [3]]
    """
    count = len(edges)
    unseen = count  # greater than any number of a visit
    visit = [unseen] * count  # when the node was first seen
    low = [0] * count  # the earliest open node that it leads back to
    is_open = bytearray(count)  # on ``opened``: its component is not closed yet
    opened: list[int] = []
    path: list[int] = []  # the way to the node at hand
    following: list[int] = []  # and which edge of each node on it comes next
    found: list[list[int]] = []
    clock = 0
    for root in range(count):
        if visit[root] != unseen:
            continue
        path.append(root)
        following.append(0)
        while path:
            node = path[-1]
            if visit[node] == unseen:
                visit[node] = low[node] = clock
                clock += 1
                opened.append(node)
                is_open[node] = 1
            successors = edges[node]
            place = following[-1]
            lowest = low[node]
            while place < len(successors):
                after = successors[place]
                if visit[after] == unseen:
                    break
                if is_open[after] and low[after] < lowest:
                    lowest = low[after]
                place += 1
            low[node] = lowest
            if place < len(successors):
                following[-1] = place  # to look at it again when it is done: its low is known by then
                path.append(successors[place])
                following.append(0)
                continue
            if lowest == visit[node]:
                component: list[int] = []
                while True:
                    member = opened.pop()
                    is_open[member] = 0
                    component.append(member)
                    if member == node:
                        break
                component.sort()
                found.append(component)
            path.pop()
            following.pop()
    return found
