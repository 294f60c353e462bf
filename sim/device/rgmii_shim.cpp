// A simulated board at the pins of its Ethernet PHY, with a C interface: its clock, and RGMII, of
// which it is given and gives whole frames.

#include <verilated.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <deque>
#include <memory>
#include <vector>

#include "Vcore.h"

namespace {

using Frame = std::vector<uint8_t>;

constexpr uint8_t PREAMBLE = 0x55, START = 0xD5;
constexpr unsigned PREAMBLE_BYTES = 7, GAP_BYTES = 12;
constexpr uint8_t STATUS = 0b1101;  // between frames: full duplex, 125 MHz, a link (RGMII 1.3)
constexpr uint64_t HALF = uint64_t{1} << 32;  // half a cycle of the line, in its phase
constexpr uint32_t POWER_UP_CYCLES = 32;      // until the clock is stable and the resets over

// Frames for the board, a byte a cycle of the line.
class Sender {
public:
    void queue(const uint8_t *data, uint64_t count) {
        Frame frame(PREAMBLE_BYTES, PREAMBLE);
        frame.push_back(START);
        frame.insert(frame.end(), data, data + count);
        frames.push_back(std::move(frame));
    }

    // Goes on to the next byte: whether there is one, which then is in `byte`.
    bool next() {
        if (gap) {
            gap--;
            return false;
        }
        if (frames.empty()) return false;
        byte = frames.front()[at++];
        if (at == frames.front().size()) {
            frames.pop_front();
            at = 0;
            gap = GAP_BYTES;
        }
        return true;
    }

    bool idle() const { return frames.empty(); }

    uint8_t byte = 0;

private:
    std::deque<Frame> frames;
    size_t at = 0;
    unsigned gap = 0;
};

// Frames from the board, by the clock that comes beside them.
class Receiver {
public:
    // Takes the pins' levels in half a cycle of the line; whether they end a frame.
    bool take(bool clock, bool control, uint8_t nibble) {
        if (clock == before) return false;
        before = clock;
        if (clock) {
            valid = control;
            low = nibble;
            return false;
        }
        if (control != valid) broken = "control lines that differ within a byte";
        if (valid) {
            coming.push_back(static_cast<uint8_t>(nibble << 4 | low));
            return false;
        }
        if (coming.empty()) {
            quiet++;
            return false;
        }
        if (quiet < GAP_BYTES) broken = "frames less than 12 bytes apart";
        quiet = 1;
        finish();
        return true;
    }

    Frame frame;  // the last one, without its preamble
    const char *broken = "";

private:
    void finish() {
        size_t start = 0;
        while (start < coming.size() && coming[start] == PREAMBLE) start++;
        if (start != PREAMBLE_BYTES || start == coming.size() || coming[start] != START)
            broken = "a frame without a right preamble";
        else
            frame.assign(coming.begin() + start + 1, coming.end());
        coming.clear();
    }

    Frame coming;
    bool before = false, valid = false;
    uint8_t low = 0;
    uint64_t quiet = GAP_BYTES;
};

class Board {
public:
    // The line has `ratio` cycles in one of the board.
    explicit Board(double ratio) : step_phase(std::llround(2 * ratio * HALF)) {
        context.randReset(0);
        context.fatalOnError(false);  // a failed assertion must not end the process
        top = std::make_unique<Vcore>(&context, "core");
        for (uint32_t i = 0; i < POWER_UP_CYCLES; i++) step();
    }

    ~Board() { top->final(); }

    void queue(const uint8_t *data, uint64_t count) { sender.queue(data, count); }

    // Runs for at most `cycles`; ends early with a frame from the board, of which up to `room`
    // bytes are put into `out`. Gives its size in `given`; returns the cycles.
    uint64_t run(uint64_t cycles, uint8_t *out, uint64_t room, uint64_t *given) {
        uint64_t cycle = 0;
        *given = 0;
        while (cycle < cycles && !failed()) {
            cycle++;
            if (!step()) continue;
            *given = receiver.frame.size();
            std::memcpy(out, receiver.frame.data(), *given < room ? *given : room);
            break;
        }
        return cycle;
    }

    bool idle() const { return sender.idle(); }

    bool failed() const { return context.gotError() || *broken_rule(); }

    // What was wrong on the line; empty if nothing.
    const char *broken_rule() const { return receiver.broken; }

private:
    // A cycle of the board, and the edges of the line's clock within it: whether a frame ended.
    bool step() {
        bool ended = false;
        for (phase += step_phase; phase >= HALF; phase -= HALF) ended |= half();
        top->clk = 0;
        top->eval();
        top->clk = 1;
        top->eval();
        return ended;
    }

    // Half a cycle of the line: whether it ended a frame. The board looks at its pins, and the PHY
    // at its own, between two changes of the data, as delays of clocks see to on a real board.
    bool half() {
        line_clock = !line_clock;
        if (line_clock) sending = sender.next();
        top->rx_clk = line_clock;
        top->rx_ctrl = sending;
        top->rx_data = !sending ? STATUS : line_clock ? sender.byte & 15 : sender.byte >> 4;
        top->eval();
        return receiver.take(top->tx_clk, top->tx_ctrl, top->tx_data);
    }

    VerilatedContext context;
    std::unique_ptr<Vcore> top;
    Sender sender;
    Receiver receiver;
    const uint64_t step_phase;
    uint64_t phase = 0;
    bool line_clock = false, sending = false;
};

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

// A board just powered up, whose line has `ratio` cycles in one of the board.
EXPORT void *kaniwa_rgmii_open(double ratio) { return new Board(ratio); }

EXPORT void kaniwa_rgmii_close(void *board) { delete static_cast<Board *>(board); }

EXPORT bool kaniwa_rgmii_failed(void *board) { return static_cast<Board *>(board)->failed(); }

EXPORT const char *kaniwa_rgmii_broken_rule(void *board) {
    return static_cast<Board *>(board)->broken_rule();
}

// Queues a frame for the board, from its addresses to its FCS.
EXPORT void kaniwa_rgmii_queue(void *board, const uint8_t *data, uint64_t count) {
    static_cast<Board *>(board)->queue(data, count);
}

EXPORT bool kaniwa_rgmii_idle(void *board) { return static_cast<Board *>(board)->idle(); }

EXPORT uint64_t kaniwa_rgmii_run(void *board, uint64_t cycles, uint8_t *out, uint64_t room,
                                 uint64_t *given) {
    return static_cast<Board *>(board)->run(cycles, out, room, given);
}
