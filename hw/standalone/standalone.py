"""What makes a board start without a host: reader, loader and classes, beside the link."""

import math

from amaranth import *
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from kaniwa.config import AcceleratorConfig
from kaniwa.hw.link.local import local_requests
from kaniwa.hw.standalone.boot import Boot
from kaniwa.hw.standalone.classes import Classes
from kaniwa.hw.standalone.flash_reader import FlashReader
from kaniwa.hw.standalone.loader import Loader
from kaniwa.standalone.format import FlashState

__all__ = ["REST_US", "FASTEST_SCK_MHZ", "Standalone", "spi_timing"]

# Of a flash before each command: a release from deep power-down takes 3 to 30 us.
REST_US = 50
FASTEST_SCK_MHZ = 25


def spi_timing(mhz: float) -> dict[str, int]:
    """``wait_cycles`` and ``half_cycles`` of a FlashReader in a clock of ``mhz`` MHz."""
    return {"wait_cycles": max(2, math.ceil(mhz * REST_US)),
            "half_cycles": max(1, math.ceil(mhz / (2 * FASTEST_SCK_MHZ)))}


class Standalone(Component):
    """Loads the image at ``address`` of the flash after a reset, and shows the class of each run.

    ``line`` and ``rx``: bytes of the host pass from one to the other; while the image is loaded
    they are dropped. ``local``: to the link. ``busy``: a run goes on. ``state``: a FlashState.
    ``number`` is the class of the last run if ``valid`` is 1. Other keyword arguments go to
    ``FlashReader``, whose pins ``cs``, ``sck``, ``copi`` and ``cipo`` are.

    With ``boot`` a host can have the FPGA start from another slot of its flash once the image is
    loaded or refused: ``sending`` is 1 from a byte of the link until the line could take the
    next one; ``leave`` and ``slot`` are those of ``Boot``.
    """

    def __init__(self, config: AcceleratorConfig, address: int, *, boot: Boot | None = None,
                 **options: int):
        self._config = config
        self._boot = boot
        self._reader = FlashReader(address, **options)
        super().__init__({
            "cs": Out(1), "sck": Out(1), "copi": Out(1), "cipo": In(1),
            "line": In(stream.Signature(8)),
            "rx": Out(stream.Signature(8)),
            "local": Out(local_requests()),
            "busy": In(1),
            "state": Out(3),
            "number": Out(8),
            "valid": Out(1),
            **({"sending": In(1), "leave": Out(1), "slot": Out(2)} if boot else {}),
        })

    def elaborate(self, platform):
        m = Module()
        m.submodules.reader = reader = self._reader
        m.submodules.loader = loader = Loader(self._config)
        m.submodules.classes = classes = Classes()
        connect(m, reader.o, loader.i)
        loading = loader.state == FlashState.LOADING
        local = self.local
        m.d.comb += [
            reader.on.eq(loader.on),
            self.cs.eq(reader.cs), self.sck.eq(reader.sck), self.copi.eq(reader.copi),
            reader.cipo.eq(self.cipo),
            self.rx.payload.eq(self.line.payload),
            self.rx.valid.eq(self.line.valid & ~loading),
            self.line.ready.eq(self.rx.ready | loading),
            # The classes ask once the image is loaded, the loader until then.
            local.request.payload.eq(Mux(loading, loader.o.payload, classes.request.payload)),
            local.request.valid.eq(Mux(loading, loader.o.valid, classes.request.valid)),
            loader.o.ready.eq(local.request.ready),
            classes.request.ready.eq(local.request.ready & ~loading),
            local.more.eq(loader.playing | classes.more),
            local.state.eq(loader.state),
            classes.field.eq(loader.field), classes.field_valid.eq(loader.field_valid),
            classes.enabled.eq(loader.state == FlashState.LOADED),
            classes.busy.eq(self.busy),
            classes.refused.eq(local.refused),
            self.state.eq(loader.state),
            self.number.eq(classes.number), self.valid.eq(classes.valid),
        ]
        connect(m, flipped(self.local.reply), classes.reply)
        if self._boot is not None:
            m.submodules.boot = boot = self._boot
            m.d.comb += [
                # What is played of an image writes no BOOT: hosts are heard behind it.
                boot.enabled.eq(~loading),
                boot.owing.eq(local.owing | self.sending),
                *(getattr(boot, name).eq(getattr(local, name))
                  for name in ("csr_address", "csr_write", "csr_write_data")),
                local.csr_read_data.eq(boot.csr_read_data),
                self.leave.eq(boot.leave), self.slot.eq(boot.slot),
            ]
        return m
