"""Devices and sessions: what runs a program, here or behind a link."""

from typing import TYPE_CHECKING

from kaniwa.lazy import exports

if TYPE_CHECKING:
    from kaniwa.driver.devices import open
    from kaniwa.driver.session import Session

__all__ = ["Session", "open"]

if not TYPE_CHECKING:
    __getattr__ = exports("kaniwa.driver", {
        "Session": "kaniwa.driver.session",
        "open": "kaniwa.driver.devices",
    })
