"""A Wishbone memory for benches: strict about what a master may do, and slow as it is told."""

from __future__ import annotations

from kaniwa.isa.bus import BusResponse
from kaniwa.sim.benches.bus.master_world import OutsideBytes
from kaniwa.sim.harness.bench import Env, check, cover

__all__ = ["WishboneMemory"]

CLASSIC, INCREMENTING, END_OF_BURST = 0, 2, 7


class WishboneMemory:
    """Answers a master as chapters 3 and 4 of Wishbone B4 say.

    ``kind``: ``registered``, which ends a transfer a cycle after it saw it, and again only when it
    sees the next one; ``burst``, which heeds the tags and ends a beat in each cycle; ``at_once``,
    which ends a transfer in the cycle that brings it. ``stall``: the chance that it waits for a
    cycle; ``silent``: it does. ``both``: an error comes with ``ack`` too, as some systems have it.
    """

    def __init__(self, env: Env, memory: OutsideBytes, kind: str, stall: float,
                 both: bool = False, prefix: str = "bus_") -> None:
        import cocotb

        self.env, self.memory, self.kind, self.stall, self.both = env, memory, kind, stall, both
        self.beat_cycles: list[int] = []
        self.bursts: list[int] = []   # beats of each time that cyc was 1
        self.silent = False
        self._prefix = prefix
        self._size = len(getattr(env.dut, f"{prefix}_dat_r")) // 8
        cocotb.start_soon(self._run())

    def _get(self, name: str) -> int:
        return self.env.get(f"{self._prefix}_{name}")

    def _offer(self, address: int | None) -> None:
        """End the transfer to ``address`` in this cycle, or none."""
        env, memory = self.env, self.memory
        fails = address is not None and memory.code(address) >= BusResponse.SLVERR
        env.set(f"{self._prefix}_ack", address is not None and (not fails or self.both))
        env.set(f"{self._prefix}_err", fails)
        word = env.rng.getrandbits(8 * self._size)   # what counts for nothing is random
        if address is not None and not fails:
            word = int.from_bytes(bytes(memory[address + i] for i in range(self._size)), "little")
        env.set(f"{self._prefix}_dat_r", word)

    async def _run(self) -> None:
        from cocotb.triggers import ReadWrite

        env, rng = self.env, self.env.rng
        kept: tuple[int, ...] | None = None     # a transfer that waits
        due: int | None = None                  # the address that a burst must go to
        beats = 0
        while True:
            if self.kind == "at_once":
                await ReadWrite()
                waits = self.silent or rng.random() < self.stall
                asks = self._get("cyc") and self._get("stb")
                self._offer(self._get("adr") * self._size if asks and not waits else None)
            await env.cycles(1)
            asks = self._get("cyc") and self._get("stb")
            check(self._get("stb") <= self._get("cyc"), True, "stb without cyc")
            if not self._get("cyc"):
                assert kept is None and due is None, "a cycle ended before its transfer"
                if beats:
                    self.bursts.append(beats)
                beats = 0
            ended = asks and (self._get("ack") or self._get("err"))
            now = tuple(self._get(name) for name in ("adr", "we", "sel", "dat_w", "cti"))
            if now[1] == 0:
                now = now[:3] + now[4:]   # data of a read is nothing
            if asks:
                assert kept is None or kept == now, f"a transfer changed from {kept} to {now}"
                kept = None if ended else now
            following = None
            if ended:
                address = self._get("adr") * self._size
                assert due in (None, address), f"a burst went to {address:#x}, not {due}"
                beats += 1
                self._end(address)
                if self._get("cti") == INCREMENTING:
                    following = address + self._size
                due = following
            if self.kind == "at_once":
                continue
            waits = self.silent or rng.random() < self.stall
            address_now = self._get("adr") * self._size
            if waits or not asks:
                self._offer(None)
            elif not ended:
                self._offer(address_now)
            else:
                self._offer(following if self.kind == "burst" else None)

    def _end(self, address: int) -> None:
        self.beat_cycles.append(self.env.cycle)
        cti = self._get("cti")
        assert cti in (CLASSIC, INCREMENTING, END_OF_BURST), cti
        check(self._get("bte"), 0, "bte")
        fails = self.memory.code(address) >= BusResponse.SLVERR
        kind = "write" if self._get("we") else "read"
        cover(f"{kind}_{'err' if fails else 'ack'}")
        if fails and self.both:
            cover("err_and_ack")
        if self._get("we") and not fails:
            data = self._get("dat_w").to_bytes(self._size, "little")
            for index in range(self._size):
                if self._get("sel") >> index & 1:
                    self.memory.bytes[address + index] = data[index]
