// The model of DDR3 chips as functions that Verilog calls: those of the cell DDR3_CHIPS.

#include "ddr3_chips.h"

#include <svdpi.h>

#include <cstdio>
#include <cstring>

using kaniwa::Ddr3Chips;

extern "C" {

void *kaniwa_ddr3_open(int lanes, int row_pins, int bank_pins, int read_latency, int write_latency,
                       int cl, int cwl, int khz) {
    return new Ddr3Chips({uint32_t(lanes), uint32_t(row_pins), uint32_t(bank_pins),
                          uint32_t(read_latency), uint32_t(write_latency), uint32_t(cl),
                          uint32_t(cwl), uint32_t(khz)});
}

void kaniwa_ddr3_close(void *chips) { delete static_cast<Ddr3Chips *>(chips); }

// `levels`: reset_n, cke, cs_n, ras_n, cas_n, we_n, write and read enable, two bits each.
// `pulses`: delay_reset, delay_next, slip_reset, slip_next, burst_clear. Bursts are of 64 bytes at
// most. Returns 1 with a burst in `read`, 2 where a rule is broken, else 0.
int kaniwa_ddr3_cycle(void *chips, int levels, int banks, int address_0, int address_1,
                      const svBitVecVal *data, const svBitVecVal *mask, int lane, int pulses,
                      svBitVecVal *read, int *seen) {
    auto &model = *static_cast<Ddr3Chips *>(chips);
    const auto pair = [levels](unsigned at) { return uint32_t(levels) >> 2 * at & 3; };
    Ddr3Chips::Given given{};
    given.reset_n = pair(0), given.cke = pair(1), given.cs_n = pair(2), given.ras_n = pair(3);
    given.cas_n = pair(4), given.we_n = pair(5);
    given.write_enable = pair(6), given.read_enable = pair(7);
    given.bank[0] = banks & 0xff, given.bank[1] = banks >> 8 & 0xff;
    given.address[0] = address_0, given.address[1] = address_1;
    given.data = reinterpret_cast<const uint8_t *>(data);
    std::memcpy(&given.mask, mask, sizeof given.mask);
    given.lane = lane;
    given.delay_reset = pulses & 1, given.delay_next = pulses >> 1 & 1;
    given.slip_reset = pulses >> 2 & 1, given.slip_next = pulses >> 3 & 1;
    given.burst_clear = pulses >> 4 & 1;
    const bool was_whole = model.broken().empty();
    uint32_t strobes = 0;
    const bool there = model.cycle(given, reinterpret_cast<uint8_t *>(read), strobes);
    *seen = int(strobes);
    if (was_whole && !model.broken().empty()) {
        std::fprintf(stderr, "DDR3: %s\n", model.broken().c_str());
        return 2;
    }
    return there;
}
}
