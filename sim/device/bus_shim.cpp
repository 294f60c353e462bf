// A simulated accelerator behind its Wishbone slave, with a C interface.
//
// Verilator writes a double underscore in a port's name as ___05F.

#include <verilated.h>

#include <cstdint>
#include <memory>

#include "Vcore.h"

namespace {

constexpr int PATIENCE = 1000;  // cycles that an access may take

class Device {
public:
    Device() {
        context.randReset(0);
        context.fatalOnError(false);  // a failed assertion must not end the process
        top = std::make_unique<Vcore>(&context, "core");
        top->control___05Fcyc = top->control___05Fstb = 0;
        top->rst = 1;
        for (int i = 0; i < 4; i++) step();
        top->rst = 0;
        step();
    }

    ~Device() { top->final(); }

    // One access of the bytes `select` of a word, and the cycle behind it. Gives the word in
    // `data`; returns 0, 1 where the slave answers with an error, 2 where it does not answer.
    int access(uint32_t word, bool write, uint32_t select, uint32_t *data) {
        top->control___05Fcyc = top->control___05Fstb = 1;
        top->control___05Fwe = write;
        top->control___05Fadr = word;
        top->control___05Fsel = select;
        top->control___05Fdat_w = write ? *data : 0;
        int result = 2;
        for (int cycle = 0; cycle < PATIENCE && result == 2; cycle++) {
            top->clk = 0;
            top->eval();
            if (top->control___05Fack) result = 0;
            if (top->control___05Ferr) result = 1;
            if (!write) *data = top->control___05Fdat_r;
            top->clk = 1;
            top->eval();
        }
        top->control___05Fcyc = top->control___05Fstb = 0;
        step();
        return context.gotError() ? 2 : result;
    }

    bool interrupt() const { return top->irq; }

    bool failed() const { return context.gotError(); }

    Vcore &ports() { return *top; }

    void step() {
        top->clk = 0;
        top->eval();
        top->clk = 1;
        top->eval();
    }

private:
    VerilatedContext context;
    std::unique_ptr<Vcore> top;
};

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT void *kaniwa_bus_open() { return new Device(); }

EXPORT void kaniwa_bus_close(void *device) { delete static_cast<Device *>(device); }

EXPORT int kaniwa_bus_access(void *device, uint32_t word, int write, uint32_t select,
                             uint32_t *data) {
    return static_cast<Device *>(device)->access(word, write, select, data);
}

EXPORT int kaniwa_bus_interrupt(void *device) {
    return static_cast<Device *>(device)->interrupt();
}
