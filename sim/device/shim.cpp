// The simulated core behind a C interface: cycle loop, memory models, registers.
//
// Built with READ_BYTES and WRITE_BYTES of the config, OBSERVED_WORDS for an observed core, and
// KANIWA_TRACE for one that can write waveforms. Verilator writes a double underscore in a port's
// name as ___05F.

#include <verilated.h>

#include <cstdint>
#include <cstring>
#include <memory>

#include "Vcore.h"
#include "memory_model.h"
#ifdef KANIWA_TRACE
#include <verilated_vcd_c.h>
#endif
#ifdef OBSERVED_WORDS
#include "observer.h"
#ifdef KANIWA_TRACE
#define KANIWA_TEXTS
#endif
#endif

#define PORT(side, stream, member) top.side##___05F##stream##___05F##member

namespace {

using kaniwa::Memory;
using kaniwa::Timing;

// Cycles after which csr_read_data shows what csr_address selects, and a command its effect, at most.
constexpr int CSR_LATENCY = 3;
constexpr uint32_t ADDRESS_MASK = 0x7FFFFFFF;  // within a side; bit 31 selects the side

// Ports are little-endian whatever their width, from CData to VlWide.
template <typename Port>
void put(Port &port, const uint8_t *bytes) {
    std::memcpy(&port, bytes, READ_BYTES);
}

template <typename Port>
void write(Memory &memory, const Port &port) {
    constexpr unsigned mask_bytes = (WRITE_BYTES + 7) / 8;
    uint8_t bytes[4 + WRITE_BYTES + mask_bytes];
    static_assert(sizeof(port) >= sizeof(bytes), "the payload holds address, data and mask");
    std::memcpy(bytes, &port, sizeof(bytes));
    uint32_t address;
    std::memcpy(&address, bytes, 4);
    memory.write(address & ADDRESS_MASK, bytes + 4, bytes + 4 + WRITE_BYTES);
}

class Device {
public:
    Device(uint64_t local_bytes, uint64_t outside_bytes, const Timing &local_timing,
           const Timing &outside_timing)
        : local(local_bytes, READ_BYTES, WRITE_BYTES, local_timing),
          outside(outside_bytes, READ_BYTES, WRITE_BYTES, outside_timing) {
        context.randReset(0);
        context.fatalOnError(false);  // a failed assertion must not end the process
#ifdef KANIWA_TRACE
        context.traceEverOn(true);
#endif
        top_pointer = std::make_unique<Vcore>(&context, "core");
        reset();
    }

    ~Device() {
#ifdef KANIWA_TRACE
        if (vcd) vcd->close();
#endif
        top_pointer->final();
    }

    void reset() {
        Vcore &top = *top_pointer;
        top.csr_write = 0;
        top.rst = 1;
        for (int i = 0; i < 4; i++) step();
        local.reset();
        outside.reset();
        top.rst = 0;
        step();
    }

    void csr_write(uint8_t address, uint32_t value) {
        Vcore &top = *top_pointer;
        top.csr_address = address;
        top.csr_write_data = value;
        top.csr_write = 1;
        step();
        top.csr_write = 0;
    }

    uint32_t csr_read(uint8_t address) {
        top_pointer->csr_address = address;
        for (int i = 0; i < CSR_LATENCY; i++) step();
        return top_pointer->csr_read_data;
    }

    // Runs until a bit of `mask` in the register is 0, or for `limit` cycles; returns the cycles.
    uint64_t run(uint8_t address, uint32_t mask, uint64_t limit) {
        Vcore &top = *top_pointer;
        top.csr_address = address;
        uint64_t cycles = 0;
        while (cycles < limit && !context.gotError()) {
            step();
            cycles++;
            if (cycles >= CSR_LATENCY && !(top.csr_read_data & mask)) break;
        }
        return cycles;
    }

    // A run begins in the next cycle.
    void start() { outside.start(); }

    bool failed() const { return context.gotError(); }

    uint8_t *at(uint32_t address, uint64_t count) {
        Memory &memory = address >> 31 ? outside : local;
        const uint64_t offset = address & ADDRESS_MASK;
        return memory.storage.holds(offset, count) ? memory.storage.at(offset) : nullptr;
    }

    bool trace(const char *path) {
#ifdef KANIWA_TRACE
#ifdef KANIWA_TEXTS
        texts.declare(file);
        vcd = std::make_unique<VerilatedVcdC>(&file);
#else
        vcd = std::make_unique<VerilatedVcdC>();
#endif
        top_pointer->trace(vcd.get(), 99);
        vcd->open(path);
        return vcd->isOpen();
#else
        (void)path;
        return false;
#endif
    }

#ifdef OBSERVED_WORDS
    kaniwa::Observer observer;
    bool observing = false;
#endif
#ifdef KANIWA_TEXTS
    kaniwa::Texts texts;
#endif

private:
    void step() {
        Vcore &top = *top_pointer;
        local.begin();
        outside.begin();
        PORT(local_read, request, ready) = local.read_ready;
        PORT(local_write, request, ready) = local.write_ready;
        PORT(local_read, response, valid) = local.response_valid;
        if (local.response_valid) put(PORT(local_read, response, payload), local.response());
        PORT(outside_read, request, ready) = outside.read_ready;
        PORT(outside_write, request, ready) = outside.write_ready;
        PORT(outside_read, response, valid) = outside.response_valid;
        if (outside.response_valid) put(PORT(outside_read, response, payload), outside.response());
        top.clk = 0;
        eval();
#ifdef OBSERVED_WORDS
        static_assert(sizeof(top.observed) == 4 * kaniwa::WORDS, "a word a unit, and two");
        if (observing) observer.see(&top.observed[0]);
#endif
#ifdef KANIWA_TEXTS
        if (vcd) texts.see(&top.observed[0], time - EVAL_TIME, file);
#endif
        if (local.read_ready && PORT(local_read, request, valid))
            local.read(PORT(local_read, request, payload) & ADDRESS_MASK);
        if (local.write_ready && PORT(local_write, request, valid))
            write(local, PORT(local_write, request, payload));
        if (outside.read_ready && PORT(outside_read, request, valid))
            outside.read(PORT(outside_read, request, payload) & ADDRESS_MASK);
        if (outside.write_ready && PORT(outside_write, request, valid))
            write(outside, PORT(outside_write, request, payload));
        local.end();
        outside.end();
        top.clk = 1;
        eval();
    }

    void eval() {
        top_pointer->eval();
#ifdef KANIWA_TRACE
        if (vcd) vcd->dump(time);
        time += EVAL_TIME;
#endif
    }

    VerilatedContext context;
    std::unique_ptr<Vcore> top_pointer;
    Memory local, outside;
#ifdef KANIWA_TRACE
    static constexpr uint64_t EVAL_TIME = 5;  // of two in a cycle
#ifdef KANIWA_TEXTS
    kaniwa::TextVcd file;
#endif
    std::unique_ptr<VerilatedVcdC> vcd;
    uint64_t time = 0;
#endif
};

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

// Null where the memory cannot be had. `outside_chip`: see Sdram::Figures, null for none.
EXPORT void *kaniwa_open(uint64_t local_bytes, uint32_t local_latency, uint64_t outside_bytes,
                         uint32_t outside_bytes_per_cycle, uint32_t outside_latency,
                         const uint32_t *outside_chip, double stalls, uint64_t seed) {
    try {
        const Timing local{0, local_latency, stalls, 2 * seed, nullptr};
        const Timing outside{outside_bytes_per_cycle, outside_latency, stalls, 2 * seed + 1,
                             outside_chip};
        return new Device(local_bytes, outside_bytes, local, outside);
    } catch (const std::bad_alloc &) {
        return nullptr;
    }
}

EXPORT void kaniwa_close(void *device) { delete static_cast<Device *>(device); }

EXPORT void kaniwa_reset(void *device) { static_cast<Device *>(device)->reset(); }

EXPORT void kaniwa_start(void *device) { static_cast<Device *>(device)->start(); }

EXPORT void kaniwa_csr_write(void *device, uint8_t address, uint32_t value) {
    static_cast<Device *>(device)->csr_write(address, value);
}

EXPORT uint32_t kaniwa_csr_read(void *device, uint8_t address) {
    return static_cast<Device *>(device)->csr_read(address);
}

EXPORT uint64_t kaniwa_run(void *device, uint8_t address, uint32_t mask, uint64_t limit) {
    return static_cast<Device *>(device)->run(address, mask, limit);
}

EXPORT bool kaniwa_failed(void *device) { return static_cast<Device *>(device)->failed(); }

EXPORT bool kaniwa_trace(void *device, const char *path) {
    return static_cast<Device *>(device)->trace(path);
}

EXPORT bool kaniwa_write(void *device, uint32_t address, const uint8_t *data, uint64_t count) {
    uint8_t *to = static_cast<Device *>(device)->at(address, count);
    if (to) std::memcpy(to, data, count);
    return to;
}

EXPORT bool kaniwa_read(void *device, uint32_t address, uint8_t *data, uint64_t count) {
    const uint8_t *from = static_cast<Device *>(device)->at(address, count);
    if (from) std::memcpy(data, from, count);
    return from;
}

#ifdef OBSERVED_WORDS
// Begins to observe anew: the next cycle of a run is the first.
EXPORT void kaniwa_observe(void *device) {
    Device *observed = static_cast<Device *>(device);
    observed->observer.begin();
    observed->observing = true;
}

// Ends the spans that last, and observes no more.
EXPORT void kaniwa_observe_end(void *device) {
    Device *observed = static_cast<Device *>(device);
    if (observed->observing) observed->observer.end();
    observed->observing = false;
}

// Gives the number of spans and of levels, and with room for them takes them out.
EXPORT void kaniwa_observed(void *device, kaniwa::Span *spans, kaniwa::Level *levels,
                            uint64_t *counts) {
    kaniwa::Observer &observer = static_cast<Device *>(device)->observer;
    counts[0] = observer.spans.size();
    counts[1] = observer.levels.size();
    if (!spans) return;
    std::memcpy(spans, observer.spans.data(), counts[0] * sizeof(kaniwa::Span));
    std::memcpy(levels, observer.levels.data(), counts[1] * sizeof(kaniwa::Level));
    observer.spans.clear();
    observer.levels.clear();
}
#endif

#ifdef KANIWA_TEXTS
// A table of texts, a line each (Texts::Table), for the waveform.
EXPORT void kaniwa_texts(void *device, uint32_t table, const char *text) {
    if (table < kaniwa::Texts::TABLES)
        static_cast<Device *>(device)->texts.tables[table] = kaniwa::lines(text);
}
#endif
