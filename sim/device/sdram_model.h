// An SDRAM chip with banks and rows, and the controller before it, in cycles of the core.
//
// A state machine of commands: for each request those that the chip still needs are put, one after
// the other, at the earliest clock that all of the chip's rules allow. Written apart from the cycle
// model's sw/cycles/sdram.py; docs/decisions/0034-sdram-parts.md has the rules.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

namespace kaniwa {

class Sdram {
public:
    // Figures in the order of kaniwa.sdram_parts.ChipTiming: clocks of the chip, but for the first.
    struct Figures {
        uint32_t ratio, width, row_bytes, banks, cas, rcd, rp, ras, rc, rfc, rrd, wr, refi, masked;
    };
    static constexpr unsigned BANKS = 4;

    explicit Sdram(const uint32_t *numbers) {
        f = {numbers[0], numbers[1], numbers[2], numbers[3], numbers[4],  numbers[5], numbers[6],
             numbers[7], numbers[8], numbers[9], numbers[10], numbers[11], numbers[12], numbers[13]};
        restart();
    }

    void restart() {
        banks = {};
        bus_until = 0;
        last_command = last_activate = NONE;
        reads_on_bus = false;
        refreshes = 0;
    }

    // The first cycle of the core in which the next request is taken.
    uint64_t next() const { return core_cycle(last_command + 1); }

    // Whether a write may leave bytes out; if not, it is merged with what is read before.
    bool masked() const { return f.masked; }

    // Takes a request in a cycle; gives the cycle in which its word is there.
    uint64_t read(uint64_t cycle, uint32_t address, uint32_t bytes) {
        column(open(cycle, address), bytes);
        return core_cycle(bus_until) + 1;  // a register behind the chip
    }

    // Takes a request in a cycle; gives the first cycle in which the next one is taken. `fetched`
    // bytes are read first, in the same turn.
    uint64_t write(uint64_t cycle, uint32_t address, uint32_t bytes, uint32_t fetched) {
        Bank &bank = open(cycle, address);
        int64_t at = arrived;
        if (fetched) {
            column(bank, fetched);
            at = bus_until + 2;  // a register behind the chip, and one behind the merged word
        }
        if (bus_until > 0) at = std::max(at, bus_until + (reads_on_bus ? 1 : 0));
        last_command = at;
        const int64_t clocks = (bytes + f.width - 1) / f.width;
        bus_until = at + clocks;
        bank.may_close = std::max(bank.may_close, at + clocks - 1 + int64_t(f.wr));
        reads_on_bus = false;
        return next();
    }

private:
    static constexpr int64_t NONE = INT64_MIN / 2;

    struct Bank {
        bool open = false;
        uint32_t row = 0;
        int64_t activated = NONE;  // when it was last
        int64_t may_close = 0;     // by its columns, besides the time that a row is open at least
        int64_t usable = 0;        // from when on it may be activated, by a precharge or refresh
    };

    uint64_t core_cycle(int64_t clock) const { return (clock + f.ratio - 1) / f.ratio; }

    // A column command that reads, in the row that ``open`` has opened.
    void column(Bank &bank, uint32_t bytes) {
        int64_t at = arrived;
        if (bus_until > 0) at = std::max(at, reads_on_bus ? bus_until - int64_t(f.cas) : bus_until);
        last_command = at;
        const int64_t clocks = (bytes + f.width - 1) / f.width;
        bank.may_close = std::max(bank.may_close, at + clocks);
        bus_until = at + f.cas + clocks;
        reads_on_bus = true;
    }

    int64_t closes(const Bank &bank, int64_t from) const {
        return std::max({from, bank.may_close, bank.activated + int64_t(f.ras)});
    }

    // Opens the row of an address; ``arrived`` is then the first clock for its columns.
    Bank &open(uint64_t cycle, uint32_t address) {
        int64_t at = int64_t(cycle + 1) * f.ratio;  // a register before the chip
        at = std::max(at, last_command + 1);
        while (int64_t(refreshes + 1) * f.refi <= at) refresh();
        const uint32_t place = address / f.row_bytes;
        Bank &bank = banks[place % f.banks];
        const uint32_t row = place / f.banks;
        arrived = at;
        if (bank.open && bank.row == row) return bank;
        if (bank.open) bank.usable = closes(bank, at) + f.rp;
        at = std::max({at, bank.usable, bank.activated + int64_t(f.rc),
                       last_activate + int64_t(f.rrd)});
        bank.open = true;
        bank.row = row;
        bank.activated = last_activate = at;
        bank.may_close = 0;
        arrived = at + f.rcd;
        return bank;
    }

    void refresh() {
        refreshes++;
        int64_t at = std::max(int64_t(refreshes) * f.refi, last_command + 1);
        bool any = false;
        int64_t closed = at;
        for (const Bank &bank : banks)
            if (bank.open) {
                any = true;
                closed = std::max(closed, closes(bank, at));
            }
        if (any) at = closed + f.rp;
        for (const Bank &bank : banks)
            at = std::max({at, bank.usable, bank.activated + int64_t(f.rc)});
        for (Bank &bank : banks) {
            bank.open = false;
            bank.usable = at + f.rfc;
        }
    }

    Figures f;
    std::array<Bank, BANKS> banks;
    int64_t arrived = 0;
    int64_t bus_until = 0;  // the clock behind the last word on the bus
    bool reads_on_bus = false;
    int64_t last_command = NONE, last_activate = NONE;
    uint64_t refreshes = 0;
};

}  // namespace kaniwa
