// A simulated board at its pins, with a C interface: its clock, and the host's end of SPI.

#include <verilated.h>

#include <cstdint>
#include <memory>

#include "Vcore.h"

namespace {

constexpr uint32_t POWER_UP_CYCLES = 32;  // until the clock is stable and the reset over
constexpr uint32_t LEAD_CYCLES = 4;       // from chip select to the first edge
constexpr uint32_t APART_CYCLES = 2;      // of chip select between two exchanges

class Board {
public:
    explicit Board(uint32_t sck_cycles) : low(sck_cycles / 2), high(sck_cycles - low) {
        context.randReset(0);
        context.fatalOnError(false);  // a failed assertion must not end the process
        top = std::make_unique<Vcore>(&context, "core");
        top->cs_n = 1;
        top->sck = 0;
        top->copi = 0;
        run(POWER_UP_CYCLES);
    }

    ~Board() { top->final(); }

    // A cycle after the other, with the pins as they are.
    void run(uint64_t count) {
        for (; count && !failed(); count--, cycles++) {
            top->clk = 0;
            top->eval();
            top->clk = 1;
            top->eval();
        }
    }

    // Mode 0, the highest bit first: COPI changes as SCK falls, CIPO is taken as SCK rises.
    void exchange(const uint8_t *out, uint8_t *in, uint64_t count) {
        top->cs_n = 0;
        run(LEAD_CYCLES - low);
        for (uint64_t i = 0; i < count; i++) {
            uint8_t taken = 0;
            for (int bit = 7; bit >= 0; bit--) {
                top->sck = 0;
                top->copi = out[i] >> bit & 1;
                run(low);
                taken = static_cast<uint8_t>(taken << 1 | (top->cipo & 1));
                top->sck = 1;
                run(high);
            }
            in[i] = taken;
        }
        top->sck = 0;
        run(low);
        top->cs_n = 1;
        run(APART_CYCLES);
    }

    bool failed() const { return context.gotError(); }

    uint64_t cycles = 0;

private:
    VerilatedContext context;
    std::unique_ptr<Vcore> top;
    const uint32_t low, high;
};

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

// A board just powered up; a period of SCK has `sck_cycles`, at most 8.
EXPORT void *kaniwa_spi_open(uint32_t sck_cycles) { return new Board(sck_cycles); }

EXPORT void kaniwa_spi_close(void *board) { delete static_cast<Board *>(board); }

EXPORT bool kaniwa_spi_failed(void *board) { return static_cast<Board *>(board)->failed(); }

EXPORT uint64_t kaniwa_spi_cycles(void *board) { return static_cast<Board *>(board)->cycles; }

EXPORT void kaniwa_spi_run(void *board, uint64_t cycles) {
    static_cast<Board *>(board)->run(cycles);
}

EXPORT void kaniwa_spi_exchange(void *board, const uint8_t *out, uint8_t *in, uint64_t count) {
    static_cast<Board *>(board)->exchange(out, in, count);
}
