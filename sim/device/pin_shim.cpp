// A simulated board at its pins, with a C interface: its clock, the host's end of its UART, its
// LEDs, and its SDRAM and flash if it has some.

#include <verilated.h>

#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "Vcore.h"
#include "sdram_chip.h"

namespace {

constexpr unsigned FRACTION = 20;  // of a bit, in the phases below
constexpr uint32_t HALF = 1u << (FRACTION - 1);
constexpr uint32_t POWER_UP_CYCLES = 32;  // until the clock is stable and the reset over

// One byte after the other, low bit first, behind a start bit (0) and before a stop bit (1).
class Sender {
public:
    explicit Sender(double bit_cycles) : step(std::lround((1u << FRACTION) / bit_cycles)) {}

    // The line's level in this cycle. Takes the next byte of `in` when it is time for it.
    bool level(const uint8_t *&in, const uint8_t *end) {
        if (!bits) {
            if (in == end) return true;
            begin(*in++);
            phase = 0;
        }
        const bool now = bits >> (phase >> FRACTION) & 1;
        phase += step;
        if (phase >= 10u << FRACTION) {
            phase -= 10u << FRACTION;  // what a bit is not a multiple of cycles carries over
            bits = 0;
            if (in != end) begin(*in++);
        }
        return now;
    }

private:
    void begin(uint8_t byte) { bits = 1u << 9 | static_cast<uint32_t>(byte) << 1; }

    uint32_t step, phase = 0;
    uint32_t bits = 0;  // 0: idle
};

// Samples each bit in its middle; a byte without a stop bit is dropped.
class Receiver {
public:
    explicit Receiver(double bit_cycles) : step(std::lround((1u << FRACTION) / bit_cycles)) {}

    // Takes the line's level in this cycle; whether it ends a byte, which then is in `byte`.
    bool take(bool level) {
        if (!busy) {
            busy = !level;
            phase = HALF;
            count = 0;
            quiet += step;
            return false;
        }
        quiet = 0;
        const uint32_t before = phase >> FRACTION;
        phase += step;
        if (phase >> FRACTION == before) return false;
        if (count == 0 && level) busy = false;  // no start bit
        if (count == 9) busy = false;
        if (count >= 1 && count <= 8) byte = byte >> 1 | level << 7;
        return count++ == 9 && level;
    }

    // Whether nothing has come for two bits.
    bool idle() const { return quiet >> FRACTION >= 2; }

    uint8_t byte = 0;

private:
    uint32_t step, phase = 0, count = 0;
    uint64_t quiet = 0;
    bool busy = false;
};

// An SPI flash that knows RELEASE and READ, as they are in mode 0. It sleeps at first.
class Flash {
public:
    Flash(const uint8_t *bytes, uint64_t size) : data(bytes, bytes + size) {}

    // Takes the levels of a cycle; gives that of the chip's output in the next one.
    bool clock(bool selected, bool level, bool in) {
        if (selected != was_selected) {
            if (level) refuse("being selected or left while the clock is high");
            if (!selected && count == 8 && shift == 0xAB) awake = true;
            count = 0;
        } else if (selected && level && !was_level && count < 32) {
            shift = shift << 1 | in;
            if (++count == 32) begin();
        } else if (selected && !level && was_level && count == 32) {
            out = byte(address) >> (7 - bit) & 1;
            bit = (bit + 1) % 8;
            if (!bit) address = (address + 1) & 0xFFFFFF;
        }
        was_selected = selected;
        was_level = level;
        return out;
    }

    const std::string &broken() const { return rule; }

private:
    void begin() {
        if (shift >> 24 != 0x03) refuse("a command other than READ");
        if (!awake) refuse("READ while it sleeps");
        address = shift & 0xFFFFFF;
        bit = 0;
    }

    uint8_t byte(uint32_t at) const { return at < data.size() ? data[at] : 0xFF; }

    void refuse(const char *what) {
        if (rule.empty()) rule = what;
    }

    std::vector<uint8_t> data;
    std::string rule;
    uint32_t shift = 0, count = 0, address = 0, bit = 0;
    bool was_selected = false, was_level = false, awake = false, out = true;
};

class Board {
public:
    Board(double host_bit_cycles, double bit_cycles, const uint32_t *chip_figures,
          const uint8_t *flash_bytes, uint64_t flash_size)
        : sender(host_bit_cycles), receiver(bit_cycles) {
        if (flash_bytes) flash = std::make_unique<Flash>(flash_bytes, flash_size);
        if (chip_figures) chip = std::make_unique<kaniwa::SdramChip>(chip_figures);
        context.randReset(0);
        context.fatalOnError(false);  // a failed assertion must not end the process
        top = std::make_unique<Vcore>(&context, "core");
        for (uint32_t i = 0; i < POWER_UP_CYCLES; i++) receiver.take(step(true));
    }

    ~Board() { top->final(); }

    // Runs for at most `cycles`, with the bytes of `in` on the line to the board as fast as it
    // goes. Ends early when bytes have come from the board and no more of them are on their way.
    // Gives them in `out`, the number of bytes of `in` that were sent in `taken`; returns the
    // cycles.
    uint64_t run(const uint8_t *in, uint64_t count, uint64_t cycles, uint8_t *out, uint64_t room,
                 uint64_t *taken, uint64_t *given) {
        const uint8_t *next = in, *const end = in + count;
        uint64_t cycle = 0;
        *given = 0;
        while (cycle < cycles && *given < room && !failed()) {
            if (*given && receiver.idle()) break;
            if (receiver.take(step(sender.level(next, end)))) out[(*given)++] = receiver.byte;
            cycle++;
        }
        *taken = next - in;
        return cycle;
    }

    bool failed() const {
        return context.gotError() || (flash && !flash->broken().empty())
            || (chip && !chip->broken().empty());
    }

    // What was done to SDRAM or flash that its data sheet forbids; empty if nothing.
    const char *broken_rule() {
        if (flash && !flash->broken().empty())
            rule = "the flash does not allow " + flash->broken();
        else if (chip && !chip->broken().empty())
            rule = "the SDRAM does not allow " + chip->broken();
        return rule.c_str();
    }

    // Whether each LED is lit, the first one in bit 0.
    uint32_t leds() const { return top->leds; }

    // Which slot of its flash the FPGA is to start from instead; -1 while it goes on.
    int left() const { return top->leave ? top->slot : -1; }

    // `size` bytes of the SDRAM; null if it has not so many.
    uint8_t *memory(uint64_t address, uint64_t size) {
        return chip && chip->holds(address, size) ? chip->at(address) : nullptr;
    }

private:
    bool step(bool rx) {
        top->rx = rx;
        top->clk = 0;
        top->eval();
        const bool tx = top->tx;
        const bool given = flash && flash->clock(top->flash_cs, top->flash_sck, top->flash_copi);
        if (chip) clock_chip();
        top->clk = 1;
        top->eval();
        top->flash_cipo = given;
        return tx;
    }

    // The chip's clock rises within the cycle: what it gives is there before the cycle's end.
    void clock_chip() {
        uint32_t given = 0;
        top->sdram_drive = chip->clock(top->sdram_command, top->sdram_bank, top->sdram_address,
                                       top->sdram_mask, top->sdram_data, given);
        top->sdram_given = given;
        top->eval();
    }

    VerilatedContext context;
    std::unique_ptr<Vcore> top;
    Sender sender;
    Receiver receiver;
    std::unique_ptr<kaniwa::SdramChip> chip;
    std::unique_ptr<Flash> flash;
    std::string rule;
};

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

// A board just powered up. Its UART has a bit in `bit_cycles`, the host's one in
// `host_bit_cycles`. `chip`: figures of its SDRAM, or null. `flash`: what is in its flash, or null.
EXPORT void *kaniwa_board_open(double host_bit_cycles, double bit_cycles, const uint32_t *chip,
                               const uint8_t *flash, uint64_t flash_size) {
    return new Board(host_bit_cycles, bit_cycles, chip, flash, flash_size);
}

EXPORT void kaniwa_board_close(void *board) { delete static_cast<Board *>(board); }

EXPORT bool kaniwa_board_failed(void *board) { return static_cast<Board *>(board)->failed(); }

EXPORT uint64_t kaniwa_board_run(void *board, const uint8_t *in, uint64_t count, uint64_t cycles,
                                 uint8_t *out, uint64_t room, uint64_t *taken, uint64_t *given) {
    return static_cast<Board *>(board)->run(in, count, cycles, out, room, taken, given);
}

EXPORT const char *kaniwa_board_broken_rule(void *board) {
    return static_cast<Board *>(board)->broken_rule();
}

EXPORT uint32_t kaniwa_board_leds(void *board) { return static_cast<Board *>(board)->leds(); }

EXPORT int32_t kaniwa_board_left(void *board) { return static_cast<Board *>(board)->left(); }

EXPORT uint8_t *kaniwa_board_memory(void *board, uint64_t address, uint64_t size) {
    return static_cast<Board *>(board)->memory(address, size);
}
