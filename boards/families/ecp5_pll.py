"""EHXPLLL of Lattice ECP5: what is the same in each one, and the one for the clocks of USB."""

from __future__ import annotations

from collections.abc import Iterator

from amaranth import *

from kaniwa.errors import ConfigError

__all__ = ["FIXED_INPUTS", "FIXED_PARAMETERS", "Ecp5UsbPll", "own_dividers"]

FIXED_PARAMETERS = dict(
    p_PLLRST_ENA="DISABLED", p_INTFB_WAKE="DISABLED", p_STDBY_ENABLE="DISABLED",
    p_DPHASE_SOURCE="DISABLED", p_OUTDIVIDER_MUXA="DIVA", p_OUTDIVIDER_MUXB="DIVB",
    p_OUTDIVIDER_MUXC="DIVC", p_OUTDIVIDER_MUXD="DIVD")
FIXED_INPUTS = dict(
    i_RST=0, i_STDBY=0, i_PHASESEL0=0, i_PHASESEL1=0, i_PHASEDIR=1, i_PHASESTEP=1,
    i_PHASELOADREG=1, i_PLLWAKESYNC=0, i_ENCLKOP=0)

IO_MHZ = 48
OSCILLATOR_MHZ = range(IO_MHZ * 9, 801, IO_MHZ)      # of 400 to 800
LEAST_PHASE_MHZ = 3.125      # at the phase detector
FEEDBACK_DIVIDERS = range(4, 11)     # between the oscillator and the detector's own divider
HIGHEST_OSCILLATOR_MHZ = 800         # and at least half of it


def own_dividers(input_mhz: float, output_mhz: float, what: str = "") -> tuple[int, int, int]:
    """Dividers of a PLL whose feedback is its own output: of input, feedback, and output.

    ConfigError where there are none; ``what`` tells of the output.
    """
    for divider in range(1, 129):
        feedback = round(output_mhz * divider / input_mhz)
        if (feedback in range(1, 81) and input_mhz / divider >= LEAST_PHASE_MHZ
                and abs(input_mhz * feedback / divider - output_mhz) < 1e-6):
            return divider, feedback, int(HIGHEST_OSCILLATOR_MHZ // output_mhz)
    raise ConfigError(f"the PLL cannot make {output_mhz:g} MHz{what} of {input_mhz:g} MHz: choose "
                      "another clock")


class Ecp5UsbPll:
    """48 MHz and 12 MHz in step with them, whatever clock the accelerator has.

    Of 25 MHz none makes 48 MHz by feedback from that very output. So the feedback comes from
    another one, which nothing else uses: ``oscillator`` MHz are divided by ``own`` and then by
    ``feedback``, the input by ``divider``. ConfigError for an input that no dividers fit.
    """

    def __init__(self, input_hz: float):
        self._input_mhz = input_hz / 1e6
        found = next(self._dividers(), None)
        if found is None:
            raise ConfigError(f"the PLL cannot make 48 MHz of {self._input_mhz:g} MHz: this board "
                              "has no USB")
        self.oscillator, self.divider, self.feedback, self.own = found

    def _dividers(self) -> Iterator[tuple[int, int, int, int]]:
        """The oscillator's frequency and the three dividers of the loop, for each way."""
        for oscillator in OSCILLATOR_MHZ:
            for divider in range(1, int(self._input_mhz / LEAST_PHASE_MHZ) + 1):
                for own in FEEDBACK_DIVIDERS:
                    feedback = oscillator * divider / (self._input_mhz * own)
                    if feedback == int(feedback) and feedback <= 80:
                        yield oscillator, divider, int(feedback), own

    def add(self, m: Module, source: Value, io: Signal, usb: Signal) -> Value:
        """Drive ``io`` with 48 MHz and ``usb`` with 12 MHz; gives 1 once they are stable."""
        locked, own = Signal(), Signal()
        # The same phase, in cycles of the oscillator: all edges of 12 MHz are some of 48 MHz.
        phase = self.own // 2
        m.submodules.usb_pll = Instance(
            "EHXPLLL",
            a_FREQUENCY_PIN_CLKI=f"{self._input_mhz:g}",
            a_FREQUENCY_PIN_CLKOP=f"{self.oscillator / self.own:g}",
            a_FREQUENCY_PIN_CLKOS=str(IO_MHZ), a_FREQUENCY_PIN_CLKOS2=str(IO_MHZ // 4),
            a_ICP_CURRENT="12", a_LPF_RESISTOR="8", **FIXED_PARAMETERS,
            p_CLKI_DIV=self.divider, p_CLKFB_DIV=self.feedback, p_FEEDBK_PATH="CLKOP",
            p_CLKOP_ENABLE="ENABLED", p_CLKOP_DIV=self.own, p_CLKOP_CPHASE=phase,
            p_CLKOP_FPHASE=0,
            p_CLKOS_ENABLE="ENABLED", p_CLKOS_DIV=self.oscillator // IO_MHZ,
            p_CLKOS_CPHASE=phase, p_CLKOS_FPHASE=0,
            p_CLKOS2_ENABLE="ENABLED", p_CLKOS2_DIV=4 * self.oscillator // IO_MHZ,
            p_CLKOS2_CPHASE=phase, p_CLKOS2_FPHASE=0,
            i_CLKI=source, i_CLKFB=own, **FIXED_INPUTS,
            o_CLKOP=own, o_CLKOS=io, o_CLKOS2=usb, o_LOCK=locked)
        return locked
