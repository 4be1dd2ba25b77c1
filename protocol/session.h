/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_SESSION_H
#define TORG_PROTOCOL_SESSION_H

#include "protocol/frame_zip.h"

/*
 * One connection: bytes in, whole frames out, and everything that is the same
 * whatever the frames say: the greeting and the common version, credits, rates,
 * signs of life, a bounded output, closing with a reason. It knows no origin.
 *
 * A session does no I/O. The caller feeds session_input, takes frames with
 * session_next until TORG_E_TRUNCATED, and moves the output away after each
 * step. Once state is SESSION_CLOSED, only what was said in closing remains to
 * be sent. Behaviour: docs/protocol.md, "A connection".
 */
#define SESSION_VERSION_MIN 1
#define SESSION_VERSION_MAX 1
#define SESSION_HELLO_MS_MAX 5000
#define SESSION_SUMMARY_MS_MAX 15000
#define SESSION_PING_MS 20000
#define SESSION_SILENT_MS_MAX 60000
#define SESSION_STALLED_MS 30000
/* Control frames that a peer may send at once, and then per second. */
#define SESSION_CONTROL_BURST 512
#define SESSION_CONTROL_PER_S 64
/* Output above the queue's limit that answers may still take before we hang up. */
#define SESSION_OUTPUT_SLACK_BYTES 1048576

enum session_state {
    SESSION_GREETING, /* our HELLO is out, theirs has not come */
    SESSION_OPEN,
    SESSION_CLOSED,
};

struct session_config {
    uint64_t version_min, version_max;
    bool has_origin;
    struct origin_id origin;
    uint32_t live_credit_bytes; /* what the peer may send before we grant more */
    uint32_t sync_credit_bytes;
    uint32_t output_queue_bytes;
    struct frame_zip *zip; /* to pack and unpack with; borrowed. NULL: neither is offered */
    struct span software;  /* copied into the HELLO */
    uint64_t id;           /* at most INTEGER_MAX */
};

#define SESSION_CLASSES 2 /* FRAME_CLASS_LIVE, FRAME_CLASS_SYNC: those with credit */

struct session {
    /* Something may have changed, in what it would say or when: its owner looks, and clears it. */
    bool touched;
    struct session_config config;
    enum session_state state;
    uint64_t version; /* once open */
    bool zips;        /* both sides have offered it: frames may be packed, both ways */

    struct span input;     /* borrowed: what is left of this step's bytes */
    struct buffer partial; /* the beginning of a frame, at most one */
    bool partial_taken;    /* the frame given out last stands in partial */
    struct buffer plain;   /* the array of the frame given out last, if it was packed */
    struct buffer output;

    size_t unsent_bytes;                       /* given to the caller, not yet on the wire */
    uint64_t credit_out[SESSION_CLASSES];      /* what we may still send */
    uint64_t credit_in[SESSION_CLASSES];       /* what the peer may still send */
    uint64_t credit_owed[SESSION_CLASSES];     /* handled, not yet granted again */
    int64_t blocked_since_ms[SESSION_CLASSES]; /* out of credit with something to say; or 0 */
    int64_t held_since_ms[SESSION_CLASSES];    /* the peer lacks credit for a large frame; or 0 */
    bool credit_came;     /* a CREDIT has come in; cleared by whoever acts on it */
    size_t refused_bytes; /* of the frame that session_send last found no room for */
    int64_t control_tokens_milli;
    int64_t control_at_ms;

    int64_t opened_ms;
    int64_t ticked_ms;
    int64_t heard_ms;
    int64_t ping_ms; /* when the last PING left */
    uint64_t ping_nonce;
    int64_t rtt_ms; /* -1: not known */
    bool got_sub, got_summary;

    /* What the peer's HELLO said; software has no control characters. */
    bool peer_has_origin;
    struct origin_id peer_origin;
    int64_t peer_clock_offset_ms;
    char peer_software[FRAME_SOFTWARE_BYTES_MAX + 1];

    /* The frame that session_next gave last. */
    uint8_t frame_type;
    size_t frame_bytes; /* what it is charged: as if it had not been packed */
    struct span frame_body;
    enum frame_class frame_class;

    uint64_t bytes_in, bytes_out, frames_in, frames_out;
    uint64_t saved_in, saved_out; /* bytes that packing has saved */

    enum torg_err close_err;
    enum frame_code close_code;
    bool closed_by_peer;
    uint64_t retry_after_s; /* the peer asked for it */
    char close_text[128];   /* printable */
};

/* Queues our HELLO. clock_ms: wall clock, told to the peer. */
enum torg_err session_init(struct session *session, const struct session_config *config,
                           int64_t now_ms, int64_t clock_ms);
void session_done(struct session *session);

/* Bytes of the stream, borrowed until session_next has said TORG_E_TRUNCATED. */
void session_input(struct session *session, struct span bytes, int64_t now_ms);

/*
 * The next frame that concerns more than the connection itself; valid until the
 * next call. TORG_E_TRUNCATED: no more now. TORG_E_UNEXPECTED: a frame of a
 * later version was passed over; go on. Any other error: the session has closed
 * itself, or the peer has. clock_ms as in session_init.
 */
enum torg_err session_next(struct session *session, int64_t now_ms, int64_t clock_ms,
                           struct frame *ret_frame);

/*
 * Bytes of a credit class have been dealt with (session_next charged them):
 * they may be granted again. Held back while the writer is behind, this is
 * what slows a peer down.
 */
void session_release(struct session *session, enum frame_class class, size_t bytes);

/* Could a frame of so many bytes, prefix included, leave now? Marks the session blocked if not. */
bool session_may_send(struct session *session, enum frame_class class, size_t bytes,
                      int64_t now_ms);
/* Queue a frame. TORG_E_BUSY: no credit, or the queue is full; nothing was queued. */
enum torg_err session_send(struct session *session, const struct frame *frame, int64_t now_ms);
/*
 * What session_send would be asked for, encoded already: a batch to many peers. zipped is the same
 * by frame_zip_pack, or empty; it is sent to a peer that takes such.
 */
enum torg_err session_send_encoded(struct session *session, struct span encoded, struct span zipped,
                                   int64_t now_ms);

/* Count something cheap to ask and dear to answer against the peer's rate. Closes on excess. */
void session_charge(struct session *session, unsigned frames, int64_t now_ms);

/* Timeouts and signs of life. */
void session_tick(struct session *session, int64_t now_ms, int64_t clock_ms);
int64_t session_next_tick_ms(const struct session *session);
/* Something has waited for the peer's credit for SESSION_STALLED_MS. */
bool session_stalled(const struct session *session, int64_t now_ms);
/* The other side of it: what the peer sent is not dealt with, so it may not send on. */
bool session_holds_back(const struct session *session, int64_t now_ms);

/* The caller takes the output; it is unsent until session_drained says otherwise. */
void session_take_output(struct session *session, struct buffer *ret_output);
void session_drained(struct session *session, size_t queued_bytes);
size_t session_queued_bytes(const struct session *session);

/* Say goodbye and close. text is printable, at most 120 bytes are used. */
void session_close(struct session *session, enum torg_err err, enum frame_code code,
                   const char *text);
/* As above for a fault in the frame that came last, which the text names. */
void session_close_fault(struct session *session, enum torg_err err, enum frame_code code);
/* The code that tells a peer about err. */
enum frame_code session_code_of(enum torg_err err);

#endif
