"""The search finds what there is, measures nothing twice, and goes on from known rows."""

import itertools

import pytest

torch = pytest.importorskip("torch", reason="needs PyTorch: pip install 'kaniwa[compress]'")
pytest.importorskip("optuna", reason="needs Optuna: pip install 'kaniwa[compress]'")
pytest.importorskip("onnxscript", reason="needs onnxscript: pip install 'kaniwa[compress]'")

from kaniwa.compression.pareto import Measured, best, front  # noqa: E402
from kaniwa.compression.pytorch import steps  # noqa: E402
from kaniwa.compression.pytorch.measure import Bench, recipe_of  # noqa: E402
from kaniwa.compression.pytorch.training import Data, Settings  # noqa: E402
from kaniwa.compression.search import search  # noqa: E402
from kaniwa.errors import InputError  # noqa: E402

pytestmark = pytest.mark.long

SPACE = {"one.channels": (0, 0.25, 0.5, 0.75), "two.channels": (0, 0.25, 0.5, 0.75),
         "bits": (8, 4)}


class Cost:
    """Fewer channels: less of all. The first layer's cost more accuracy."""

    def __init__(self):
        self.calls = []

    def __call__(self, choice):
        self.calls.append(choice)
        one, two = choice["one.channels"], choice["two.channels"]
        return Measured(1 - 0.4 * one - 0.1 * two - 0.01 * (choice["bits"] == 4),
                        int(100 * choice["bits"] * (2 - one - two)),
                        int(1000 * (3 - one - 2 * two)), choice)


def test_a_whole_space_is_measured_once_each():
    cost = Cost()
    rows = search(SPACE, cost, 100, least_accuracy=0.9)
    everything = [dict(zip(SPACE, values, strict=True))
                  for values in itertools.product(*SPACE.values())]
    assert len(rows) == len(cost.calls) == 32
    assert all(choice in cost.calls for choice in everything)
    assert best(rows, 0.9) == Cost()({"one.channels": 0, "two.channels": 0.75, "bits": 4})


def test_few_trials_come_near_and_the_seed_decides():
    rows = search(SPACE, Cost(), 16, least_accuracy=0.9, seed=1)
    assert len(rows) == 16
    found = best(rows, 0.9)
    assert found is not None and found.cycles <= 2000
    assert search(SPACE, Cost(), 16, least_accuracy=0.9, seed=1) == rows
    assert search(SPACE, Cost(), 16, least_accuracy=0.9, seed=2) != rows


def test_it_goes_on_from_known_rows():
    rows, cost, told = search(SPACE, Cost(), 10, least_accuracy=0.9), Cost(), []
    more = search(SPACE, cost, 5, least_accuracy=0.9, known=rows, progress=told.append)
    assert more[:10] == rows and len(more) == 15 and len(told) == 5
    assert not [choice for choice in cost.calls if choice in [row.choice for row in rows]]


@pytest.mark.parametrize("change, why", [
    ({"space": {}}, "space: expected one name"),
    ({"space": {"a": ()}}, "space: 'a' has the values"),
    ({"space": {"a": (1, 1)}}, "space: 'a' has the values .*each once"),
    ({"trials": 0}, "trials: expected at least 1, found 0"),
    ({"goal": "energy"}, "goal: expected one of cycles, bytes"),
    ({"least_accuracy": 3}, r"least accuracy: expected 0\.\.1"),
    ({"known": [Measured(1, 1, 1, {"bits": 3})]}, "known: {'bits': 3} is no choice of the space"),
])
def test_wrong_arguments_are_one_line(change, why):
    given = {"space": SPACE, "measure": Cost(), "trials": 3, "least_accuracy": 0.5} | change
    with pytest.raises(InputError, match=why):
        search(**given)


def test_a_choice_is_a_recipe():
    recipe = recipe_of({"last.channels": 0.5, "first.channels": 0, "last.blocks": 0.25,
                        "a.b.weights": 0.5, "hidden.entries": 16, "bits": 4}, Settings(),
                       "small", epochs=3)
    assert recipe.steps == (
        steps.ChannelPruning(("last",), 3, sparsity=0.5, multiple=4),
        steps.BlockPruning(("last",), 0, sparsity=0.25, target="small"),
        steps.MagnitudePruning(("a.b",), 3, sparsity=0.5),
        steps.FoldNormalization(),
        steps.WeightSharing(("hidden",), 3, entries=16),
        steps.Quantized((), 3, bits=4))
    for name in ("last.rows", "channels", ".channels", "bit"):
        with pytest.raises(InputError, match=f"choice '{name}': expected bits, or a layer's name"):
            recipe_of({name: 0.5}, Settings())


def test_compiler_and_cycle_model_are_in_the_loop(module, data):
    bench = Bench(data, Data(data.x[:20], data.labels[:20]), calibrated=20)

    def measure(choice):
        return bench.of_choice(module, choice, Settings(rate=0.01))

    rows = search({"last.channels": (0, 0.3), "bits": (8, 4)}, measure, 4, least_accuracy=0.0,
                  goal="bytes")
    assert len(rows) == 4 and front(rows)
    least = best(rows, 0.0, "bytes")
    assert least is not None and least.choice == {"last.channels": 0.3, "bits": 4}
    sizes = {(row.choice["last.channels"], row.choice["bits"]): row for row in rows}
    assert sizes[0.3, 8].bytes < sizes[0, 8].bytes > sizes[0, 4].bytes
    assert all(row.cycles > 0 and 0 <= row.accuracy <= 1 for row in rows)
    model = bench.model(module, 8)
    assert bench.measure_model(model) == bench.measure(module, 8)
