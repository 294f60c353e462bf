/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The link to a kaniwa board over SPI, for a microcontroller. C99, without allocation, operating
 * system or C library. Define KANIWA_LINK for all files; kaniwa.h then includes this one.
 *
 *     static struct kaniwa_link link;
 *     static struct kaniwa device;
 *     kaniwa_link_init(&link, my_exchange, my_context);
 *     kaniwa_init(&device, &link);
 *     result = kaniwa_open(&device);             and so on, as in kaniwa.h
 *
 * A byte that is lost or changed on the way costs a retry, and never changes a result. docs/link.md
 * describes frames and rules.
 */
#ifndef KANIWA_LINK_H
#define KANIWA_LINK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes of an exchange, at most. */
#ifndef KANIWA_LINK_CHUNK
#define KANIWA_LINK_CHUNK 32
#endif

#define KANIWA_LINK_FRAME 256 /* bytes of the longest frame, with its zero */

/*
 * Send `bytes` of `out` and read as many to `in`, in mode 0 with the highest bit first. Chip select
 * goes down before them and up behind them. Gives 0, or another number if that failed.
 */
typedef int (*kaniwa_exchange)(void *context, const uint8_t *out, uint8_t *in, size_t bytes);

/* One line. kaniwa_link_init fills it. */
struct kaniwa_link {
    kaniwa_exchange exchange;
    void *context;
    uint32_t tries;      /* times that a request is sent, until the device is given up */
    uint32_t patience;   /* zeros that are read in a row, until a request is sent again */

    /* What the link found; to be read. */
    int result;          /* what went wrong first since the line was opened: nothing works then */
    uint32_t repeated;   /* requests that were sent again */
    uint32_t damaged;    /* replies that did not pass their check */
    uint8_t outside;     /* 1: the device has outside memory */

    /* The link's own. */
    uint8_t session, sequence, payload;
    uint8_t frame[KANIWA_LINK_FRAME + 1], reply[KANIWA_LINK_FRAME];
    uint16_t frame_bytes, reply_bytes;
};

/* Fill `link`: twelve tries. */
void kaniwa_link_init(struct kaniwa_link *link, kaniwa_exchange exchange, void *context);

/* Begin a session. Gives KANIWA_OK or what went wrong, as all of these do. */
int kaniwa_link_open(struct kaniwa_link *link);

/* Device memory; each byte is XORed with `flip`. Addresses from KANIWA_OUTSIDE on are outside. */
int kaniwa_link_write(struct kaniwa_link *link, uint32_t address, const uint8_t *data,
                      uint32_t bytes, uint8_t flip);
int kaniwa_link_read(struct kaniwa_link *link, uint32_t address, uint8_t *data, uint32_t bytes,
                     uint8_t flip);

/* Registers by index, as in kaniwa.h; what cannot be read is 0. */
int kaniwa_link_set(struct kaniwa_link *link, uint32_t index, uint32_t value);
uint32_t kaniwa_link_get(struct kaniwa_link *link, uint32_t index);

#ifdef __cplusplus
}
#endif

#endif
