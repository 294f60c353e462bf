/* SPDX-License-Identifier: BSD-2-Clause */
#include "kaniwa.h"

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "tensors of int16 and int32 have their low byte first: the CPU must have so, too"
#endif

#define DEFAULT_WATCHDOG UINT32_C(10000000)
#define OUTSIDE_ALIGNMENT UINT32_C(4096)
#define ERROR_WATCHDOG UINT32_C(5) /* of ERROR_CODE */
#define PIECE 64U /* bytes of an input in other order that are written at once */

/* Volatile, for else the compiler makes a call of memcpy of it, which may be missing. */
static void copy(volatile uint8_t *to, const uint8_t *from, uint32_t bytes, uint8_t flip)
{
    uint32_t i;

    for (i = 0; i < bytes; i++)
        to[i] = (uint8_t)(from[i] ^ flip);
}

#ifdef KANIWA_LINK
#ifdef KANIWA_SENSOR
#error "a board on SPI has no ports for sensors"
#endif
#define HAS_WINDOW 0

static uint32_t read_register(const struct kaniwa *device, enum kaniwa_register index)
{
    return kaniwa_link_get(device->link, (uint32_t)index);
}

static void write_register(const struct kaniwa *device, enum kaniwa_register index,
                           uint32_t value)
{
    kaniwa_link_set(device->link, (uint32_t)index, value);
}

static void write_memory(struct kaniwa *device, uint32_t address, const uint8_t *data,
                         uint32_t bytes, uint8_t flip)
{
    kaniwa_link_write(device->link, address, data, bytes, flip);
}

static void read_memory(struct kaniwa *device, uint32_t address, uint8_t *data, uint32_t bytes,
                        uint8_t flip)
{
    kaniwa_link_read(device->link, address, data, bytes, flip);
}
#else
#define HAS_WINDOW 1

static uint32_t read_register(const struct kaniwa *device, enum kaniwa_register index)
{
    return KANIWA_READ32(device->window + 4U * (uintptr_t)index);
}

static void write_register(const struct kaniwa *device, enum kaniwa_register index,
                           uint32_t value)
{
    KANIWA_WRITE32(device->window + 4U * (uintptr_t)index, value);
}

/* The CPU's pointer to device address `address`, which is one of outside memory. */
static uint8_t *outside_at(const struct kaniwa *device, uint32_t address)
{
    return device->outside + (address - KANIWA_OUTSIDE);
}

static void write_memory(struct kaniwa *device, uint32_t address, const uint8_t *data,
                         uint32_t bytes, uint8_t flip)
{
    uintptr_t at = device->window + device->memory_offset + address;
    uint32_t flips = UINT32_C(0x01010101) * flip;

    if (address >= KANIWA_OUTSIDE) {
        if (flip || data != outside_at(device, address)) /* else its place is where it is */
            copy(outside_at(device, address), data, bytes, flip);
        if (device->clean)
            device->clean(device, outside_at(device, address), bytes);
        return;
    }
    while (bytes) {
        if (at % 4U || bytes < 4U) {
            KANIWA_WRITE8(at, (uint8_t)(*data ^ flip));
            at += 1U;
            data += 1;
            bytes -= 1U;
        } else {
            uint32_t word = (uint32_t)data[0] | (uint32_t)data[1] << 8
                            | (uint32_t)data[2] << 16 | (uint32_t)data[3] << 24;

            KANIWA_WRITE32(at, word ^ flips);
            at += 4U;
            data += 4;
            bytes -= 4U;
        }
    }
}

/* Reads of on-chip memory are of whole words. */
static void read_memory(struct kaniwa *device, uint32_t address, uint8_t *data, uint32_t bytes,
                        uint8_t flip)
{
    uintptr_t at = device->window + device->memory_offset + address;
    uint32_t word, lane = (uint32_t)(at % 4U);

    if (address >= KANIWA_OUTSIDE) {
        if (device->invalidate)
            device->invalidate(device, outside_at(device, address), bytes);
        copy(data, outside_at(device, address), bytes, flip);
        return;
    }
    at -= lane;
    while (bytes) {
        word = KANIWA_READ32(at) >> (8U * lane);
        for (; lane < 4U && bytes; lane++, bytes--) {
            *data++ = (uint8_t)((uint8_t)word ^ flip);
            word >>= 8;
        }
        lane = 0;
        at += 4U;
    }
}
#endif

int kaniwa_outcome(struct kaniwa *device)
{
#ifdef KANIWA_LINK
    if (device->link->result != KANIWA_OK) {
        device->loaded = NULL;
        return device->link->result;
    }
#else
    (void)device;
#endif
    return KANIWA_OK;
}

/* The first of what went wrong on the way to the device, and of `result`. */
static int outcome(struct kaniwa *device, int result)
{
    int way = kaniwa_outcome(device);

    return way != KANIWA_OK ? way : result;
}

/* True while an error of the bus is held; it is noted in `device`. */
static int sees_bus_error(struct kaniwa *device)
{
    if (!HAS_WINDOW)
        return 0;
    device->bus_error = read_register(device, KANIWA_BUS_ERROR);
    if (!(device->bus_error & KANIWA_BUS_ERROR_HELD)) {
        device->bus_error = 0;
        return 0;
    }
    device->bus_error_address = read_register(device, KANIWA_BUS_ERROR_ADDRESS);
    return 1;
}

void kaniwa_acknowledge(const struct kaniwa *device)
{
    if (HAS_WINDOW)
        write_register(device, KANIWA_IRQ_STATUS, KANIWA_IRQ_END | KANIWA_IRQ_BUS_ERROR);
}

/* Command an abort and look until it is done. */
static int stop(struct kaniwa *device)
{
    uint32_t looks = 0;

    write_register(device, KANIWA_CONTROL, KANIWA_CONTROL_ABORT);
    do {
        if (!(read_register(device, KANIWA_STATUS) & KANIWA_STATUS_RUNNING))
            return KANIWA_OK;
        looks++;
    } while (!device->limit || looks < device->limit);
    return KANIWA_NO_END;
}

int kaniwa_abort(struct kaniwa *device)
{
    int result = stop(device);

    device->loaded = NULL;
    if (HAS_WINDOW)
        write_register(device, KANIWA_BUS_ERROR, 0);
    kaniwa_acknowledge(device);
    return outcome(device, result);
}

#ifdef KANIWA_LINK
void kaniwa_init(struct kaniwa *device, struct kaniwa_link *link)
{
    device->link = link;
#else
void kaniwa_init(struct kaniwa *device, uintptr_t window)
{
    device->window = window;
#endif
    device->outside = NULL;
    device->outside_base = 0;
    device->outside_bytes = 0;
    device->watchdog = DEFAULT_WATCHDOG;
    device->limit = 0;
    device->wait = NULL;
    device->clean = NULL;
    device->invalidate = NULL;
    device->context = NULL;
    device->loaded = NULL;
    device->memory_offset = 0;
    device->memory_bytes = 0;
    device->error_code = 0;
    device->error_instruction = 0;
    device->bus_error = 0;
    device->bus_error_address = 0;
}

#ifdef KANIWA_LINK
int kaniwa_open(struct kaniwa *device)
{
    device->loaded = NULL;
    if (kaniwa_link_open(device->link) != KANIWA_OK)
        return device->link->result;
    if (read_register(device, KANIWA_MAGIC) != KANIWA_MAGIC_VALUE)
        return outcome(device, KANIWA_NO_CORE);
    device->memory_bytes = read_register(device, KANIWA_MEMORY_BYTES);
    return kaniwa_abort(device);
}
#else
int kaniwa_open(struct kaniwa *device)
{
    int result;

    device->loaded = NULL;
    if (read_register(device, KANIWA_MAGIC) != KANIWA_MAGIC_VALUE)
        return KANIWA_NO_CORE;
    if (read_register(device, KANIWA_BUS_VERSION) != KANIWA_BUS_VERSION_VALUE)
        return KANIWA_OTHER_BUS;
    device->memory_offset = read_register(device, KANIWA_MEMORY_OFFSET);
    device->memory_bytes = read_register(device, KANIWA_MEMORY_BYTES);
    write_register(device, KANIWA_IRQ_ENABLE, 0);
#ifdef KANIWA_SENSOR
    if (read_register(device, KANIWA_SENSOR_VERSION)) {
        write_register(device, KANIWA_SENSOR_CONTROL, 0);
        write_register(device, KANIWA_SENSOR_IRQ_ENABLE, 0);
    }
#endif
    result = kaniwa_abort(device); /* in a run the base of outside memory cannot be written */
    if (result == KANIWA_OK && device->outside) {
        if (!(read_register(device, KANIWA_FEATURES) & KANIWA_FEATURE_OUTSIDE)
            || device->outside_base % OUTSIDE_ALIGNMENT)
            return KANIWA_NO_OUTSIDE;
        write_register(device, KANIWA_OUTSIDE_BASE_LOW, (uint32_t)device->outside_base);
        write_register(device, KANIWA_OUTSIDE_BASE_HIGH, (uint32_t)(device->outside_base >> 32));
    }
    return result;
}
#endif

/* Whether the device has the memory that a model needs. A board on SPI does not tell how much it
 * has outside. */
static int check_memory(const struct kaniwa *device, const struct kaniwa_model *model)
{
#ifdef KANIWA_LINK
    if (model->memory_bytes > device->memory_bytes)
        return KANIWA_MEMORY;
    return model->outside_bytes && !device->link->outside ? KANIWA_NO_OUTSIDE : KANIWA_OK;
#else
    if (model->memory_bytes > device->memory_bytes
        || (model->memory_bytes && !device->memory_offset))
        return KANIWA_MEMORY;
    if (model->outside_bytes && (!device->outside || model->outside_bytes > device->outside_bytes))
        return KANIWA_NO_OUTSIDE;
    return KANIWA_OK;
#endif
}

int kaniwa_load(struct kaniwa *device, const struct kaniwa_model *model)
{
    uint32_t i;
    int result;

    device->loaded = NULL;
    if (read_register(device, KANIWA_VERSION) != model->version)
        return outcome(device, KANIWA_OTHER_VERSION);
    if (read_register(device, KANIWA_CONFIG_HASH_LOW) != model->config_hash_low
        || read_register(device, KANIWA_CONFIG_HASH_HIGH) != model->config_hash_high)
        return outcome(device, KANIWA_OTHER_CONFIG);
    result = check_memory(device, model);
    if (result != KANIWA_OK)
        return result;
    for (i = 0; i < model->segment_count; i++)
        write_memory(device, model->segments[i].address, model->segments[i].data,
                     model->segments[i].bytes, 0);
    device->loaded = model;
    return kaniwa_reset(device, model);
}

int kaniwa_reset(struct kaniwa *device, const struct kaniwa_model *model)
{
    const struct kaniwa_state *state;
    uint32_t i;

    if (device->loaded != model)
        return KANIWA_NOT_LOADED;
    for (i = 0; i < model->state_count; i++) {
        state = &model->states[i];
        if (state->kept)
            copy(state->kept, state->initial, state->bytes, 0);
        else
            write_memory(device, state->address, state->initial, state->bytes, 0);
    }
    return kaniwa_outcome(device);
}

/* Write the states that are kept here to where a run takes them. */
static void give_states(struct kaniwa *device, const struct kaniwa_model *model)
{
    const struct kaniwa_state *state = model->states;
    uint32_t i;

    for (i = 0; i < model->state_count; i++, state++)
        if (state->kept)
            write_memory(device, state->address, state->kept, state->bytes, 0);
}

/* Read their next values behind a run. */
static void take_states(struct kaniwa *device, const struct kaniwa_model *model)
{
    const struct kaniwa_state *state = model->states;
    uint32_t i;

    for (i = 0; i < model->state_count; i++, state++)
        if (state->kept && state->following != KANIWA_UNCHANGED)
            read_memory(device, state->following, state->kept, state->bytes, 0);
}

/* How far from the first one the byte is that comes at this place when axes are followed. */
static uint32_t place_of(const struct kaniwa_tensor *tensor, uint32_t place)
{
    uint32_t offset = 0, axis;

    for (axis = tensor->axis_count; axis-- > 0;) {
        offset += place % tensor->axes[axis].count * tensor->axes[axis].step;
        place /= tensor->axes[axis].count;
    }
    return offset;
}

void kaniwa_set(struct kaniwa *device, const struct kaniwa_tensor *tensor, const void *value)
{
    const uint8_t *from = (const uint8_t *)value;
    uint8_t piece[PIECE];
    uint32_t done, n;

    if (!tensor->axis_count) {
        write_memory(device, tensor->address, from, tensor->bytes, tensor->flip);
        return;
    }
    for (done = 0; done < tensor->bytes; done += n) {
        for (n = 0; n < PIECE && done + n < tensor->bytes; n++)
            piece[n] = from[place_of(tensor, done + n)];
        write_memory(device, tensor->address + done, piece, n, tensor->flip);
    }
}

void kaniwa_get(struct kaniwa *device, const struct kaniwa_tensor *tensor, void *value)
{
    uint8_t *to = (uint8_t *)value;
    uint32_t done;

    if (!tensor->axis_count) {
        read_memory(device, tensor->address, to, tensor->bytes, tensor->flip);
        return;
    }
    for (done = 0; done < tensor->bytes; done++)
        read_memory(device, tensor->address + place_of(tensor, done), to + done, 1, tensor->flip);
}

/* The run's end, or KANIWA_NO_END; `status` is what was seen last. */
static int wait_for_end(struct kaniwa *device, uint32_t *status)
{
    uint32_t looks = 0;

    do {
        *status = read_register(device, KANIWA_STATUS);
        if (!(*status & KANIWA_STATUS_RUNNING))
            return KANIWA_OK;
        if (sees_bus_error(device))
            return KANIWA_BUS_ERROR_SEEN;
        if (device->wait)
            device->wait(device);
        looks++;
    } while (!device->limit || looks < device->limit);
    return KANIWA_NO_END;
}

int kaniwa_run(struct kaniwa *device, const struct kaniwa_model *model)
{
    uint32_t status;
    int result;

    if (device->loaded != model)
        return KANIWA_NOT_LOADED;
    device->error_code = device->error_instruction = 0;
    device->bus_error = device->bus_error_address = 0;
    give_states(device, model);
    if (HAS_WINDOW)
        write_register(device, KANIWA_BUS_ERROR, 0);
    kaniwa_acknowledge(device);
    if (HAS_WINDOW && device->wait)
        write_register(device, KANIWA_IRQ_ENABLE, KANIWA_IRQ_END | KANIWA_IRQ_BUS_ERROR);
    write_register(device, KANIWA_PROGRAM_ADDRESS, model->program_address);
    write_register(device, KANIWA_WATCHDOG, device->watchdog);
    KANIWA_BARRIER();
    write_register(device, KANIWA_CONTROL, KANIWA_CONTROL_RUN);
    result = wait_for_end(device, &status);
    KANIWA_BARRIER();
    if (result == KANIWA_OK) {
        if (sees_bus_error(device)) {
            result = KANIWA_BUS_ERROR_SEEN;
        } else if (!(status & KANIWA_STATUS_DONE)) {
            device->error_code = read_register(device, KANIWA_ERROR_CODE);
            device->error_instruction = read_register(device, KANIWA_ERROR_INSTRUCTION);
            result = device->error_code == ERROR_WATCHDOG ? KANIWA_WATCHDOG_BITE
                                                          : KANIWA_RUN_ERROR;
        }
    }
    if (HAS_WINDOW)
        write_register(device, KANIWA_IRQ_ENABLE, 0);
    result = outcome(device, result);
    if (result != KANIWA_OK) {
        kaniwa_abort(device); /* memory is not known: the model is to be loaded again */
        return result;
    }
    kaniwa_acknowledge(device);
    take_states(device, model);
    return kaniwa_outcome(device);
}

uint32_t kaniwa_cycles(const struct kaniwa *device)
{
    return read_register(device, KANIWA_CYCLES);
}

#ifdef KANIWA_SENSOR
#define SENSOR_VERSION UINT32_C(1)
#define SENSOR_OFFERING UINT32_C(0x100) /* of SENSOR_STATE */
#define TABLE_ENTRIES UINT32_C(256)

/* True where the ports can fill or read a tensor: on chip, its bytes one behind the other. */
static int is_plain(const struct kaniwa_tensor *tensor)
{
    return tensor->address < KANIWA_OUTSIDE && !tensor->axis_count;
}

int kaniwa_sensor_start(struct kaniwa *device, const struct kaniwa_model *model,
                        const struct kaniwa_tensor *input, const struct kaniwa_tensor *output,
                        const uint8_t *table, uint32_t control)
{
    uint32_t i, value;
    int result;

    if (device->loaded != model)
        return KANIWA_NOT_LOADED;
    if (read_register(device, KANIWA_SENSOR_VERSION) != SENSOR_VERSION || !is_plain(input)
        || !is_plain(output))
        return KANIWA_NO_SENSOR;
    for (i = 0; i < model->state_count; i++)
        if (model->states[i].kept)
            return KANIWA_NO_SENSOR;
    result = kaniwa_sensor_stop(device);
    if (result != KANIWA_OK)
        return result;
    if (table || input->flip) {
        control |= KANIWA_SENSOR_CONTROL_TABLE;
        for (i = 0; i < TABLE_ENTRIES; i++) {
            value = (table ? table[i] : i) ^ input->flip;
            write_register(device, KANIWA_SENSOR_TABLE, i << 8 | value);
        }
    }
    write_register(device, KANIWA_SENSOR_INPUT_ADDRESS, input->address);
    write_register(device, KANIWA_SENSOR_INPUT_LENGTH, input->bytes);
    write_register(device, KANIWA_SENSOR_OUTPUT_ADDRESS, output->address);
    write_register(device, KANIWA_SENSOR_OUTPUT_LENGTH, output->bytes);
    write_register(device, KANIWA_SENSOR_EVENTS, UINT32_MAX);
    write_register(device, KANIWA_PROGRAM_ADDRESS, model->program_address);
    write_register(device, KANIWA_WATCHDOG, device->watchdog);
    write_register(device, KANIWA_SENSOR_CONTROL, control | KANIWA_SENSOR_CONTROL_ENABLE);
    return KANIWA_OK;
}

int kaniwa_sensor_stop(struct kaniwa *device)
{
    uint32_t looks = 0;

    if (!read_register(device, KANIWA_SENSOR_VERSION))
        return KANIWA_NO_SENSOR;
    write_register(device, KANIWA_SENSOR_CONTROL, 0);
    do {
        if (!(read_register(device, KANIWA_STATUS) & KANIWA_STATUS_RUNNING)
            && !(read_register(device, KANIWA_SENSOR_STATE) & SENSOR_OFFERING))
            return KANIWA_OK;
        looks++;
    } while (!device->limit || looks < device->limit);
    return KANIWA_NO_END;
}
#endif

#ifndef KANIWA_NO_TEXT
static const char *const TEXTS[] = {
    "done",
    "no kaniwa core answers at this address",
    "the window or link is of another version than the driver",
    "the instruction set is of another version than the model",
    "the model was compiled for another config",
    "the model needs more memory on chip than there is in the window",
    "the model needs outside memory, or more of it, or its base is not aligned",
    "the model is not loaded",
    "the bus refused an access of the core",
    "the core ended the run with an error",
    "the core made no progress, and its watchdog ended the run",
    "the run did not end",
    "no ports for sensors that fit the model",
    "the exchange of bytes with the board failed",
    "the board does not answer",
    "the board was reset",
    "another host has opened the board",
    "memory of the board was used during a run",
};

static const char *const ERROR_TEXTS[] = {
    "no error",
    "unknown instruction",
    "a field outside its legal range",
    "unknown format in the weight stream",
    "an access outside device memory",
    "no progress for the time set",
    "aborted",
    "illegal program of a unit",
};

const char *kaniwa_text(int result)
{
    if (result < 0 || (size_t)result >= sizeof TEXTS / sizeof *TEXTS)
        return "unknown result";
    return TEXTS[result];
}

const char *kaniwa_error_text(uint32_t error_code)
{
    if (error_code >= sizeof ERROR_TEXTS / sizeof *ERROR_TEXTS)
        return "unknown error";
    return ERROR_TEXTS[error_code];
}
#endif
