// The streams of a simulated accelerator with ports for sensors, beside its Wishbone slave.

#include <random>

#include "bus_shim.cpp"

constexpr uint16_t LAST = 0x100;  // in a byte of a stream: tlast

// Runs until all of `in` is taken and `wanted` bytes have come, for at most `cycles`. A sample is
// offered, and a result's byte taken, with a chance of `pace` in 256 in each cycle; a sample that
// is offered stays. Gives the bytes in `out` and the number of both, and returns the cycles.
EXPORT uint64_t kaniwa_sensor_stream(void *device, const uint16_t *in, uint64_t count,
                                     uint16_t *out, uint64_t wanted, uint64_t cycles,
                                     uint32_t pace, uint32_t seed, uint64_t *taken,
                                     uint64_t *given) {
    Device &accelerator = *static_cast<Device *>(device);
    Vcore &top = accelerator.ports();
    std::mt19937 random(seed);
    bool offers = false;
    uint64_t cycle = 0;
    *taken = *given = 0;
    for (; cycle < cycles && !accelerator.failed(); cycle++) {
        if (*taken == count && *given == wanted) break;
        offers = offers || (*taken < count && random() % 256 < pace);
        const bool takes = *given < wanted && random() % 256 < pace;
        top.sample___05Ftvalid = offers;
        if (offers) {
            top.sample___05Ftdata = in[*taken] & 0xFF;
            top.sample___05Ftlast = (in[*taken] & LAST) != 0;
        }
        top.result___05Ftready = takes;
        top.clk = 0;
        top.eval();
        if (offers && top.sample___05Ftready) {
            (*taken)++;
            offers = false;
        }
        if (takes && top.result___05Ftvalid)
            out[(*given)++] = top.result___05Ftdata | (top.result___05Ftlast ? LAST : 0);
        top.clk = 1;
        top.eval();
    }
    top.sample___05Ftvalid = top.result___05Ftready = 0;
    return cycle;
}
