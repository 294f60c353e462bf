"""The search: what is proposed, measured, kept and refused."""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from kaniwa.boards.board import BOARDS, load_board
from kaniwa.config import PRESETS, load_target
from kaniwa.errors import ConfigError, InputError, ModelError
from kaniwa.explore import search as search_module
from kaniwa.explore.document import document, is_found, pareto, target_toml, verdict
from kaniwa.explore.outcome import Figures, Outcome, best, front, is_better
from kaniwa.explore.points import Point, known_points
from kaniwa.explore.question import Question, elsewhere, make_question
from kaniwa.explore.search import Found, Search, explore
from kaniwa.explore.space import choices, config_of, proposal_of
from kaniwa.explore.trial import (
    Work,
    clock_of,
    fits,
    routed_points,
    run_trial,
    run_trials,
    used_resources,
)
from kaniwa.parallel.workers import OneProcess
from kaniwa.sdram_parts import PARTS

MODEL = "tflm_micro_speech.tflite"


@pytest.fixture(scope="module")
def question(models: Path) -> Question:
    return make_question([models / MODEL], load_board("icebreaker"), "area")


@pytest.fixture(scope="module")
def found(question: Question) -> Found:
    return explore(question, Search(trials=6, seed=3))


def test_a_target_that_the_board_has_not_is_refused_before_the_search(models: Path) -> None:
    with pytest.raises(InputError, match="icebreaker is compared with one of its own, nano"):
        make_question([models / MODEL], load_board("icebreaker"), "area", "base")


def plain(found: Found) -> list[object]:
    return [(one.config, one.figures, one.kind) for one in found.outcomes]


def has_all(later: Found, before: Found) -> bool:
    """Whether ``later`` has all that ``before`` had, and the same of it."""
    return all(row in plain(later) for row in plain(before))


def figures(latency: float, area: float, energy: float) -> Figures:
    return Figures((1,), 1.0, latency, area, energy, {})


def outcome(*costs: float, target: str = "") -> Outcome:
    return Outcome(PRESETS["nano"], figures(*costs), target=target)


def test_front_has_what_no_other_one_beats() -> None:
    rows = [outcome(1, 9, 9), outcome(9, 1, 9), outcome(9, 9, 9), outcome(1, 9, 9),
            outcome(2, 2, 2), Outcome(None, None, "no")]
    assert [one.figures.latency for one in front(rows, "latency")] == [1, 2, 9]
    assert front(rows, "area")[0].figures.area == 1
    assert best(rows, "energy").figures.energy == 2
    assert best([Outcome(None, None, "no")], "energy") is None


@pytest.mark.parametrize(("one", "other", "better"), [
    ((1, 9, 9), (2, 1, 1), True), ((2, 1, 1), (1, 9, 9), False), ((1, 1, 1), (1, 1, 1), False),
    ((1, 1, 2), (1, 2, 2), True), ((1, 1, 3), (1, 2, 2), False)])
def test_better_is_less_of_the_objective_or_as_much_with_less_of_the_rest(
        one: tuple[int, ...], other: tuple[int, ...], better: bool) -> None:
    assert is_better(figures(*one), figures(*other), "latency") is better


@pytest.mark.parametrize("name", BOARDS)
def test_every_target_of_a_board_can_be_proposed(name: str) -> None:
    board = load_board(name)
    for target in board.targets:
        config = board.config(target)
        proposal = proposal_of(board, config)
        assert proposal is not None, target
        assert config_of(board, proposal) == config
        own = choices(board, str(proposal["core"]))
        assert all(proposal[key] in values for key, values in own.items())


def test_a_compact_core_reaches_the_boards_sdram() -> None:
    without = load_board("tang_nano_20k").config("nano_64k")
    board = load_board("tang_nano_20k_sdram")
    config = board.config(board.default_target)
    assert config == dataclasses.replace(without, outside_bits=23, write_bytes=4, name=config.name)
    proposal = proposal_of(board, config)
    assert proposal is not None and config_of(board, proposal) == config
    assert proposal_of(board, without) is None


def test_reads_and_writes_are_bursts_of_the_boards_sdram() -> None:
    board = load_board("colorlight_i5_sdram")     # without a data mask
    proposal = proposal_of(board, board.config("small"))
    assert config_of(board, proposal | {"write_bytes": 4}).write_bytes == 4
    with pytest.raises(ConfigError, match="they must be 4 or 16"):
        config_of(board, proposal | {"read_bytes": 16, "write_bytes": 8})


def test_codebooks_are_a_choice() -> None:
    board = load_board("ulx3s_25f")
    config = dataclasses.replace(PRESETS["small"], codebook_entries=32, name="explored")
    proposal = proposal_of(board, config)
    assert proposal["codebook_entries"] == 32 and config_of(board, proposal) == config
    modelled = dataclasses.replace(config, line_bytes=2048)     # no point has it
    without = dataclasses.replace(modelled, codebook_entries=0)
    assert used_resources(board, modelled)["lut"] > used_resources(board, without)["lut"]


def test_step_lists_are_a_choice() -> None:
    board = load_board("ulx3s_25f")
    config = dataclasses.replace(PRESETS["small"], step_entries=1024, name="explored")
    proposal = proposal_of(board, config)
    assert proposal["step_entries"] == 1024 and config_of(board, proposal) == config
    used, without = (used_resources(board, dataclasses.replace(one, line_bytes=2048))
                     for one in (config, PRESETS["small"]))
    assert used["lut"] > without["lut"] and used["bram"] == without["bram"] + 1


def test_choices_that_do_not_go_together_are_the_configs_own_error() -> None:
    board = load_board("ulx3s_25f")
    proposal = proposal_of(board, PRESETS["small"])
    with pytest.raises(ConfigError, match="requant_lanes"):
        config_of(board, {**proposal, "rate": "8"})
    assert proposal_of(board, dataclasses.replace(PRESETS["small"], counters=False)) is None


def test_a_trial_has_the_cycles_of_the_cycle_model(question: Question, models: Path) -> None:
    import kaniwa

    config = PRESETS["nano"]
    outcome = run_trial(question.work(config))
    program = kaniwa.compile(models / MODEL, target=config)
    assert outcome.figures.cycles == (kaniwa.estimate(program).cycles,)
    assert outcome.figures.latency == pytest.approx(
        outcome.figures.cycles[0] / outcome.figures.clock_mhz / 1e3, abs=1e-6)


def test_what_has_no_room_on_chip_goes_to_the_boards_sdram(models: Path) -> None:
    import kaniwa

    board = load_board("ulx3s_85f_sdram")
    question = make_question([models / "cfu_mbv2_160_035.tflite"], board, "latency")
    config = dataclasses.replace(PRESETS["base"], memory_bytes=160 * 1024)
    figures = run_trial(question.work(config)).figures
    outside = board.outside_at(figures.clock_mhz)
    program = kaniwa.compile(question.models[0], target=config, outside=outside)
    assert figures.cycles == (kaniwa.estimate(program).cycles,)
    alone = run_trial(dataclasses.replace(question.work(config), board="ulx3s_85f"))
    assert alone.kind == "too little memory"


def test_the_clock_is_no_higher_than_the_boards_sdram_does(
        monkeypatch: pytest.MonkeyPatch) -> None:
    board = load_board("ulx3s_25f_sdram")
    part, config = board.sdram.part, board.config("small")
    used = used_resources(board, config)
    assert 60 < clock_of(board, config, used) < PARTS[part].cl3_mhz
    monkeypatch.setitem(PARTS, part, PARTS[part]._replace(cl3_mhz=60))
    assert clock_of(board, config, used) == 60


@pytest.mark.parametrize(("changes", "kind"), [
    ({"out_lanes": 8, "line_bytes": 1024}, "too many dsp"),
    ({"ring_bytes": 16384}, "too many bram"), ({"memory_bytes": 8192}, "too little memory")])
def test_a_trial_that_cannot_be_has_its_reason(question: Question, changes: dict[str, int],
                                               kind: str) -> None:
    config = dataclasses.replace(PRESETS["nano"], **changes)
    outcome = run_trial(question.work(config))
    assert (outcome.figures, outcome.kind) == (None, kind) and outcome.why
    assert (outcome.needed_bytes is not None) == (kind == "too little memory")


def test_no_operator_goes_to_the_host_that_the_target_computes(models: Path) -> None:
    """Else the fewest cycles would be those of a core that leaves the work to the host."""
    board = load_board("ulx3s_85f")
    question = make_question([models / "digits_transformer.tflite"], board, "latency")
    assert question.target == "base_vector"
    outcome = run_trial(question.work(PRESETS["base"]))
    assert outcome.kind == "operators on the host"
    assert "would run on the host" in outcome.why


def test_logic_is_not_filled_beyond_what_was_routed() -> None:
    board = load_board("ulx3s_85f")
    unfit = fits(board, dataclasses.replace(PRESETS["base"], packed_multipliers=True,
                                            vector_unit=True, out_lanes=16, memory_bytes=32768))
    assert unfit.kind == "too many lut" and "nothing was routed" in unfit.why
    assert fits(board, PRESETS["base"]) is None


@pytest.mark.parametrize("point", [one for one in known_points()
                                   if one.clock_of_seed and not one.source],
                         ids=lambda one: f"{one.board}-{one.hash}")
def test_what_was_routed_fits(point: Point) -> None:
    assert fits(load_board(point.board), point.accelerator) is None


def test_what_was_routed_for_a_board_is_proposed_first(models: Path) -> None:
    board = load_board("ulx3s_25f")
    built = {point.hash for point in routed_points(board)}
    question = make_question([models / MODEL], board, "latency")
    found = explore(question, Search(trials=len(built)))
    assert len(built) > 1 and built <= {one.config.hash for one in found.outcomes}


def test_search_keeps_what_came_of_each_config(found: Found, question: Question) -> None:
    assert 1 <= sum(one.figures is not None for one in found.outcomes) <= 6
    assert len({one.config.hash for one in found.outcomes}) == len(found.outcomes)
    assert sum(found.refused.values()) >= sum(one.figures is None for one in found.outcomes)
    rows = pareto(found)
    assert rows and all(one.figures for one in rows)
    assert found.best.figures.area == min(one.figures.area for one in rows)
    assert found.best.figures.area <= found.presets["nano"].figures.area


def test_the_same_seed_finds_the_same_with_any_number_of_processes(
        found: Found, question: Question) -> None:
    assert plain(explore(question, Search(trials=6, seed=3, jobs=2))) == plain(found)
    assert plain(explore(question, Search(trials=6, seed=4))) != plain(found)


def test_workers_of_dask_find_the_same_as_one_process(found: Found, question: Question) -> None:
    assert plain(explore(question, Search(trials=6, seed=3, scheduler="2"))) == plain(found)


def test_all_works_of_a_batch_go_to_the_workers_at_once(question: Question) -> None:
    given: list[Work] = []

    class Listed(OneProcess):
        def map(self, work: Any, items: Iterable[Any], progress: Any = None) -> Iterator[Any]:
            given.extend(items)
            return super().map(work, given, progress)

    works = [question.work(PRESETS["nano"])] * 2
    assert [one.kind for one in run_trials(works, Listed())] == ["", ""]
    assert given == works


def test_an_error_that_no_config_is_to_blame_for_is_raised_with_its_config(
        question: Question) -> None:
    config = PRESETS["nano"]
    gone = dataclasses.replace(question, models=("/no/such.tflite",)).work(config)
    with pytest.raises(ModelError, match=f"^{config.hash}: /no/such.tflite: "):
        list(run_trials([gone], OneProcess()))


def test_a_study_goes_on_where_it_ended(question: Question, tmp_path: Path) -> None:
    file = tmp_path / "a.study"
    first = explore(question, Search(trials=3, study=file))
    second = explore(question, Search(trials=3, study=file))
    assert has_all(second, first) and len(second.outcomes) > len(first.outcomes)
    assert sum(second.refused.values()) >= sum(first.refused.values())


def test_a_study_of_something_else_is_refused(question: Question, tmp_path: Path) -> None:
    file = tmp_path / "a.study"
    explore(question, Search(trials=1, study=file))
    for changes, said in (({"objective": "energy"}, "another objective, area and not energy"),
                          ({"board": load_board("ulx3s_25f")}, "another board, icebreaker and not"),
                          ({"models": (__file__,)}, "another model;")):
        with pytest.raises(InputError, match=said):
            explore(dataclasses.replace(question, **changes), Search(trials=1, study=file))
    file.write_text('{"no": 1}\n')
    with pytest.raises(InputError, match="is no study of kaniwa explore, or damaged"):
        explore(question, Search(trials=1, study=file))
    with pytest.raises(InputError, match="no such folder"):
        explore(question, Search(trials=1, study=tmp_path / "b" / "a.study"))


def test_an_interrupt_keeps_what_there_is(question: Question, tmp_path: Path,
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    """And leaves a study that goes on: nothing is measured twice."""
    def stopped(works: Sequence[Work], mapped: object) -> Iterable[Outcome]:
        yield run_trial(works[0])
        raise KeyboardInterrupt

    file = tmp_path / "a.study"
    with monkeypatch.context() as patch:
        patch.setattr(search_module, "run_trials", stopped)
        first = explore(question, Search(trials=4, study=file))
    assert first.interrupted and pareto(first)
    second = explore(question, Search(trials=2, study=file))
    assert not second.interrupted and has_all(second, first)


def test_targets_are_files_that_give_the_config(found: Found, tmp_path: Path) -> None:
    for one in found.outcomes:
        path = tmp_path / "found.toml"
        path.write_text(target_toml(one.config, ["a note"]))
        assert load_target(path) == one.config
    path.write_text(target_toml(PRESETS["base_recurrent"], []))
    assert load_target(path) == PRESETS["base_recurrent"]


def test_document_is_plain_and_says_which_is_best(found: Found) -> None:
    values = json.loads(json.dumps(document(found, {}, [])))
    assert values["compared_with"] == "nano" and values["better"] is is_found(found)
    assert values["front"][0]["hash"] == values["best"]["hash"]
    assert values["refused"] == dict(found.refused)


def test_the_preset_is_called_best_where_it_is(found: Found) -> None:
    alone = dataclasses.replace(found, outcomes=())
    assert verdict(alone) == "the preset nano is best" and not is_found(alone)
    nothing = dataclasses.replace(found, outcomes=(), presets={
        "nano": Outcome(PRESETS["nano"], None, "too little memory", "needs more")})
    assert verdict(nothing) == "no config was found that runs on icebreaker"


def test_where_a_model_runs_elsewhere_is_told(models: Path) -> None:
    question = make_question([models / "mlperf_ad_fc_ae.tflite"], load_board("icebreaker"), "area")
    assert elsewhere(question) == [
        "colorlight_i5_sdram, small", "ecpix5_85f, base", "ecpix5_85f_ddr3, small_ddr3",
        "ecpix5_85f_ddr3, base", "orangecrab_85f_ddr3, small_ddr3",
        "orangecrab_85f_ddr3, base", "tang_nano_20k_sdram, nano_64k_sdram",
        "ulx3s_25f_sdram, small", "ulx3s_85f, base", "ulx3s_85f_sdram, base"]


def test_a_question_is_checked_before_the_search(models: Path, tmp_path: Path) -> None:
    board = load_board("icebreaker")
    with pytest.raises(InputError, match="^ecpix5_85f_ddr3: explore has no figures of designs with "
                                         "DDR3"):
        make_question([models / "mlperf_ad_fc_ae.tflite"], load_board("ecpix5_85f_ddr3"), "area")
    with pytest.raises(ModelError, match="no such file"):
        make_question([tmp_path / "a.tflite"], board, "area")
    with pytest.raises(InputError, match="give the model"):
        make_question([tmp_path / "a.kaniwa"], board, "area")
    with pytest.raises(InputError, match="give one of latency, area, energy"):
        make_question([models / MODEL], board, "speed")
