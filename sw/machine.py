"""What this machine offers, by the calls that its system has."""

from __future__ import annotations

import os

__all__ = ["cores"]


def cores() -> int:
    """The processors that this process may use; all of them where the system does not say."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
