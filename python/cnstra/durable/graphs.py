"""What a stored run needs of a graph, whether the graph has it, and under which name."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

from cnstra import CNS, ActivationTask

from .codecs import Codecs
from .errors import EncodingError, GraphChangedError
from .options import path_name
from .port import FRONTIER, Frontier, Row

__all__ = ["Names"]


class Names:
    """The names of one graph, and what they were before.

    Args:
        cns: the graph.
        codecs: of it.
        aliases: what stored runs call a neuron or collateral, and what it is called now.

    Raises:
        TypeError: an alias is no pair of names.
        ValueError: the graph does not have the new name, or still has the old one.
    """

    def __init__(self, cns: CNS, codecs: Codecs, aliases: Mapping[str, str]) -> None:
        network = cns.network
        self._codecs = codecs
        self._network = network
        self._neurons = {neuron.name: neuron for neuron in network.neurons}
        self._collaterals = {one.name: one for one in network.get_collaterals()}
        for old, new in aliases.items():
            if not isinstance(old, str) or not isinstance(new, str):
                raise TypeError("aliases must map the old name to the new one, both str")
            if new not in self._neurons and new not in self._collaterals:
                raise ValueError(f"aliases: the graph has no neuron or collateral {new!r} that {old!r} could be now")
            if old in self._neurons or old in self._collaterals:
                raise ValueError(f"aliases: the graph still has {old!r}, so it cannot be called {new!r} now")
        self.renamed = dict(aliases)
        """New names by old ones."""
        self.original = {new: old for old, new in reversed(list(aliases.items()))}
        """Old names by new ones: ids go on to be made of them."""
        self.fingerprint = self._fingerprint()
        """Of the graph: changes when what is in it does."""

    def _fingerprint(self) -> str:
        lines = [
            f"{dendrite.neuron.name} {dendrite.collateral.name} {dendrite.collateral.payload_type}"
            for dendrite in self._network.get_dendrites()
        ]
        for modality, paths in self._network.get_modalities().items():
            lines += [f"modality {modality.name}", *(f"modality {modality.name} {path_name(path)}" for path in paths)]
        return blake2b("\n".join(sorted(lines)).encode(), digest_size=8).hexdigest()

    def signals(self, run_id: str, data: bytes) -> list[Any]:
        """Encoded signals as signals of this graph.

        Raises:
            GraphChangedError: the graph lacks a collateral of them.
            EncodingError: a payload does not fit its type any more.
        """
        signals: list[Any] = []
        missing: dict[str, None] = {}
        for name, payload in self._codecs.decode_signals(data):
            now = self.renamed.get(name, name)
            if now in self._collaterals:
                signals.append(self._collaterals[now].create_signal(self._codecs.decode_payload(now, payload)))
            else:
                missing[f"collateral {name!r}"] = None
        if missing:
            raise GraphChangedError({run_id: list(missing)})
        return signals

    def tasks(self, run_id: str, entry: bytes, frontier: Frontier, *, again: bool = False) -> dict[int, ActivationTask]:
        """What is left to do in a run, as tasks of this graph, by seq; parts of joins in the tasks that joined them.

        Args:
            run_id: the run.
            entry: what it began with.
            frontier: of it.
            again: what has failed or was aborted is to be done as well.

        Raises:
            GraphChangedError: the graph lacks what they name; all of it is named.
            EncodingError: a payload does not fit its type any more.
        """
        missing: dict[str, None] = {}
        outputs = {**frontier.outputs, 0: entry}
        made: dict[int, ActivationTask] = {}
        decoded: dict[tuple[int | None, int, int], Any] = {}
        for row in frontier.tasks:
            if row.status == "failed" and not again:
                continue
            lacking = self._lacking(row)
            if lacking:
                missing.update(dict.fromkeys(lacking))
                continue
            # Of what several heard, each hears the same object, as in the first attempt.
            key = (row.cause, row.place, row.seq if row.cause is None else 0)
            signal = decoded.get(key)
            if signal is None:
                signal = decoded[key] = self._input(run_id, row, outputs)
            joined = (
                () if row.joined is None else tuple(made[int(seq)] for seq in row.joined.split(",") if int(seq) in made)
            )
            neuron = self._neurons[self.renamed.get(row.neuron, row.neuron)]
            made[row.seq] = ActivationTask(neuron, signal, row.dendrite, row.hop, None, None, joined)
        if missing:
            raise GraphChangedError({run_id: list(missing)})
        wanted = FRONTIER if again else ("pending",)
        return {row.seq: made[row.seq] for row in frontier.tasks if row.status in wanted}

    def _lacking(self, row: Row) -> list[str]:
        neuron = self._neurons.get(self.renamed.get(row.neuron, row.neuron))
        collateral = self._collaterals.get(self.renamed.get(row.collateral, row.collateral))
        lacking: list[str] = []
        if neuron is None:
            lacking.append(f"neuron {row.neuron!r}")
        if collateral is None:
            lacking.append(f"collateral {row.collateral!r}")
        if neuron is not None and collateral is not None:
            count = sum(dendrite.collateral is collateral for dendrite in neuron.dendrites)
            if row.dendrite >= count:
                which = f" number {row.dendrite}" if row.dendrite else ""
                lacking.append(f"dendrite{which} of neuron {row.neuron!r} on {row.collateral!r}")
        return lacking

    def _input(self, run_id: str, row: Row, outputs: Mapping[int, bytes]) -> Any:
        if row.input is not None:
            name, data = row.collateral, row.input
        else:
            if row.cause is None:
                raise EncodingError(f"run {run_id!r}: what activation {row.seq} was enqueued with could not be stored")
            if row.cause not in outputs:
                raise EncodingError(f"run {run_id!r}: what caused activation {row.seq} is not in the store")
            name, data = self._codecs.payload_at(outputs[row.cause], row.place)
        now = self.renamed.get(name, name)
        return self._collaterals[now].create_signal(self._codecs.decode_payload(now, data))
