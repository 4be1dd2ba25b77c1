/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/session.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define LARGEST_FRAME_BYTES (FRAME_BYTES_MAX + FRAME_LENGTH_BYTES)

/* Text of a peer goes to logs and terminals: nothing but printable ASCII is kept. */
static void text_copy(struct span text, char *out, size_t out_size)
{
    size_t size = text.size < out_size ? text.size : out_size - 1;

    for (size_t i = 0; i < size; i++)
        out[i] = text.data[i] >= 0x20 && text.data[i] < 0x7f ? (char)text.data[i] : '?';
    out[size] = '\0';
}

enum frame_code session_code_of(enum torg_err err)
{
    switch (err) {
    case TORG_E_TOO_BIG:
        return FRAME_CODE_TOO_BIG;
    case TORG_E_SIGNATURE:
        return FRAME_CODE_BAD_SIG;
    case TORG_E_MISMATCH:
        return FRAME_CODE_MISMATCH;
    case TORG_E_NOT_TRUSTED:
        return FRAME_CODE_NOT_MEMBER;
    case TORG_E_NOT_FOUND:
        return FRAME_CODE_NOT_HELD;
    case TORG_E_VERSION:
        return FRAME_CODE_VERSION;
    case TORG_E_BUSY:
        return FRAME_CODE_BUSY;
    case TORG_E_TRUNCATED:
    case TORG_E_PROFILE:
    case TORG_E_INVALID:
    case TORG_E_UNEXPECTED:
        return FRAME_CODE_BAD_FRAME;
    default:
        return FRAME_CODE_INTERNAL;
    }
}

/* ---- out ---- */

size_t session_queued_bytes(const struct session *session)
{
    return session->unsent_bytes + session->output.size;
}

bool session_may_send(struct session *session, enum frame_class class, size_t bytes, int64_t now_ms)
{
    session->touched = true;
    if (session->state == SESSION_CLOSED)
        return false;
    if (class == FRAME_CLASS_REQUEST || class == FRAME_CLASS_CONTROL)
        return true;
    /* The greeting tells how much the peer takes. */
    if (session->state != SESSION_OPEN)
        return false;
    if (session->credit_out[class] < bytes) {
        if (!session->blocked_since_ms[class])
            session->blocked_since_ms[class] = now_ms;
        return false;
    }
    return session_queued_bytes(session) + bytes <= session->config.output_queue_bytes;
}

static void overflow_check(struct session *session)
{
    size_t limit = (size_t)session->config.output_queue_bytes + SESSION_OUTPUT_SLACK_BYTES;

    /* It asks and asks and does not read the answers. */
    if (session->state != SESSION_CLOSED && session_queued_bytes(session) > limit)
        session_close(session, TORG_E_BUSY, FRAME_CODE_BUSY, "output is not read");
}

/* bytes: as it is charged; wire_bytes: as it leaves. */
static void sent(struct session *session, uint8_t type, size_t bytes, size_t wire_bytes)
{
    enum frame_class class = frame_class_of(type);

    if (class == FRAME_CLASS_LIVE || class == FRAME_CLASS_SYNC) {
        assert(session->credit_out[class] >= bytes);
        session->credit_out[class] -= bytes;
    }
    session->frames_out++;
    session->bytes_out += wire_bytes;
    session->saved_out += bytes - wire_bytes;
    overflow_check(session);
}

/* The frame that stands in the output from start on, packed in its place if that pays. */
static enum torg_err output_zip(struct session *session, uint8_t type, size_t start)
{
    struct buffer *output = &session->output;
    struct span zipped;
    enum torg_err err;

    if (!session->zips || !frame_zip_pays(type))
        return TORG_OK;
    err = frame_zip_pack(session->config.zip, span_of(output->data + start, output->size - start),
                         &zipped);
    if (err)
        return err == TORG_E_TOO_BIG ? TORG_OK : err;
    output->size = start;
    buffer_put_span(output, zipped);
    return output->err;
}

enum torg_err session_send(struct session *session, const struct frame *frame, int64_t now_ms)
{
    size_t before = session->output.size;
    size_t bytes;
    enum torg_err err;

    if (session->state == SESSION_CLOSED)
        return TORG_E_BUSY;
    err = frame_encode(frame, &session->output);
    if (err)
        return err;
    bytes = session->output.size - before;
    session->output.size = before;
    if (!session_may_send(session, frame_class_of(frame->type), bytes, now_ms)) {
        session->refused_bytes = bytes;
        return TORG_E_BUSY;
    }
    session->output.size = before + bytes;
    err = output_zip(session, frame->type, before);
    if (err)
        session->output.size = before;
    else
        sent(session, frame->type, bytes, session->output.size - before);
    return err;
}

enum torg_err session_send_encoded(struct session *session, struct span encoded, struct span zipped,
                                   int64_t now_ms)
{
    struct span leaves = session->zips && zipped.size ? zipped : encoded;
    uint8_t type;

    assert(encoded.size > FRAME_PREFIX_BYTES);
    type = encoded.data[FRAME_LENGTH_BYTES];
    if (!session_may_send(session, frame_class_of(type), encoded.size, now_ms))
        return TORG_E_BUSY;
    buffer_put_span(&session->output, leaves);
    if (session->output.err)
        return session->output.err;
    sent(session, type, encoded.size, leaves.size);
    return TORG_OK;
}

void session_take_output(struct session *session, struct buffer *ret_output)
{
    *ret_output = session->output;
    session->unsent_bytes += session->output.size;
    session->output = (struct buffer){0};
}

void session_drained(struct session *session, size_t queued_bytes)
{
    session->touched = true;
    session->unsent_bytes = queued_bytes;
}

/* ---- closing ---- */

static void close_with(struct session *session, enum torg_err err, enum frame_code code,
                       const char *text)
{
    session->touched = true;
    session->state = SESSION_CLOSED;
    session->close_err = err;
    session->close_code = code;
    text_copy(span_of_str(text), session->close_text, sizeof(session->close_text));
    session->input = (struct span){0};
}

void session_close(struct session *session, enum torg_err err, enum frame_code code,
                   const char *text)
{
    struct frame frame = {.type = FRAME_GOAWAY};
    size_t before = session->output.size;

    if (session->state == SESSION_CLOSED)
        return;
    close_with(session, err, code, text);
    frame.goaway.code = code;
    frame.goaway.text = span_of_str(session->close_text);
    if (frame_encode(&frame, &session->output))
        return; /* the connection ends anyway */
    session->frames_out++;
    session->bytes_out += session->output.size - before;
}

void session_close_fault(struct session *session, enum torg_err err, enum frame_code code)
{
    char text[96];

    snprintf(text, sizeof(text), "%s: %s", frame_type_name(session->frame_type),
             torg_err_text(err));
    session_close(session, err, code, text);
}

/* ---- credits and rates ---- */

static uint64_t window(const struct session *session, enum frame_class class)
{
    return class == FRAME_CLASS_LIVE ? session->config.live_credit_bytes
                                     : session->config.sync_credit_bytes;
}

void session_release(struct session *session, enum frame_class class, size_t bytes)
{
    struct frame frame = {.type = FRAME_CREDIT};

    session->touched = true;
    if (class != FRAME_CLASS_LIVE && class != FRAME_CLASS_SYNC)
        return;
    session->credit_owed[class] += bytes;
    /* In halves of the window, so that credits are few and the peer never waits long. */
    if (session->state != SESSION_OPEN || session->credit_owed[class] < window(session, class) / 2)
        return;
    frame.credit.class = class;
    frame.credit.bytes = session->credit_owed[class];
    if (session_send(session, &frame, session->heard_ms))
        return; /* out of memory: it is still owed and the next release tries again */
    session->credit_in[class] += session->credit_owed[class];
    session->credit_owed[class] = 0;
    if (session->credit_in[class] >= LARGEST_FRAME_BYTES)
        session->held_since_ms[class] = 0;
}

void session_charge(struct session *session, unsigned frames, int64_t now_ms)
{
    int64_t passed_ms = now_ms - session->control_at_ms;

    if (session->state == SESSION_CLOSED)
        return;
    session->control_at_ms = now_ms;
    if (passed_ms > SESSION_SILENT_MS_MAX)
        passed_ms = SESSION_SILENT_MS_MAX;
    session->control_tokens_milli += passed_ms * SESSION_CONTROL_PER_S;
    if (session->control_tokens_milli > (int64_t)SESSION_CONTROL_BURST * 1000)
        session->control_tokens_milli = (int64_t)SESSION_CONTROL_BURST * 1000;
    session->control_tokens_milli -= (int64_t)frames * 1000;
    if (session->control_tokens_milli < 0)
        session_close(session, TORG_E_BUSY, FRAME_CODE_RATE, "too many control frames");
}

/* What has come is charged before anybody looks at it. */
static enum torg_err charge_frame(struct session *session, int64_t now_ms)
{
    enum frame_class class = session->frame_class;

    if (class == FRAME_CLASS_CONTROL)
        session_charge(session, 1, now_ms);
    if (session->state == SESSION_CLOSED)
        return session->close_err;
    if (class != FRAME_CLASS_LIVE && class != FRAME_CLASS_SYNC)
        return TORG_OK;
    if (session->frame_bytes > session->credit_in[class]) {
        session_close_fault(session, TORG_E_UNEXPECTED, FRAME_CODE_CREDIT_VIOLATION);
        return TORG_E_UNEXPECTED;
    }
    session->credit_in[class] -= session->frame_bytes;
    if (session->credit_in[class] < LARGEST_FRAME_BYTES && !session->held_since_ms[class])
        session->held_since_ms[class] = now_ms;
    return TORG_OK;
}

/* ---- what concerns the connection itself ---- */

static void greet(struct session *session, const struct frame_hello *hello, int64_t now_ms,
                  int64_t clock_ms)
{
    const struct session_config *config = &session->config;
    uint64_t version =
        hello->version_max < config->version_max ? hello->version_max : config->version_max;
    char text[96];

    if (version < hello->version_min || version < config->version_min) {
        snprintf(text, sizeof(text), "versions %" PRIu64 "..%" PRIu64 " and %" PRIu64 "..%" PRIu64,
                 config->version_min, config->version_max, hello->version_min, hello->version_max);
        session_close(session, TORG_E_VERSION, FRAME_CODE_VERSION, text);
        return;
    }
    session->version = version;
    session->state = SESSION_OPEN;
    session->zips = config->zip && hello->caps & FRAME_CAP_ZSTD;
    session->credit_out[FRAME_CLASS_LIVE] = hello->live_credit_bytes;
    session->credit_out[FRAME_CLASS_SYNC] = hello->sync_credit_bytes;
    session->peer_has_origin = hello->has_origin;
    session->peer_origin = hello->origin;
    session->peer_clock_offset_ms = hello->now_ms - clock_ms;
    text_copy(hello->software, session->peer_software, sizeof(session->peer_software));
    session->ping_ms = now_ms - SESSION_PING_MS; /* the first one now, to know the RTT */
    session_tick(session, now_ms, clock_ms);
}

static void credit_take(struct session *session, const struct frame *frame)
{
    unsigned class = (unsigned)frame->credit.class;

    session->credit_out[class] += frame->credit.bytes;
    session->blocked_since_ms[class] = 0;
    session->credit_came = true;
    if (session->credit_out[class] > FRAME_CREDIT_BYTES_MAX)
        session->credit_out[class] = FRAME_CREDIT_BYTES_MAX;
}

static void answer_ping(struct session *session, const struct frame *frame, int64_t now_ms,
                        int64_t clock_ms)
{
    struct frame pong = {.type = FRAME_PONG};

    pong.ping.nonce = frame->ping.nonce;
    pong.ping.now_ms = clock_ms;
    pong.ping.queued_bytes = session_queued_bytes(session);
    if (session_send(session, &pong, now_ms))
        return; /* out of memory: the peer sees silence */
}

static void peer_leaves(struct session *session, const struct frame *frame)
{
    char text[sizeof(session->close_text)];

    text_copy(frame->goaway.text, text, sizeof(text));
    close_with(session, TORG_E_UNEXPECTED, (enum frame_code)frame->goaway.code, text);
    session->closed_by_peer = true;
    session->retry_after_s = frame->goaway.retry_after_s;
}

/* True if the frame was for the session alone. */
static bool handle(struct session *session, const struct frame *frame, int64_t now_ms,
                   int64_t clock_ms)
{
    if (session->state == SESSION_GREETING && frame->type != FRAME_HELLO &&
        frame->type != FRAME_GOAWAY) {
        session_close_fault(session, TORG_E_UNEXPECTED, FRAME_CODE_BAD_FRAME);
        return true;
    }
    switch (frame->type) {
    case FRAME_HELLO:
        if (session->state == SESSION_GREETING)
            greet(session, &frame->hello, now_ms, clock_ms);
        else
            session_close_fault(session, TORG_E_UNEXPECTED, FRAME_CODE_BAD_FRAME);
        return true;
    case FRAME_CREDIT:
        credit_take(session, frame);
        return true;
    case FRAME_PING:
        answer_ping(session, frame, now_ms, clock_ms);
        return true;
    case FRAME_PONG:
        if (frame->ping.nonce == session->ping_nonce)
            session->rtt_ms = now_ms - session->ping_ms;
        return true;
    case FRAME_GOAWAY:
        peer_leaves(session, frame);
        return true;
    case FRAME_SUB:
        session->got_sub = true;
        return false;
    case FRAME_SUMMARY:
        session->got_summary = true;
        return false;
    default:
        return false;
    }
}

/* ---- in ---- */

void session_input(struct session *session, struct span bytes, int64_t now_ms)
{
    session->touched = true;
    if (session->state == SESSION_CLOSED)
        return;
    assert(session->input.size == 0);
    session->input = bytes;
    session->bytes_in += bytes.size;
    session->heard_ms = now_ms;
}

/* Move bytes from the input to partial until it holds size. */
static enum torg_err gather(struct session *session, size_t size)
{
    size_t more = size - session->partial.size;

    if (more > session->input.size)
        more = session->input.size;
    buffer_put(&session->partial, session->input.data, more);
    if (session->partial.err)
        return session->partial.err;
    session->input.data += more;
    session->input.size -= more;
    return session->partial.size < size ? TORG_E_TRUNCATED : TORG_OK;
}

/* A whole frame's bytes, in place when they came in one piece. */
static enum torg_err cut(struct session *session, struct frame_prefix *ret_prefix,
                         struct span *ret_body)
{
    struct span whole;
    enum torg_err err;

    if (session->partial_taken) {
        /* A large frame's memory is not kept for a small one's sake. */
        if (session->partial.capacity > FRAME_BYTES_MAX / 8)
            buffer_done(&session->partial);
        else
            buffer_clear(&session->partial);
        session->partial_taken = false;
    }
    if (session->plain.capacity > FRAME_BYTES_MAX / 8)
        buffer_done(&session->plain);
    if (session->partial.size == 0 && session->input.size == 0)
        return TORG_E_TRUNCATED;
    if (session->partial.size == 0) {
        err = frame_prefix_read(session->input, ret_prefix);
        if (err && err != TORG_E_TRUNCATED)
            return err;
        if (!err && session->input.size >= FRAME_PREFIX_BYTES + ret_prefix->body_size) {
            whole = session->input;
            session->input.data += FRAME_PREFIX_BYTES + ret_prefix->body_size;
            session->input.size -= FRAME_PREFIX_BYTES + ret_prefix->body_size;
            *ret_body = span_of(whole.data + FRAME_PREFIX_BYTES, ret_prefix->body_size);
            return TORG_OK;
        }
    }
    err =
        session->partial.size < FRAME_PREFIX_BYTES ? gather(session, FRAME_PREFIX_BYTES) : TORG_OK;
    if (err && (err != TORG_E_TRUNCATED || session->partial.size < FRAME_LENGTH_BYTES))
        return err;
    err = frame_prefix_read(buffer_span(&session->partial), ret_prefix);
    if (err)
        return err;
    err = gather(session, FRAME_PREFIX_BYTES + ret_prefix->body_size);
    if (err)
        return err;
    session->partial_taken = true;
    *ret_body = span_of(session->partial.data + FRAME_PREFIX_BYTES, ret_prefix->body_size);
    return TORG_OK;
}

/* A packed frame is charged what it will take when unpacked, before that is done. */
static enum torg_err zip_check(struct session *session, const struct frame_prefix *prefix,
                               struct span body, int64_t now_ms)
{
    size_t plain_bytes;
    enum torg_err err;

    if (prefix->flags != FRAME_FLAG_ZSTD || !session->zips || !frame_zip_allowed(prefix->type))
        return TORG_E_INVALID; /* it was not agreed on; other flags do not exist */
    err = frame_zip_size(body, &plain_bytes);
    if (err)
        return err == TORG_E_TOO_BIG ? TORG_E_INVALID : err;
    session->frame_bytes = FRAME_PREFIX_BYTES + plain_bytes;
    session->saved_in += plain_bytes > body.size ? plain_bytes - body.size : 0;
    if (session->frame_class == FRAME_CLASS_CONTROL || session->frame_class == FRAME_CLASS_REQUEST)
        session_charge(session, (unsigned)(plain_bytes / FRAME_ZIP_CHARGE_BYTES), now_ms);
    return session->state == SESSION_CLOSED ? session->close_err : TORG_OK;
}

static enum torg_err next_frame(struct session *session, int64_t now_ms, struct frame *ret_frame)
{
    struct frame_prefix prefix = {0};
    struct span body = {0};
    enum torg_err err;

    err = cut(session, &prefix, &body);
    if (err)
        return err;
    session->frame_type = prefix.type;
    session->frame_class = frame_class_of(prefix.type);
    session->frame_bytes = FRAME_PREFIX_BYTES + prefix.body_size;
    session->frame_body = body;
    session->frames_in++;
    if (prefix.flags) {
        err = zip_check(session, &prefix, body, now_ms);
        if (err)
            return err;
    }
    err = charge_frame(session, now_ms);
    if (!err && prefix.flags) {
        err = frame_zip_unpack(session->config.zip, body, &session->plain);
        session->frame_body = buffer_span(&session->plain);
    }
    return err ? err : frame_decode(prefix.type, session->frame_body, ret_frame);
}

enum torg_err session_next(struct session *session, int64_t now_ms, int64_t clock_ms,
                           struct frame *ret_frame)
{
    struct frame frame;
    enum torg_err err;

    do {
        if (session->state == SESSION_CLOSED)
            return session->close_err;
        err = next_frame(session, now_ms, &frame);
        if (session->state == SESSION_CLOSED)
            return session->close_err;
        if (err == TORG_E_UNEXPECTED && session->state == SESSION_OPEN)
            return err;
        if (err && err != TORG_E_TRUNCATED && err != TORG_E_NOMEM)
            session_close_fault(session, err, session_code_of(err));
        if (err)
            return err;
    } while (handle(session, &frame, now_ms, clock_ms));
    *ret_frame = frame;
    return TORG_OK;
}

/* ---- time ---- */

void session_tick(struct session *session, int64_t now_ms, int64_t clock_ms)
{
    struct frame ping = {.type = FRAME_PING};

    if (session->state == SESSION_CLOSED)
        return;
    session->ticked_ms = now_ms;
    if (session->state == SESSION_GREETING) {
        if (now_ms >= session->opened_ms + SESSION_HELLO_MS_MAX)
            session_close(session, TORG_E_UNEXPECTED, FRAME_CODE_NONE, "no hello in time");
        return;
    }
    if (now_ms >= session->heard_ms + SESSION_SILENT_MS_MAX) {
        session_close(session, TORG_E_UNEXPECTED, FRAME_CODE_NONE, "silent");
        return;
    }
    if (!(session->got_sub && session->got_summary) &&
        now_ms >= session->opened_ms + SESSION_SUMMARY_MS_MAX) {
        session_close(session, TORG_E_UNEXPECTED, FRAME_CODE_NONE, "no summary in time");
        return;
    }
    if (now_ms < session->ping_ms + SESSION_PING_MS)
        return;
    session->ping_ms = now_ms;
    session->ping_nonce++;
    ping.ping.nonce = session->ping_nonce;
    ping.ping.now_ms = clock_ms;
    ping.ping.queued_bytes = session_queued_bytes(session);
    if (session_send(session, &ping, now_ms))
        return; /* out of memory: the next tick tries again */
}

/* A stall is told when its time has come, and then once. */
static int64_t stall_due_ms(const struct session *session, int64_t since_ms, int64_t next_ms)
{
    int64_t due_ms = since_ms + SESSION_STALLED_MS;

    return since_ms && due_ms > session->ticked_ms && due_ms < next_ms ? due_ms : next_ms;
}

int64_t session_next_tick_ms(const struct session *session)
{
    int64_t next_ms = session->ping_ms + SESSION_PING_MS;

    if (session->state == SESSION_CLOSED)
        return INT64_MAX;
    if (session->state == SESSION_GREETING)
        return session->opened_ms + SESSION_HELLO_MS_MAX;
    if (session->heard_ms + SESSION_SILENT_MS_MAX < next_ms)
        next_ms = session->heard_ms + SESSION_SILENT_MS_MAX;
    if (!(session->got_sub && session->got_summary) &&
        session->opened_ms + SESSION_SUMMARY_MS_MAX < next_ms)
        next_ms = session->opened_ms + SESSION_SUMMARY_MS_MAX;
    for (unsigned class = 0; class < SESSION_CLASSES; class ++) {
        next_ms = stall_due_ms(session, session->blocked_since_ms[class], next_ms);
        next_ms = stall_due_ms(session, session->held_since_ms[class], next_ms);
    }
    return next_ms;
}

static bool any_is_overdue(const int64_t since_ms[SESSION_CLASSES], int64_t now_ms)
{
    for (unsigned class = 0; class < SESSION_CLASSES; class ++) {
        if (since_ms[class] && now_ms >= since_ms[class] + SESSION_STALLED_MS)
            return true;
    }
    return false;
}

bool session_stalled(const struct session *session, int64_t now_ms)
{
    return any_is_overdue(session->blocked_since_ms, now_ms);
}

bool session_holds_back(const struct session *session, int64_t now_ms)
{
    return any_is_overdue(session->held_since_ms, now_ms);
}

/* ---- begin and end ---- */

enum torg_err session_init(struct session *session, const struct session_config *config,
                           int64_t now_ms, int64_t clock_ms)
{
    struct frame frame = {.type = FRAME_HELLO};
    enum torg_err err;

    *session = (struct session){
        .touched = true,
        .config = *config,
        .state = SESSION_GREETING,
        .opened_ms = now_ms,
        .heard_ms = now_ms,
        .control_at_ms = now_ms,
        .control_tokens_milli = (int64_t)SESSION_CONTROL_BURST * 1000,
        .rtt_ms = -1,
    };
    session->credit_in[FRAME_CLASS_LIVE] = config->live_credit_bytes;
    session->credit_in[FRAME_CLASS_SYNC] = config->sync_credit_bytes;
    frame.hello = (struct frame_hello){
        .version_min = config->version_min,
        .version_max = config->version_max,
        .caps = config->zip ? FRAME_CAP_ZSTD : 0,
        .has_origin = config->has_origin,
        .origin = config->origin,
        .live_credit_bytes = config->live_credit_bytes,
        .sync_credit_bytes = config->sync_credit_bytes,
        .now_ms = clock_ms,
        .software = config->software,
        .session = config->id,
    };
    session->config.software = (struct span){0}; /* borrowed for this call only */
    err = session_send(session, &frame, now_ms);
    if (err)
        session_done(session);
    return err;
}

void session_done(struct session *session)
{
    buffer_done(&session->partial);
    buffer_done(&session->plain);
    buffer_done(&session->output);
    session->input = (struct span){0};
}
