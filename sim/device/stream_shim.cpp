// A simulated accelerator behind its byte streams, with a C interface.
//
// Verilator writes a double underscore in a port's name as ___05F.

#include <verilated.h>

#include <cstdint>
#include <memory>

#include "Vcore.h"

namespace {

class Device {
public:
    Device() {
        context.randReset(0);
        context.fatalOnError(false);  // a failed assertion must not end the process
        top = std::make_unique<Vcore>(&context, "core");
        reset();
    }

    ~Device() { top->final(); }

    void reset() {
        top->rx___05Fvalid = 0;
        top->tx___05Fready = 1;
        top->rst = 1;
        for (int i = 0; i < 4; i++) step();
        top->rst = 0;
        step();
    }

    // Runs for at most `cycles`, a byte of `in` every `spacing` cycles at most, until all of it is
    // taken and a byte has come or the cycles are over. Gives the bytes in `out`, the number of
    // those taken in `taken`, and returns the cycles.
    uint64_t run(const uint8_t *in, uint64_t count, uint32_t spacing, uint64_t cycles,
                 uint8_t *out, uint64_t room, uint64_t *taken, uint64_t *given) {
        uint64_t cycle = 0;
        *taken = *given = 0;
        while (cycle < cycles && *given < room && !context.gotError()) {
            if (*taken == count && *given) break;
            if (wait) wait--;
            const bool offer = *taken < count && !wait;
            top->rx___05Fvalid = offer;
            if (offer) top->rx___05Fpayload = in[*taken];
            top->clk = 0;
            top->eval();
            const bool accepted = offer && top->rx___05Fready;
            if (top->tx___05Fvalid) out[(*given)++] = top->tx___05Fpayload;
            top->clk = 1;
            top->eval();
            cycle++;
            if (accepted) {
                (*taken)++;
                wait = spacing;
            }
        }
        return cycle;
    }

    bool failed() const { return context.gotError(); }

private:
    void step() {
        top->clk = 0;
        top->eval();
        top->clk = 1;
        top->eval();
    }

    VerilatedContext context;
    std::unique_ptr<Vcore> top;
    uint32_t wait = 0;
};

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT void *kaniwa_stream_open() { return new Device(); }

EXPORT void kaniwa_stream_close(void *device) { delete static_cast<Device *>(device); }

EXPORT void kaniwa_stream_reset(void *device) { static_cast<Device *>(device)->reset(); }

EXPORT bool kaniwa_stream_failed(void *device) { return static_cast<Device *>(device)->failed(); }

EXPORT uint64_t kaniwa_stream_run(void *device, const uint8_t *in, uint64_t count,
                                  uint32_t spacing, uint64_t cycles, uint8_t *out, uint64_t room,
                                  uint64_t *taken, uint64_t *given) {
    return static_cast<Device *>(device)->run(in, count, spacing, cycles, out, room, taken, given);
}
