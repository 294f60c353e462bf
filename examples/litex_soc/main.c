/* SPDX-License-Identifier: BSD-2-Clause */
/* Runs the network on each input, and writes class, scores and cycles to the UART. */
#include <generated/csr.h>
#include <generated/mem.h>
#include <generated/soc.h>
#include <irq.h>
#ifdef MAIN_RAM_BASE
#include <generated/sdram_phy.h>
#endif

#include "inputs.h"
#include "model.h"

#define END_OF_TEXT 0x04 /* the simulation ends there */

static volatile int ended;
static struct kaniwa device;

static void put(char c)
{
    while (uart_txfull_read())
        ;
    uart_rxtx_write((uint8_t)c);
}

static void put_text(const char *text)
{
    while (*text)
        put(*text++);
}

static void put_number(int32_t value)
{
    char digits[10];
    uint32_t rest = value < 0 ? -(uint32_t)value : (uint32_t)value;
    int count = 0;

    if (value < 0)
        put('-');
    do {
        digits[count++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    while (count)
        put(digits[--count]);
}

static void stop(const char *reason)
{
    put_text("error: ");
    put_text(reason);
    put('\n');
    put(END_OF_TEXT);
    while (1)
        ;
}

/* LiteX's start-up code calls this for interrupts and for exceptions. */
void isr(void);
void isr(void)
{
    if (!(csrr(mcause) >> 31))
        stop("exception of the CPU");
    if (irq_pending() & irq_getmask() & (1U << KANIWA_INTERRUPT)) {
        kaniwa_acknowledge(&device);
        ended = 1;
    }
}

static void wait_for_interrupt(struct kaniwa *waiting)
{
    (void)waiting;
    while (!ended)
        ;
    ended = 0;
}

static int best(const int8_t scores[CLASSES])
{
    int i, found = 0;

    for (i = 1; i < CLASSES; i++)
        if (scores[i] > scores[found])
            found = i;
    return found;
}

#ifdef MAIN_RAM_BASE
/* VexRiscv's data cache, where it has one, writes through: there is nothing to clean. */
static void drop_cache(struct kaniwa *of, const void *start, size_t bytes)
{
    (void)of;
    (void)start;
    (void)bytes;
    flush_cpu_dcache();
}

/* The commands that the memory wants first, and where the accelerator finds it. */
static void open_sdram(void)
{
    sdram_dfii_control_write(DFII_CONTROL_CKE | DFII_CONTROL_ODT | DFII_CONTROL_RESET_N);
    init_sequence();
    sdram_dfii_control_write(DFII_CONTROL_SEL); /* the controller of the SoC takes over */
    device.outside = (uint8_t *)MAIN_RAM_BASE;
    device.outside_base = MAIN_RAM_BASE;
    device.outside_bytes = MAIN_RAM_SIZE;
    device.invalidate = drop_cache;
}
#endif

int main(void)
{
    int8_t scores[1][CLASSES];
    int result, n, i;

    irq_setmask(1U << KANIWA_INTERRUPT);
    irq_setie(1);
    kaniwa_init(&device, KANIWA_BASE);
    device.wait = wait_for_interrupt;
#ifdef MAIN_RAM_BASE
    open_sdram();
#endif
    result = kaniwa_open(&device);
    if (result == KANIWA_OK)
        result = model_load(&device);
    for (n = 0; n < INPUTS && result == KANIWA_OK; n++) {
        result = model_run(&device, inputs[n], scores);
        if (result != KANIWA_OK)
            break;
        put_text(names[best(scores[0])]);
        for (i = 0; i < CLASSES; i++) {
            put(' ');
            put_number(scores[0][i]);
        }
        put_text(" cycles ");
        put_number((int32_t)kaniwa_cycles(&device));
        put('\n');
    }
    if (result != KANIWA_OK)
        stop(kaniwa_text(result));
    put(END_OF_TEXT);
    while (1)
        ;
    return 0;
}
