"""A search that is kept in a file, by Optuna's journal: it goes on where it ended.

Akiba et al., "Optuna: a next-generation hyperparameter optimization framework", KDD 2019. Its
sampler is a tree-structured Parzen estimator.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kaniwa.errors import InputError
from kaniwa.explore.question import Question
from kaniwa.extras import needed

if TYPE_CHECKING:
    from optuna import Study

__all__ = ["open_study"]

NAME = "kaniwa explore"
IDENTITY = "question"
STARTS = 10        # trials before the sampler has something to go by


@contextmanager
def open_study(question: Question, path: Path | None, seed: int) -> Iterator[Study]:
    """The study of a question, kept in the file ``path``, or nowhere.

    Raises InputError where the file is something else, or the study of another question;
    UnsupportedError without the extra ``explore``.
    """
    with needed("a search", "explore"):
        import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        # What Optuna calls experimental: choices of a proposal that are made together.
        warnings.simplefilter("ignore")
        storage = None
        if path is not None:
            _check_file(path)
            storage = optuna.storages.JournalStorage(
                optuna.storages.journal.JournalFileBackend(str(path)))
        study = optuna.create_study(storage=storage, study_name=NAME, load_if_exists=True)
        _check_question(study, path, question)
        # Each sitting draws anew: what is there already must not be proposed again.
        study.sampler = optuna.samplers.TPESampler(
            seed=seed + len(study.trials), n_startup_trials=STARTS, multivariate=True, group=True,
            constant_liar=True)
        for trial in study.get_trials(states=(optuna.trial.TrialState.RUNNING,)):
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)   # of a killed sitting
        yield study


def _check_file(path: Path) -> None:
    """Raise InputError for a file that is no journal."""
    if not path.parent.is_dir():
        raise InputError(f"{path}: no such folder to keep the study in")
    if not path.exists() or not path.stat().st_size:
        return
    try:
        with path.open() as file:
            for line in file:
                json.loads(line)["op_code"]
    except (OSError, ValueError, KeyError, TypeError):
        raise InputError(f"{path}: is no study of kaniwa explore, or damaged; give another file"
                         ) from None


def _check_question(study: Any, path: Path | None, question: Question) -> None:
    """Note what a new study is of; raise InputError where an old one is of something else."""
    before, now = study.user_attrs.get(IDENTITY), question.identity
    if before is None and not study.trials:
        study.set_user_attr(IDENTITY, now)
    elif before != now:
        other = next((name for name in now if (before or {}).get(name) != now[name]), "question")
        raise InputError(f"{path}: is the study of another {other.removesuffix('s')}"
                         f"{_told(before, now, other)}; give another file for --study")


def _told(before: dict[str, Any] | None, now: dict[str, Any], name: str) -> str:
    if name in ("board", "objective", "target") and before:
        return f", {before[name]} and not {now[name]}"
    return ""
