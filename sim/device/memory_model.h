// Models of the memories that the simulated core is connected to.
#pragma once

#include <sys/mman.h>

#include <array>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <new>

#include "sdram_model.h"

namespace kaniwa {

// A small generator of its own: the same seed gives the same stalls with any standard library.
class Random {
public:
    explicit Random(uint64_t seed) : state(seed * 0x9E3779B97F4A7C15ull + 1) {}

    bool chance(uint32_t threshold) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        return static_cast<uint32_t>(state >> 32) < threshold;
    }

private:
    uint64_t state;
};

// Zeroed memory that takes real pages only where it is touched.
class Storage {
public:
    explicit Storage(uint64_t size) : length(size) {
        if (size == 0) return;
        void *pages = mmap(nullptr, size, PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (pages == MAP_FAILED) throw std::bad_alloc();
        bytes = static_cast<uint8_t *>(pages);
    }
    ~Storage() {
        if (bytes) munmap(bytes, length);
    }
    Storage(const Storage &) = delete;
    Storage &operator=(const Storage &) = delete;

    bool holds(uint64_t address, uint64_t count) const {
        return count <= length && address <= length - count;
    }
    uint8_t *at(uint64_t address) { return bytes + address; }
    uint64_t size() const { return length; }

private:
    uint8_t *bytes = nullptr;
    uint64_t length;
};

// How fast a memory is. A request of n bytes takes the data bus, which reads and writes share, for
// ceil(n / bytes_per_cycle) cycles; the response to a read comes `latency` cycles after the last
// but one of them. bytes_per_cycle 0: reads and writes each have a bus as wide as they need.
struct Timing {
    uint32_t bytes_per_cycle = 0;
    uint32_t latency = 1;
    double stalls = 0.0;  // chance that a request or a response waits in a cycle
    uint64_t seed = 0;
    const uint32_t *chip = nullptr;  // an SDRAM chip's figures, in place of the first two
};

// One side of device memory: a read and a write request a cycle, responses in order. A write is
// seen by reads accepted in later cycles. `begin` comes first in each cycle, `end` last.
class Memory {
public:
    Memory(uint64_t size, uint32_t read_bytes, uint32_t write_bytes, const Timing &timing)
        : storage(size), read_bytes(read_bytes), write_bytes(write_bytes), timing(timing),
          threshold(static_cast<uint32_t>(timing.stalls * 4294967295.0)), random(timing.seed) {
        if (timing.chip) chip = std::make_unique<Sdram>(timing.chip);
    }

    Storage storage;
    bool read_ready = false;
    bool write_ready = false;
    bool response_valid = false;

    void begin() {
        const bool free = storage.size() && cycle >= bus_free;
        read_ready = free && !stalled();
        write_ready = free && !stalled();
        response_valid = !responses.empty() && responses.front().due <= cycle && !stalled();
    }

    // Data of this cycle's response, read_bytes of it.
    const uint8_t *response() const { return responses.front().data.data(); }

    void read(uint32_t address) {
        pending.data.fill(0);
        if (storage.holds(address, read_bytes))
            std::memcpy(pending.data.data(), storage.at(address), read_bytes);
        read_address = address;
        read_pending = true;
    }

    void write(uint32_t address, const uint8_t *data, const uint8_t *mask) {
        if (!storage.holds(address, write_bytes)) return;
        uint8_t *to = storage.at(address);
        write_partial = false;
        for (uint32_t i = 0; i < write_bytes; i++)
            if (mask[i / 8] >> (i % 8) & 1)
                to[i] = data[i];
            else
                write_partial = true;
        write_address = address;
        write_pending = true;
    }

    // A run of the core begins: a chip's rows are closed, and its time until refresh begins anew.
    void start() {
        if (!chip) return;
        chip->restart();
        epoch = cycle + RUN_AFTER;
    }

    // Forget the requests, as a memory does that is reset with the core.
    void reset() {
        responses.clear();
        bus_free = cycle;
    }

    void end() {
        if (response_valid) responses.pop_front();
        if (chip) {
            end_with_chip();
            read_pending = write_pending = false;
            cycle++;
            return;
        }
        uint64_t taken = 0;  // cycles of the bus
        if (write_pending) taken += bus_cycles(write_bytes);
        if (read_pending) {
            taken += bus_cycles(read_bytes);
            pending.due = cycle + (taken ? taken - 1 : 0) + timing.latency;
            responses.push_back(pending);
        }
        if (taken) bus_free = cycle + taken;
        read_pending = write_pending = false;
        cycle++;
    }

private:
    // Cycles from before the command to run until the first one of the run, as the cycle model
    // counts them.
    static constexpr uint64_t RUN_AFTER = 5;

    struct Response {
        uint64_t due = 0;
        std::array<uint8_t, 128> data;  // the largest read_bytes
    };

    void end_with_chip() {
        const uint64_t now = cycle - epoch;
        if (write_pending) {
            const uint32_t fetched = write_partial && !chip->masked() ? read_bytes : 0;
            bus_free = epoch + chip->write(now, write_address, write_bytes, fetched);
        }
        if (read_pending) {
            pending.due = epoch + chip->read(now, read_address, read_bytes);
            bus_free = epoch + chip->next();
            responses.push_back(pending);
        }
    }

    bool stalled() { return threshold && random.chance(threshold); }
    uint32_t bus_cycles(uint32_t bytes) const {
        return timing.bytes_per_cycle
                   ? (bytes + timing.bytes_per_cycle - 1) / timing.bytes_per_cycle : 0;
    }

    uint32_t read_bytes, write_bytes;
    Timing timing;
    uint32_t threshold;
    Random random;
    uint64_t cycle = 0;
    uint64_t bus_free = 0;
    std::unique_ptr<Sdram> chip;
    uint64_t epoch = 0;  // the cycle in which the run began
    uint32_t read_address = 0, write_address = 0;
    std::deque<Response> responses;
    Response pending;
    bool read_pending = false;
    bool write_pending = false;
    bool write_partial = false;  // it leaves bytes out
};

}  // namespace kaniwa
