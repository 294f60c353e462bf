// SPDX-License-Identifier: BSD-2-Clause
// Clock and reset of the SoC, and a terminal at its UART: what it sends goes to standard output.
//
//     soc LIMIT CYCLES_OF_A_BIT
//
// Ends when the end of a text (0x04) comes, with the count of cycles on standard error, or with
// exit status 1 after LIMIT cycles.
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "Vsoc.h"
#include "verilated.h"

static const int END_OF_TEXT = 0x04;

// Receives 8 bits, no parity, the lowest bit first. `step` is called in every cycle.
class Receiver {
public:
    explicit Receiver(unsigned cycles) : cycles_(cycles) {}

    // The character that is complete in this cycle, or -1.
    int step(int line) {
        if (!receiving_) {
            if (line == 0) {
                receiving_ = true;
                wait_ = cycles_ + cycles_ / 2;    // the middle of the first bit
                count_ = character_ = 0;
            }
            return -1;
        }
        if (--wait_ > 0)
            return -1;
        wait_ = cycles_;
        if (count_ < 8) {
            character_ |= line << count_++;
            return -1;
        }
        receiving_ = false;
        if (line != 1) {
            std::fprintf(stderr, "a character without a stop bit\n");
            std::exit(1);
        }
        return character_;
    }

private:
    unsigned cycles_, wait_ = 0;
    int count_ = 0, character_ = 0;
    bool receiving_ = false;
};

int main(int argc, char **argv) {
    if (argc != 3)
        return 2;
    const uint64_t limit = std::strtoull(argv[1], nullptr, 10);
    Receiver receiver(std::strtoul(argv[2], nullptr, 10));
    VerilatedContext context;
    Vsoc soc(&context);
    soc.serial_rx = 1;
    for (uint64_t cycle = 0; cycle < limit; cycle++) {
        soc.rst = cycle < 10;
        soc.clk = 0;
        soc.eval();
        soc.clk = 1;
        soc.eval();
        const int character = soc.rst ? -1 : receiver.step(soc.serial_tx);
        if (character == END_OF_TEXT) {
            std::fprintf(stderr, "%llu\n", static_cast<unsigned long long>(cycle + 1));
            return 0;
        }
        if (character >= 0)
            std::putchar(character);
    }
    std::fprintf(stderr, "no end after %llu cycles\n", static_cast<unsigned long long>(limit));
    return 1;
}
