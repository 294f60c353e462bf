/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Driver of a kaniwa accelerator that the CPU sees on its bus, or reaches over SPI. C99, without
 * allocation, operating system or C library. `kaniwa export` writes the models that it loads.
 *
 *     struct kaniwa device;
 *     kaniwa_init(&device, 0x40000000);
 *     result = kaniwa_open(&device);             what is there, and an earlier run ended
 *     if (!result) result = model_load(&device);
 *     if (!result) result = model_run(&device, input, output);
 *
 * Functions give KANIWA_OK, which is 0, or what went wrong. With KANIWA_LINK defined for all files
 * the device is a board on SPI: kaniwa_link.h describes that.
 */
#ifndef KANIWA_H
#define KANIWA_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#ifdef KANIWA_LINK
#include "kaniwa_link.h"
#endif

/*
 * Accesses to the window: `address` is the CPU's. Define them all where a plain load or store is
 * not the way to the bus.
 */
#ifndef KANIWA_READ32
#define KANIWA_READ32(address) (*(const volatile uint32_t *)(address))
#define KANIWA_WRITE32(address, value) (*(volatile uint32_t *)(address) = (value))
#define KANIWA_WRITE8(address, value) (*(volatile uint8_t *)(address) = (value))
#endif

/* Order between accesses to outside memory and those to the window. */
#ifndef KANIWA_BARRIER
#define KANIWA_BARRIER() __sync_synchronize()
#endif

/*
 * Behind the name of each array of a model that is for outside memory, `offset` bytes from its
 * begin. An attribute that names a section lets a linker put the array there, and then it is not
 * copied.
 */
#ifndef KANIWA_IN_OUTSIDE
#define KANIWA_IN_OUTSIDE(offset)
#endif

/* Registers, by index: each has 4 bytes. docs/isa.md describes them. */
enum kaniwa_register {
    KANIWA_MAGIC = 0,
    KANIWA_VERSION = 1,
    KANIWA_CONFIG_HASH_LOW = 2,
    KANIWA_CONFIG_HASH_HIGH = 3,
    KANIWA_MEMORY_BYTES = 7,
    KANIWA_CONTROL = 8,
    KANIWA_STATUS = 9,
    KANIWA_ERROR_CODE = 10,
    KANIWA_ERROR_INSTRUCTION = 11,
    KANIWA_PROGRAM_ADDRESS = 12,
    KANIWA_WATCHDOG = 13,
    KANIWA_CYCLES = 14,
    KANIWA_BUS_VERSION = 128,
    KANIWA_IRQ_STATUS = 129,
    KANIWA_IRQ_ENABLE = 130,
    KANIWA_BUS_ERROR = 131,
    KANIWA_BUS_ERROR_ADDRESS = 132,
    KANIWA_OUTSIDE_BASE_LOW = 133,
    KANIWA_OUTSIDE_BASE_HIGH = 134,
    KANIWA_MEMORY_OFFSET = 135,
    KANIWA_FEATURES = 136,
    KANIWA_SENSOR_VERSION = 160,
    KANIWA_SENSOR_CONTROL = 161,
    KANIWA_SENSOR_STATE = 162,
    KANIWA_SENSOR_EVENTS = 163,
    KANIWA_SENSOR_IRQ_ENABLE = 164,
    KANIWA_SENSOR_INPUT_ADDRESS = 165,
    KANIWA_SENSOR_INPUT_LENGTH = 166,
    KANIWA_SENSOR_OUTPUT_ADDRESS = 167,
    KANIWA_SENSOR_OUTPUT_LENGTH = 168,
    KANIWA_SENSOR_TABLE = 169,
    KANIWA_SENSOR_BUFFER_BYTES = 170,
    KANIWA_SENSOR_FRAMES = 171,
    KANIWA_SENSOR_DROPPED = 172,
    KANIWA_SENSOR_EARLY = 173,
    KANIWA_SENSOR_LATE = 174,
    KANIWA_SENSOR_MISSED = 175
};

/* Bits of these registers. */
enum {
    KANIWA_CONTROL_RUN = 1,
    KANIWA_CONTROL_ABORT = 2,
    KANIWA_STATUS_RUNNING = 1,
    KANIWA_STATUS_DONE = 2,
    KANIWA_STATUS_ERROR = 4,
    KANIWA_IRQ_END = 1,
    KANIWA_IRQ_BUS_ERROR = 2,
    KANIWA_BUS_ERROR_HELD = 1,
    KANIWA_FEATURE_OUTSIDE = 1
};

#ifdef KANIWA_SENSOR
/* Bits of SENSOR_CONTROL, and of SENSOR_EVENTS. docs/bus.md describes them. */
enum {
    KANIWA_SENSOR_CONTROL_ENABLE = 1,
    KANIWA_SENSOR_CONTROL_RUN = 2,
    KANIWA_SENSOR_CONTROL_TABLE = 4,
    KANIWA_SENSOR_CONTROL_COUNT = 8,
    KANIWA_SENSOR_CONTROL_SKIP = 16,
    KANIWA_SENSOR_EVENT_FULL = 1,
    KANIWA_SENSOR_EVENT_FAILED = 2,
    KANIWA_SENSOR_EVENT_EARLY = 4,
    KANIWA_SENSOR_EVENT_LATE = 8,
    KANIWA_SENSOR_EVENT_MISSED = 16
};
#endif

/* Values of registers that this driver works with. */
#define KANIWA_MAGIC_VALUE UINT32_C(0x4b414e49)
#define KANIWA_BUS_VERSION_VALUE UINT32_C(1)
#define KANIWA_OUTSIDE UINT32_C(0x80000000) /* device addresses from here on are outside memory */

enum kaniwa_result {
    KANIWA_OK = 0,
    KANIWA_NO_CORE,        /* MAGIC reads as something else: no kaniwa there, or no clock */
    KANIWA_OTHER_BUS,      /* the window, or the link, is of another version than this driver */
    KANIWA_OTHER_VERSION,  /* the instruction set is of another version than the model */
    KANIWA_OTHER_CONFIG,   /* the model was compiled for another config */
    KANIWA_MEMORY,         /* the model needs more memory on chip, or the window shows none */
    KANIWA_NO_OUTSIDE,     /* the model needs (more) outside memory, or its base is no multiple
                              of 4 KiB */
    KANIWA_NOT_LOADED,     /* load the model first; so it is after a run that failed, too */
    KANIWA_BUS_ERROR_SEEN, /* the bus refused an access of the core: `bus_error_address` */
    KANIWA_RUN_ERROR,      /* the core ended the run: `error_code`, `error_instruction` */
    KANIWA_WATCHDOG_BITE,  /* the core ended the run: no progress for `watchdog` cycles */
    KANIWA_NO_END,         /* the run did not end within `limit` looks */
    KANIWA_NO_SENSOR,      /* no ports for sensors, or they cannot feed the model */
    /* Of a board on SPI; behind each of these it has to be opened and the model loaded again. */
    KANIWA_LINE_FAILED,    /* `exchange` said so */
    KANIWA_NO_ANSWER,      /* no right answer to any of `tries` requests */
    KANIWA_WAS_RESET,      /* the board was reset, or lost its power */
    KANIWA_OTHER_HOST,     /* another host has opened the board */
    KANIWA_BUSY            /* memory was used during a run */
};

struct kaniwa_model;

/*
 * A device. kaniwa_init fills it; set what is to differ before kaniwa_open.
 */
struct kaniwa {
#ifdef KANIWA_LINK
    struct kaniwa_link *link;  /* the way to the board; what is said of outside memory and caches
                                  is not for it */
#else
    uintptr_t window;          /* CPU address of the registers */
#endif
    uint8_t *outside;          /* outside memory as the CPU sees it, or NULL */
    uint64_t outside_base;     /* the same as the core's bus master sees it */
    uint32_t outside_bytes;
    uint32_t watchdog;         /* cycles without progress before the core ends a run; 0: never */
    uint32_t limit;            /* looks at STATUS before a run is given up; 0: no limit */

    /*
     * Called between two looks. NULL: looks follow each other. Else the interrupt is on during a
     * run, and `wait` returns once it has come since the run began. It may return without cause.
     * Its handler calls kaniwa_acknowledge. A board on SPI has no interrupt: `wait` may sleep.
     */
    void (*wait)(struct kaniwa *device);

    /*
     * Cache of the CPU before outside memory; NULL where there is none, or it is coherent. `clean`
     * writes lines back before the core reads them. `invalidate` drops them before the CPU reads
     * what the core wrote.
     */
    void (*clean)(struct kaniwa *device, const void *start, size_t bytes);
    void (*invalidate)(struct kaniwa *device, const void *start, size_t bytes);
    void *context;             /* for these functions; the driver leaves it alone */

    /* What the driver found; to be read. */
    const struct kaniwa_model *loaded;
    uint32_t memory_offset;    /* of on-chip memory in the window; 0: not in the window */
    uint32_t memory_bytes;
    uint32_t error_code;       /* of the last run: kaniwa_error_text has the words */
    uint32_t error_instruction;
    uint32_t bus_error;        /* register BUS_ERROR of the last run, 0 without one */
    uint32_t bus_error_address;
};

/* Bytes of a model at a device address. */
struct kaniwa_segment {
    uint32_t address;
    uint32_t bytes;
    const uint8_t *data;
};

/*
 * Elements along an axis, and the bytes from one to the next: of an output in the device's memory,
 * in the order of the caller's array; of an input in the caller's array, in the order of the
 * device's bytes.
 */
struct kaniwa_axis {
    uint32_t count;
    uint32_t step;
};

/*
 * Where the device has a tensor. `flip`, 0x80 for uint8 and else 0, is XORed with each byte: the
 * device has int8. With `axis_count` 0, bytes lie one behind the other.
 */
struct kaniwa_tensor {
    uint32_t address;
    uint32_t bytes;
    uint8_t flip;
    uint8_t axis_count;
    const struct kaniwa_axis *axes;
};

/*
 * State that goes from one run to the next: it begins as `initial`. With `kept` NULL its next value
 * is at `address` behind a run, and stays there. Else it is read from `following` into `kept`, and
 * written to `address` before the next run; KANIWA_UNCHANGED: it never changes. A model with such
 * an array runs on one device.
 */
struct kaniwa_state {
    uint32_t address;
    uint32_t following;
    uint32_t bytes;
    const uint8_t *initial;
    uint8_t *kept;
};

#define KANIWA_UNCHANGED UINT32_MAX

struct kaniwa_model {
    uint32_t version;          /* of the instruction set */
    uint32_t config_hash_low;
    uint32_t config_hash_high;
    uint32_t memory_bytes;     /* on chip */
    uint32_t outside_bytes;
    uint32_t program_address;
    uint32_t segment_count;
    uint32_t state_count;
    const struct kaniwa_segment *segments;
    const struct kaniwa_state *states;
};

/* Fill `device`: polling, on-chip memory alone, a watchdog of ten million cycles, no limit. */
#ifdef KANIWA_LINK
void kaniwa_init(struct kaniwa *device, struct kaniwa_link *link);
#else
void kaniwa_init(struct kaniwa *device, uintptr_t window);
#endif

/* Look what is there, end a run that goes on, and set up outside memory and the interrupt. */
int kaniwa_open(struct kaniwa *device);

/* Check that the device is the one that the model was compiled for, and load it. */
int kaniwa_load(struct kaniwa *device, const struct kaniwa_model *model);

/* Give the loaded model's state its first value. */
int kaniwa_reset(struct kaniwa *device, const struct kaniwa_model *model);

/*
 * Write an input, or read an output. No run may be going on. A board on SPI may fail then:
 * kaniwa_outcome tells.
 */
void kaniwa_set(struct kaniwa *device, const struct kaniwa_tensor *tensor, const void *value);
void kaniwa_get(struct kaniwa *device, const struct kaniwa_tensor *tensor, void *value);

/* KANIWA_OK, or what went wrong on the way to a board on SPI since it was opened. */
int kaniwa_outcome(struct kaniwa *device);

/* Run the loaded model on the inputs that were set, to its end. */
int kaniwa_run(struct kaniwa *device, const struct kaniwa_model *model);

/* End a run. Memory keeps what was written; the model has to be loaded again. */
int kaniwa_abort(struct kaniwa *device);

/* Cycles of the run that goes on, or of the last one. */
uint32_t kaniwa_cycles(const struct kaniwa *device);

/* Take the interrupt away; for its handler. */
void kaniwa_acknowledge(const struct kaniwa *device);

#ifdef KANIWA_SENSOR
/*
 * Have the loaded model fed by the sensor ports: samples fill `input`, and `output` is offered.
 * `control` has bits of SENSOR_CONTROL; ENABLE is added. `table`: 256 values of the input, one for
 * each sample, or NULL where samples are such values themselves. The model's file has a function
 * for its own tensors. Until kaniwa_sensor_stop no other function may be called but
 * kaniwa_cycles and kaniwa_acknowledge.
 */
int kaniwa_sensor_start(struct kaniwa *device, const struct kaniwa_model *model,
                        const struct kaniwa_tensor *input, const struct kaniwa_tensor *output,
                        const uint8_t *table, uint32_t control);

/* Switch the ports off, and wait until a run has ended and a result has been read from memory. */
int kaniwa_sensor_stop(struct kaniwa *device);
#endif

#ifndef KANIWA_NO_TEXT
/* What a result, or the `error_code` of a run, means. */
const char *kaniwa_text(int result);
const char *kaniwa_error_text(uint32_t error_code);
#endif

#ifdef KANIWA_FLOAT
/*
 * A real number as `kaniwa run --float` quantizes it: halves away from zero, clamped to low..high.
 */
static inline int32_t kaniwa_quantize(double value, double scale, int32_t zero_point,
                                      int32_t low, int32_t high)
{
    double ratio = value / scale;
    double magnitude = (ratio < 0.0 ? -ratio : ratio) + 0.5;
    double most = (double)high - (double)low + 1.0;
    int64_t rounded, result;

    if (!(magnitude <= most * 2.0)) /* beyond all results, or no number */
        magnitude = most * 2.0;
    rounded = (int64_t)magnitude;
    result = (ratio < 0.0 ? -rounded : rounded) + zero_point;
    return (int32_t)(result < low ? low : result > high ? high : result);
}

static inline float kaniwa_dequantize(int32_t value, double scale, int32_t zero_point)
{
    return (float)(((double)value - (double)zero_point) * scale);
}
#endif

#ifdef __cplusplus
}
#endif

#endif
