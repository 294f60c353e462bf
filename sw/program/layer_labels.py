"""Short labels of layers: the parts in which their names differ."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

__all__ = ["layer_labels"]

WIDEST = 80


def layer_labels(names: Sequence[str], width: int = WIDEST) -> list[str]:
    """For each name the part in which it differs from the others, in at most ``width`` letters.

    A label has the words of a name that the fewest other names have, as many as make it unlike
    all other labels. What is too long loses the beginning or end that most labels share, then the
    beginning.
    """
    words = [_words(name) for name in names]
    counts = Counter(word for own in words for word in dict.fromkeys(own))
    labels = [_label(own, words, counts) for own in words]
    long = {label for label in labels if len(label) > width}
    for shared in (_shared(long, r"(?=(_\D.*))"), _shared(long, r"(.*_)")):
        if any(len(label) > width for label in labels):
            labels = [_without(label, shared) if label in long else label for label in labels]
    return [label if len(label) <= width else "…" + label[1 - width:] for label in labels]


def _words(name: str) -> tuple[str, ...]:
    """The words of the path that is a layer's own.

    Where converters fuse operators they join the paths by ";". TensorFlow's puts the layer's own
    last; PyTorch's first, and a number or nothing behind all.
    """
    path = name.rsplit(";", 1)[-1]
    if not path.strip("0123456789") and ";" in name:
        path = name.split(";", 1)[0] + (f";{path}" if path else "")
    return tuple(word for word in re.split(r"[/.]", path) if word) or (name,)


def _without(label: str, part: str) -> str:
    """``label`` without ``part``, unless a bare number would be left."""
    rest = label.replace(part, "")
    return rest if re.search("[A-Za-z]", rest) else label


def _shared(labels: Iterable[str], pattern: str) -> str:
    """The part matching ``pattern`` that saves most letters, of those that several labels have."""
    parts = Counter(part for label in labels for part in re.findall(pattern, label))
    return max((part for part, count in parts.items() if count > 1),
               key=lambda part: len(part) * parts[part], default="")


def _label(own: tuple[str, ...], words: Sequence[tuple[str, ...]], counts: Counter[str]) -> str:
    others = [set(other) for other in words if other != own]
    chosen: set[str] = set()
    # Of equally rare words a layer's name is rather in the middle: a network's is first, and an
    # operator's last.
    for word in sorted(dict.fromkeys(own), key=lambda word: (
            counts[word], len(own) > 1 and word == own[0], word == own[-1])):
        left = [other for other in others if word in other]
        if not chosen or len(left) < len(others):
            chosen.add(word)
            others = left
        if not others:
            break
    return "/".join(word for word in dict.fromkeys(own) if word in chosen)
