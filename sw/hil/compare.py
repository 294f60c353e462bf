"""Two reports of a board side by side: what is not as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from kaniwa.errors import InputError

__all__ = ["Change", "changes", "load_report"]

Change = tuple[str, str, str]      # what, before, after
SLOWER = 0.1      # share by which a rate of the line may differ: it is measured in seconds


def load_report(path: Path) -> dict[str, Any]:
    """A report that ``kaniwa hil -o`` wrote; InputError for another file."""
    try:
        report = json.loads(path.read_text())
        names = [part["part"] for part in report["parts"]]
    except KeyError as error:
        raise InputError(f"{path}: is no report of kaniwa hil (it has no {error})") from None
    except (OSError, ValueError, TypeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: is no report of kaniwa hil ({reason})") from None
    if "soak" not in names:
        raise InputError(f"{path}: is no report of kaniwa hil (it has no part 'soak')")
    return dict(report)


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    """What differs: the device, results of parts, cycles and answers of models and layers.

    Rates of the line differ where they are more than a tenth apart; other seconds are not compared.
    """
    found = [(key.replace("_", " "), str(before.get(key)), str(after.get(key)))
             for key in ("target", "config_hash", "kaniwa", "clock_mhz")
             if before.get(key) != after.get(key)]
    earlier = {part["part"]: part for part in before["parts"]}
    for part in after["parts"]:
        name, old = part["part"], earlier.get(part["part"], {})
        if old.get("result") != part["result"]:
            found.append((name, str(old.get("result")), part["result"]))
        for row in ("layers", "models"):
            found += _rows(old.get(row, []), part.get(row, []))
        found += _rates(name, old, part)
    return found


def _rows(before: list[dict[str, Any]], after: list[dict[str, Any]]) -> list[Change]:
    old = {row["name"]: row for row in before}
    new = {row["name"]: row for row in after}
    found = [(name, "there" if name in old else "not there", "there" if name in new else
              "not there") for name in sorted(old.keys() ^ new.keys())]
    for name in sorted(old.keys() & new.keys()):
        found += [(f"{name}, {key}", f"{old[name][key]:,}", f"{new[name][key]:,}")
                  for key in ("cycles", "mismatches") if old[name][key] != new[name][key]]
    return found


def _rates(name: str, before: dict[str, Any], after: dict[str, Any]) -> list[Change]:
    return [(f"{name}, {key.replace('_', ' ')}", f"{before[key]:,.0f}", f"{after[key]:,.0f}")
            for key in after if key.endswith("_per_second") and key in before
            and abs(after[key] - before[key]) > SLOWER * before[key]]
