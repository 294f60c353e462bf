"""Devices as resources of Dask: which workers own one, and that no two own the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from kaniwa.errors import DeviceError

__all__ = ["BOARD", "SIMULATOR", "check_owners", "resource_of"]

BOARD, SIMULATOR = "kaniwa-device", "kaniwa-simulator"
NEEDS_NONE = ("", "golden", "emulator")
ANY_MACHINE = ("tcp:", "udp:")     # devices that are the same one from each machine


def resource_of(device: str) -> str | None:
    """The resource that a worker gives to a task that uses ``device``; None: any worker will do."""
    if device in NEEDS_NONE:
        return None
    return SIMULATOR if device == "sim" or device.startswith("sim:") else BOARD


def check_owners(scheduler: str, workers: Mapping[str, Mapping[str, Any]], device: str,
                 local: bool) -> None:
    """Raise DeviceError where no worker owns what ``device`` needs, or two own the same board.

    ``workers`` are those of ``scheduler`` by their addresses, as Dask tells of them. ``local``:
    they are the command's own, which own no board.
    """
    resource = resource_of(device)
    if resource is None:
        return
    if local and resource == BOARD:
        raise DeviceError(f"{device}: is one board, not one for each local worker: leave out "
                          "--scheduler, or give several boards to --device with commas")
    owned: Counter[str] = Counter()
    for address, worker in workers.items():
        machine = "" if device.startswith(ANY_MACHINE) else urlsplit(address).hostname or ""
        owned[machine] += int(worker["resources"].get(resource, 0))
    if not any(owned.values()):
        raise DeviceError(f"{scheduler}: no worker owns {resource}, which {device} needs; start "
                          f"one with `dask worker {scheduler} --resources {resource}=1`")
    for machine, count in owned.items():
        if resource == BOARD and count > 1:
            raise DeviceError(f"{scheduler}: workers{machine and ' on '}{machine} own {count} of "
                              f"{BOARD}, but {device} is one board: one of them has {BOARD}=1")
