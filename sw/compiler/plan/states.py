"""The state of a model that the device takes and makes, and so may keep."""

from __future__ import annotations

from collections.abc import Iterator

from kaniwa.compiler.plan.plan import Plan
from kaniwa.graph import State

__all__ = ["device_states"]


def device_states(plan: Plan) -> Iterator[tuple[State, int, int]]:
    """Each state that the first part takes and the device makes anew, with the stored tensors of it
    and of what follows upon it; none where every tensor is wanted."""
    if plan.options.materialize or not plan.parts:
        return
    made = {i for layer in plan.layers for i in layer.makes}
    for state in plan.model.state:
        now, following = plan.storage.get(state.tensor), plan.storage.get(state.following)
        if now is not None and following in made and state.tensor in plan.parts[0].uploads:
            yield state, now, following
