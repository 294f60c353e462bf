// A simulated board at its pins, with a C interface: its clock, and the line of USB.

#include <verilated.h>

#include <cstdint>
#include <memory>

#include "Vcore.h"

namespace {

constexpr uint32_t POWER_UP_CYCLES = 64;  // until the clocks are stable and the resets over
constexpr uint8_t J = 1;                  // D+ in bit 0, D- in bit 1

class Board {
public:
    Board() {
        context.randReset(0);
        context.fatalOnError(false);  // a failed assertion must not end the process
        top = std::make_unique<Vcore>(&context, "core");
        give(0);  // nothing is at the line until the board feeds D+
        run(POWER_UP_CYCLES);
    }

    ~Board() { top->final(); }

    // A cycle of 48 MHz after the other; the line rests while the board does not drive it.
    void run(uint64_t count) {
        for (; count && !failed(); count--) {
            give(top->pull_up ? J : 0);
            cycle();
        }
    }

    // The host's states of the line, each for so many cycles.
    void send(const uint8_t *states, uint64_t count, uint32_t cycles_of_bit) {
        for (uint64_t i = 0; i < count; i++) {
            give(states[i]);
            for (uint32_t at = 0; at < cycles_of_bit && !failed(); at++) {
                collided = collided || top->drive;
                cycle();
            }
        }
    }

    // The board's states, one a cycle, from where it begins within `wait` cycles; and how many.
    uint64_t take(uint64_t wait, uint8_t *states, uint64_t room) {
        for (; wait && !top->drive && !failed(); wait--) run(1);
        uint64_t count = 0;
        for (; top->drive && count < room && !failed(); count++) {
            states[count] = static_cast<uint8_t>(top->d_p | top->d_n << 1);
            cycle();
        }
        return count;
    }

    bool failed() const { return context.gotError() || collided; }

    uint64_t cycles = 0;

private:
    void give(uint8_t state) {
        top->host_p = state & 1;
        top->host_n = state >> 1;
    }

    void cycle() {
        top->clk = 0;
        top->eval();
        top->clk = 1;
        top->eval();
        cycles++;
    }

    VerilatedContext context;
    std::unique_ptr<Vcore> top;
    bool collided = false;
};

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT void *kaniwa_usb_open() { return new Board(); }

EXPORT void kaniwa_usb_close(void *board) { delete static_cast<Board *>(board); }

EXPORT bool kaniwa_usb_failed(void *board) { return static_cast<Board *>(board)->failed(); }

EXPORT uint64_t kaniwa_usb_cycles(void *board) { return static_cast<Board *>(board)->cycles; }

EXPORT void kaniwa_usb_run(void *board, uint64_t cycles) {
    static_cast<Board *>(board)->run(cycles);
}

EXPORT void kaniwa_usb_send(void *board, const uint8_t *states, uint64_t count, uint32_t cycles) {
    static_cast<Board *>(board)->send(states, count, cycles);
}

EXPORT uint64_t kaniwa_usb_take(void *board, uint64_t wait, uint8_t *states, uint64_t room) {
    return static_cast<Board *>(board)->take(wait, states, room);
}
