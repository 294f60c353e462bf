"""Registers of tiles of a SOFTMAX whose divisions are words of the same ones."""

from __future__ import annotations

from dataclasses import dataclass

from kaniwa.units.vector.builder import Builder, Register
from kaniwa.units.vector.isa import Factor, Function
from kaniwa.units.vector.kernels.softmax_forms import Division, SoftmaxForm

__all__ = ["Batch"]


@dataclass(frozen=True)
class Batch:
    """A word a tile: their largest values, totals by part, mantissas, shifts and a spare one.
    Scalars: the least value, a unit of totals, 1, and two others."""

    largest: Register
    totals: list[tuple[Register, ...]]
    mantissas: Register
    shifts: Register
    spare: Register
    least: Register
    unit: Register
    one: Register
    more: Register
    intercept: Register
    scratch: list[Register]

    @classmethod
    def begun(cls, k: Builder, form: SoftmaxForm, parts: int) -> Batch:
        """Registers, with the totals of so many parts of rows; the first three scalars are set."""
        batch = cls(
            largest=k.vector(), mantissas=k.vector(), shifts=k.vector(), spare=k.vector(),
            totals=[tuple(k.vector() for _ in range(form.parts)) for _ in range(parts)],
            scratch=[k.vector() for _ in range(form.scratch)], least=k.scalar(), unit=k.scalar(),
            one=k.scalar(), more=k.scalar(), intercept=k.scalar())
        k.constant(batch.least, -128)
        k.constant(batch.unit, form.unit)
        k.constant(batch.one, 1)
        return batch

    def division(self, k: Builder) -> Division:
        """The division by the first part's totals, with what all divisions have in common set."""
        division = Division(self.totals[0], self.mantissas, self.shifts, self.spare,
                            self.intercept)
        division.begin(k)
        return division

    def shift_to_factor(self, k: Builder) -> None:
        """2^(31 - shift), for a product, in place of each shift."""
        k.compute(Function.ADD, self.shifts, self.one, factor=self.shifts, power=Factor.RIGHT)
