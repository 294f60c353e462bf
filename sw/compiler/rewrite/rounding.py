"""Report of a layer's requantization for ``compile --json``: rule, hardware form, proof, width."""

from __future__ import annotations

from typing import Any

from kaniwa.compiler.array.moves import REPEATS
from kaniwa.compiler.plan.layers import ArrayLayer
from kaniwa.compiler.plan.rescale import Rescale
from kaniwa.compiler.rewrite.rewriter import BROADCAST
from kaniwa.graph import Graph

__all__ = ["rounding_of"]


def rounding_of(model: Graph, layer: ArrayLayer) -> list[dict[str, Any]]:
    """One row for each operator of ``model`` in ``layer`` that rounds, in order.

    ``rule`` is the framework's, ``form`` the hardware's (docs/isa.md), ``proof`` what the two were
    compared at: every one at which the result can change. ``multiplier_bits`` is the widest
    multiplier of ``channels``, of which ``adjusted_channels`` have another than the one next to the
    rule's own number.
    """
    rules = [model.ops[position].rule for position in layer.positions]
    rows = []
    exact = layer.rescale.act_min > layer.rescale.act_max or layer.op.startswith(
        (BROADCAST, *REPEATS, "GATHER"))      # some of these are products with ones
    if not layer.identity and not exact:
        rows.append(_row(rules[0], layer.rescale,
                         f"{layer.rescale.thresholds} thresholds of all channels"))
    if layer.table is not None:
        rows += [{"rule": rule, "form": "TABLE", "proof": "all 256 values"}
                 for rule in rules[0 if layer.identity else 1:]]
    if layer.add is not None:
        rows.append(_row(rules[-1], layer.add.rescale, "all 65536 pairs of operands"))
    return rows


def _row(rule: str, rescale: Rescale, proof: str) -> dict[str, Any]:
    return {"rule": rule, "form": rescale.rounding.name, "proof": proof,
            "multiplier_bits": max(int(m).bit_length() for m in rescale.multiplier),
            "channels": len(rescale.multiplier), "adjusted_channels": rescale.adjusted}
