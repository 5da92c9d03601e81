"""A network as text that others draw: Mermaid, Graphviz, JSON. The same graph always gives the same text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from .network import Network

__all__ = ["dot", "json_text", "mermaid"]


class _Node(NamedTuple):
    key: str
    kind: str  # neuron, entry, join or unheard
    label: str


class _Edge(NamedTuple):
    source: str
    target: str
    label: str
    kind: str  # signal, entry, join (from the join to its neuron) or unheard


def _drawing(network: Network) -> tuple[list[_Node], list[_Edge]]:
    """Nodes and edges as both pictures show them: one edge per dendrite, those of a join through a node of its own."""
    nodes = [_Node(f"n{number}", "neuron", neuron.name) for number, neuron in enumerate(network.neurons)]
    keys = {neuron: node.key for neuron, node in zip(network.neurons, nodes, strict=True)}
    edges: list[_Edge] = []
    joins: dict[int, str] = {}
    for dendrite in network.get_dendrites():
        if dendrite._join is not None and id(dendrite._join) not in joins:
            key = joins[id(dendrite._join)] = f"j{len(joins)}"
            nodes.append(_Node(key, "join", "join"))
            edges.append(_Edge(key, keys[dendrite.neuron], "", "join"))
    for number, channel in enumerate(network.get_collaterals()):
        owner = network.get_parent_neuron(channel)
        subscribers = network.get_subscribers(channel)
        if owner is None:
            nodes.append(_Node(f"c{number}", "entry", channel.name))
        elif not subscribers:
            nodes.append(_Node(f"c{number}", "unheard", channel.name))
            edges.append(_Edge(keys[owner], f"c{number}", "", "unheard"))
        for dendrite in subscribers:
            target = keys[dendrite.neuron] if dendrite._join is None else joins[id(dendrite._join)]
            if owner is None:
                edges.append(_Edge(f"c{number}", target, "", "entry"))
            else:
                edges.append(_Edge(keys[owner], target, channel.name, "signal"))
    return nodes, edges


_MERMAID_SHAPES = {"neuron": ('["', '"]'), "entry": ('(["', '"])'), "join": ('{"', '"}'), "unheard": ('>"', '"]')}


def mermaid(network: Network) -> str:
    nodes, edges = _drawing(network)
    lines = ["flowchart LR"]
    for node in nodes:
        before, after = _MERMAID_SHAPES[node.kind]
        lines.append(f"    {node.key}{before}{_mermaid_text(node.label)}{after}")
    for edge in edges:
        arrow = "-.->" if edge.kind == "unheard" else "-->"
        label = f'|"{_mermaid_text(edge.label)}"|' if edge.label else ""
        lines.append(f"    {edge.source} {arrow}{label} {edge.target}")
    return "\n".join(lines) + "\n"


_DOT_SHAPES = {"neuron": "box", "entry": "oval", "join": "diamond", "unheard": "plaintext"}


def dot(network: Network) -> str:
    nodes, edges = _drawing(network)
    lines = ["digraph cnstra {", "    rankdir=LR;"]
    lines += [f'    {node.key} [shape={_DOT_SHAPES[node.kind]}, label="{_dot_text(node.label)}"];' for node in nodes]
    for edge in edges:
        attributes = ""
        if edge.label:
            attributes = f' [label="{_dot_text(edge.label)}"]'
        elif edge.kind == "unheard":
            attributes = " [style=dashed]"
        lines.append(f"    {edge.source} -> {edge.target}{attributes};")
    lines.append("}")
    return "\n".join(lines) + "\n"


def json_text(network: Network) -> str:
    import json

    places = {dendrite: place for n in network.neurons for place, dendrite in enumerate(n.dendrites)}
    joins: dict[int, int] = {}
    orphans = network.get_orphans()

    def of_dendrite(dendrite: Any) -> dict[str, Any]:
        join = None if dendrite._join is None else joins.setdefault(id(dendrite._join), len(joins))
        return {
            "collateral": dendrite.collateral.name,
            "handler": _name_of(dendrite.handler),
            "arity": dendrite.arity,
            "join": join,
        }

    graph = {
        "neurons": [
            {
                "name": neuron.name,
                "emits": [channel.name for channel in neuron._emits],
                "dendrites": [of_dendrite(dendrite) for dendrite in neuron.dendrites],
                "concurrency": neuron.concurrency,
                "max_duration": neuron.max_duration,
                "offload": neuron._offload,
            }
            for neuron in network.neurons
        ],
        "collaterals": [
            {
                "name": channel.name,
                "payload_type": None if channel.payload_type is None else _name_of(channel.payload_type),
                "owner": None if (owner := network.get_parent_neuron(channel)) is None else owner.name,
                "subscribers": [
                    {"neuron": dendrite.neuron.name, "dendrite": places[dendrite]}
                    for dendrite in network.get_subscribers(channel)
                ],
            }
            for channel in network.get_collaterals()
        ],
        "entries": [channel.name for channel in orphans.unemitted],
        "unheard": [channel.name for channel in orphans.unheard],
        "components": [[neuron.name for neuron in group] for group in network.strongly_connected_components],
    }
    return json.dumps(graph, indent=2, ensure_ascii=False)


def _name_of(thing: Any) -> str:
    """A name that is the same in every process, which a repr with an address is not."""
    from functools import partial

    while isinstance(thing, partial):
        thing = thing.func
    if isinstance(thing, type) or hasattr(thing, "__qualname__"):
        return str(thing.__qualname__)
    if hasattr(thing, "__origin__") or hasattr(thing, "__args__"):
        return str(thing)  # a union or another type expression
    return type(thing).__qualname__


def _visible(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)


def _mermaid_text(text: str) -> str:
    """Text for a quoted label. Entities stand for everything that could be Markdown, HTML or the end of the label."""
    shown: list[str] = []
    text = _visible(text)
    for place, character in enumerate(text):
        # A leading "1. " or "- " would be taken for a list.
        is_list_mark = character in ".-" and text[place + 1 : place + 2] in ("", " ")
        is_plain = character.isalnum() or character in " _/:.-"
        shown.append(character if is_plain and not is_list_mark else f"#{ord(character)};")
    return "".join(shown)


def _dot_text(text: str) -> str:
    """Text for a quoted string; Graphviz knows backslashes and HTML entities in it."""
    return _visible(text).replace("&", "&amp;").replace("\\", "\\\\").replace('"', '\\"')
