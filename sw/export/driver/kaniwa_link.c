/* SPDX-License-Identifier: BSD-2-Clause */
#include "kaniwa.h"

#ifdef KANIWA_LINK

#define LINK_VERSION 1
#define SEQUENCES 64U
#define SESSIONS 16U
#define HEADER 6U /* of a request: operation and sequence number, word, count */
#define CRC_BYTES 4U
#define REPLY_HEADER 2U
#define WORD_BYTES 4U
#define MOST_PAYLOAD 244U
#define MOST_BODY 254U /* bytes of a frame that is not stuffed */
#define REGISTERS UINT32_C(0x40000000)
#define LINK_REGISTERS (REGISTERS + UINT32_C(0x200))
#define TRIES 12U
#define PATIENCE 600U /* the device makes its longest reply in the time of fewer bytes */
#define QUIET 64U     /* zeros in a row: nothing of an earlier host is on its way */
#define MOST_STALE 2048U

enum operation { OPEN = 0, WRITE = 1, READ = 2, REGISTER = 3 };
enum { DATA = 1, GAP = 2, GARBLED = 4, BUSY = 8 }; /* flags of a reply */

/* A request that waits for its reply. `to`: where the data of a READ goes. */
struct request {
    enum operation operation;
    uint32_t word;
    uint8_t count;
    uint8_t sequence;
    uint8_t *to;
    uint8_t flip;
};

/* Field by field, as all structures here: of constants the compiler would make a call of memcpy,
 * which may be missing. */
static void make(struct request *request, enum operation operation, uint32_t word, uint32_t count,
                 uint8_t flip)
{
    request->operation = operation;
    request->word = word;
    request->count = (uint8_t)count;
    request->sequence = 0;
    request->to = NULL;
    request->flip = flip;
}

/* What a reply means for the request. */
enum meaning { NOTHING, DONE, REPEAT };

/* CRC-32 as in zlib, four bits at a time; `crc` begins as UINT32_MAX and is inverted at the end. */
static uint32_t crc_step(uint32_t crc, uint8_t byte)
{
    static const uint32_t TABLE[16] = {
        0x00000000U, 0x1db71064U, 0x3b6e20c8U, 0x26d930acU, 0x76dc4190U, 0x6b6b51f4U,
        0x4db26158U, 0x5005713cU, 0xedb88320U, 0xf00f9344U, 0xd6d6a3e8U, 0xcb61b38cU,
        0x9b64c2b0U, 0x86d3d2d4U, 0xa00ae278U, 0xbdbdf21cU,
    };

    crc ^= byte;
    crc = crc >> 4 ^ TABLE[crc & 15U];
    return crc >> 4 ^ TABLE[crc & 15U];
}

/* Stuffing of a request: each part without zeros has its length plus 1 in front. */
struct stuffing {
    uint8_t *frame;
    uint16_t code, next; /* places of the part's code and of the next byte */
    uint32_t crc;
};

static void stuff(struct stuffing *state, uint8_t byte)
{
    if (byte) {
        state->frame[state->next++] = byte;
    } else {
        state->frame[state->code] = (uint8_t)(state->next - state->code);
        state->code = state->next++;
    }
}

static void put(struct stuffing *state, uint8_t byte)
{
    state->crc = crc_step(state->crc, byte);
    stuff(state, byte);
}

/* The frame of a request, between zeros: the first one ends what a fault may have left. */
static void encode(struct kaniwa_link *link, const struct request *request, const uint8_t *data)
{
    struct stuffing state;
    uint32_t i;

    state.frame = link->frame;
    state.code = 1;
    state.next = 2;
    state.crc = UINT32_MAX;
    link->frame[0] = 0;
    put(&state, (uint8_t)((uint32_t)request->operation << 6 | request->sequence));
    for (i = 0; i < WORD_BYTES; i++)
        put(&state, (uint8_t)(request->word >> 8 * i));
    put(&state, request->count);
    for (i = 0; request->operation == WRITE && i < request->count; i++)
        put(&state, (uint8_t)(data[i] ^ request->flip));
    for (i = 0; i < CRC_BYTES; i++)
        stuff(&state, (uint8_t)(~state.crc >> 8 * i));
    stuff(&state, 0); /* closes the last part; its place has the frame's own zero */
    link->frame[state.code] = 0;
    link->frame_bytes = (uint16_t)(state.code + 1U);
}

/*
 * Put the zeros back into the reply, from its end: behind each part is its length plus 1. Gives the
 * bytes of the body without its CRC; 0 for a damaged one.
 */
static uint32_t decode(struct kaniwa_link *link)
{
    uint8_t *reply = link->reply;
    uint32_t at = link->reply_bytes, bytes = at - 1U, crc = UINT32_MAX, i;
    uint32_t found = 0;

    while (at) {
        uint8_t code = reply[at - 1U];

        if (!code || code > at)
            return 0;
        reply[at - 1U] = 0;
        at -= code;
    }
    if (bytes < REPLY_HEADER + CRC_BYTES || bytes > MOST_BODY)
        return 0;
    bytes -= CRC_BYTES;
    for (i = 0; i < bytes; i++)
        crc = crc_step(crc, reply[i]);
    for (i = 0; i < CRC_BYTES; i++)
        found |= (uint32_t)reply[bytes + i] << 8 * i;
    return found == ~crc ? bytes : 0;
}

static int fail(struct kaniwa_link *link, int result)
{
    if (!link->result)
        link->result = result;
    return link->result;
}

/* What the answer to a READ, of `bytes`, means; takes its data. */
static enum meaning take_data(const struct kaniwa_link *link, const struct request *request,
                              uint32_t bytes)
{
    const uint8_t *body = link->reply + REPLY_HEADER;
    uint32_t address = 0, i;

    for (i = 0; i < WORD_BYTES; i++)
        address |= (uint32_t)body[i] << 8 * i;
    if (request->operation != READ || address != request->word
        || link->reply[1] != request->sequence
        || bytes != REPLY_HEADER + WORD_BYTES + request->count)
        return NOTHING; /* to a request that was sent twice */
    for (i = 0; i < request->count; i++)
        request->to[i] = (uint8_t)(body[WORD_BYTES + i] ^ request->flip);
    return DONE;
}

/* What the frame in `reply` means for the request. */
static enum meaning take_reply(struct kaniwa_link *link, const struct request *request)
{
    uint32_t bytes = decode(link), flags = link->reply[0] & 15U;
    uint32_t session = (uint32_t)link->reply[0] >> 4;

    if (!bytes) {
        link->damaged++;
        return REPEAT;
    }
    if (request->operation == OPEN)
        return session == request->count ? DONE : NOTHING;
    if (session != link->session) {
        fail(link, session ? KANIWA_OTHER_HOST : KANIWA_WAS_RESET);
        return DONE;
    }
    if (flags & DATA)
        return bytes > REPLY_HEADER + WORD_BYTES ? take_data(link, request, bytes) : NOTHING;
    if (flags & BUSY) {
        fail(link, KANIWA_BUSY);
        return DONE;
    }
    if (request->operation != READ && link->reply[1] == (request->sequence + 1U) % SEQUENCES)
        return DONE;
    return flags & (GAP | GARBLED) ? REPEAT : NOTHING;
}

/* Add a byte of the line to `reply`; what its end means. */
static enum meaning take_byte(struct kaniwa_link *link, const struct request *request, uint8_t byte)
{
    enum meaning meaning = NOTHING;

    if (byte) {
        if (link->reply_bytes < KANIWA_LINK_FRAME)
            link->reply[link->reply_bytes++] = byte; /* else too long: its check will fail */
    } else {
        if (link->reply_bytes)
            meaning = take_reply(link, request);
        link->reply_bytes = 0;
    }
    return meaning;
}

/* Exchange `bytes` of `out`, or zeros for NULL; what comes means the greatest of its meanings. */
static enum meaning pass(struct kaniwa_link *link, const struct request *request,
                         const uint8_t *out, uint32_t bytes, uint32_t *zeros)
{
    static const uint8_t NOTHING_TO_SAY[KANIWA_LINK_CHUNK] = {0};
    uint8_t in[KANIWA_LINK_CHUNK];
    enum meaning meaning = NOTHING, now;
    uint32_t i;

    if (link->exchange(link->context, out ? out : NOTHING_TO_SAY, in, bytes)) {
        fail(link, KANIWA_LINE_FAILED);
        return DONE;
    }
    for (i = 0; i < bytes; i++) {
        *zeros = in[i] ? 0 : *zeros + 1U;
        now = take_byte(link, request, in[i]);
        if (meaning != DONE && now != NOTHING)
            meaning = now;
    }
    return meaning;
}

/* Send the frame, to its end whatever comes. Then read until the reply is here, or must be lost. */
static enum meaning try_once(struct kaniwa_link *link, const struct request *request)
{
    enum meaning meaning = NOTHING;
    uint32_t at, bytes, zeros = 0, silence;

    for (at = 0; at < link->frame_bytes; at += bytes) {
        bytes = link->frame_bytes - at;
        if (bytes > KANIWA_LINK_CHUNK)
            bytes = KANIWA_LINK_CHUNK;
        if (pass(link, request, link->frame + at, bytes, &zeros) == DONE)
            meaning = DONE; /* to what was sent before: a notice of then does not count */
        if (link->result)
            return DONE;
    }
    /* Noise may keep the line from being silent: then it is given up, too. */
    for (silence = zeros = 0; meaning == NOTHING && zeros < link->patience
                              && silence < 4U * link->patience; silence += KANIWA_LINK_CHUNK)
        meaning = pass(link, request, NULL, KANIWA_LINK_CHUNK, &zeros);
    return meaning;
}

/* Have a request done: `data` is that of a WRITE. */
static int perform(struct kaniwa_link *link, struct request *request, const uint8_t *data)
{
    uint32_t try;

    if (link->result)
        return link->result;
    request->sequence = request->operation == OPEN ? 0 : link->sequence;
    for (try = 0; try < link->tries; try++) {
        link->repeated += try > 0;
        encode(link, request, data);
        if (try_once(link, request) == DONE) {
            if (request->operation == WRITE || request->operation == REGISTER)
                link->sequence = (uint8_t)((link->sequence + 1U) % SEQUENCES);
            return link->result;
        }
    }
    return fail(link, KANIWA_NO_ANSWER);
}

void kaniwa_link_init(struct kaniwa_link *link, kaniwa_exchange exchange, void *context)
{
    link->exchange = exchange;
    link->context = context;
    link->tries = TRIES;
    link->patience = PATIENCE;
    link->result = KANIWA_OK;
    link->repeated = link->damaged = 0;
    link->outside = 0;
    link->session = link->sequence = 0;
    link->payload = MOST_PAYLOAD;
    link->frame_bytes = link->reply_bytes = 0;
}

/* Read what an earlier host may have left, until the device has nothing to say. */
static void drain(struct kaniwa_link *link)
{
    struct request none;
    uint32_t read, zeros = 0;

    make(&none, OPEN, 0, SESSIONS, 0); /* no reply has such a session */
    for (read = 0; zeros < QUIET && read < MOST_STALE && !link->result; read += KANIWA_LINK_CHUNK)
        pass(link, &none, NULL, KANIWA_LINK_CHUNK, &zeros);
}

/* Have the device take the next session; its number is not 0, which is that behind a reset. */
static int begin(struct kaniwa_link *link)
{
    struct request open;

    link->session = (uint8_t)(link->session % (SESSIONS - 1U) + 1U);
    link->sequence = 0;
    make(&open, OPEN, 0, link->session, 0);
    return perform(link, &open, NULL);
}

int kaniwa_link_open(struct kaniwa_link *link)
{
    uint8_t about[8] = {0};

    link->result = KANIWA_OK;
    link->reply_bytes = 0;
    drain(link);
    begin(link);
    begin(link); /* when this one is answered, replies to an earlier host are all through */
    link->payload = sizeof about;
    if (kaniwa_link_read(link, LINK_REGISTERS, about, sizeof about, 0))
        return link->result;
    if (about[0] != LINK_VERSION || !about[1])
        return fail(link, KANIWA_OTHER_BUS);
    link->payload = about[1] < MOST_PAYLOAD ? about[1] : (uint8_t)MOST_PAYLOAD;
    link->outside = about[7] & 1U;
    return KANIWA_OK;
}

int kaniwa_link_write(struct kaniwa_link *link, uint32_t address, const uint8_t *data,
                      uint32_t bytes, uint8_t flip)
{
    struct request request;

    for (; bytes && !link->result; bytes -= request.count) {
        make(&request, WRITE, address, bytes < link->payload ? bytes : link->payload, flip);
        perform(link, &request, data);
        address += request.count;
        data += request.count;
    }
    return link->result;
}

int kaniwa_link_read(struct kaniwa_link *link, uint32_t address, uint8_t *data, uint32_t bytes,
                     uint8_t flip)
{
    struct request request;

    for (; bytes && !link->result; bytes -= request.count) {
        make(&request, READ, address, bytes < link->payload ? bytes : link->payload, flip);
        request.to = data;
        perform(link, &request, NULL);
        address += request.count;
        data += request.count;
    }
    return link->result;
}

int kaniwa_link_set(struct kaniwa_link *link, uint32_t index, uint32_t value)
{
    struct request request;

    make(&request, REGISTER, value, index, 0);
    return perform(link, &request, NULL);
}

uint32_t kaniwa_link_get(struct kaniwa_link *link, uint32_t index)
{
    uint8_t bytes[4] = {0};

    if (kaniwa_link_read(link, REGISTERS + 4U * index, bytes, sizeof bytes, 0))
        return 0;
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16
           | (uint32_t)bytes[3] << 24;
}

#endif
