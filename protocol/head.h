/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_HEAD_H
#define TORG_PROTOCOL_HEAD_H

#include "protocol/ident.h"
#include "protocol/limits.h"
#include "protocol/seal.h"

/*
 * A head: the signed end of a commit, and through its state roots a promise
 * about every live listing of its origin. A beat: the signed proof that an
 * origin was alive at ts_ms with that head. Format: docs/format-log.md.
 */
struct head_state {
    uint8_t collection;
    uint32_t count; /* >= 1 */
    struct hash root;
};

struct head {
    struct origin_id origin;
    uint64_t epoch; /* >= 1 */
    uint64_t hno;   /* >= 1 */
    uint64_t seq;   /* the last change's number */
    int64_t ts_ms;
    struct hash prev; /* of head hno - 1; of the epoch's charter when hno is 1 */
    struct hash skip; /* of head head_jump(hno) */
    uint8_t state_count;
    struct head_state states[COLLECTIONS_MAX - 1]; /* ascending; empty ones left out */
    uint64_t charter_no;
    uint64_t key_no;
};

struct beat {
    struct origin_id origin;
    uint64_t epoch;        /* >= 1 */
    uint64_t hno;          /* 0: nothing committed in this epoch yet */
    struct hash head_hash; /* of head hno; of the epoch's charter when hno is 0 */
    int64_t ts_ms;
    uint64_t writer; /* drawn at each start */
    uint64_t rival;  /* the writer that this beat answers, or 0 */
    uint64_t key_no;
};

/* An object as it travels: its exact bytes, borrowed, and the signature beside. */
struct signed_span {
    struct span bytes;
    struct signature signature;
};

void head_pack(const struct head *head, struct buffer *out);
/*
 * Form only, not the signature. TORG_E_VERSION for another version of the
 * format, else TORG_E_PROFILE, TORG_E_TOO_BIG, TORG_E_TRUNCATED or TORG_E_INVALID.
 */
enum torg_err head_parse(struct span bytes, struct head *ret_head);
struct hash head_hash(struct span head_bytes);
/* The state of a collection; count 0 and root of zeros when it is not listed. */
struct head_state head_state_of(const struct head *head, uint8_t collection);
/* Order by (epoch, hno): <0, 0, >0. */
int head_compare(const struct head *a, const struct head *b);

/* Myers' jump pointer: which number head hno's skip names. jump(1..8) = 0 1 0 3 4 3 0 7. */
uint64_t head_jump(uint64_t hno);

void beat_pack(const struct beat *beat, struct buffer *out);
/* Errors as of head_parse. */
enum torg_err beat_parse(struct span bytes, struct beat *ret_beat);

/* [bin bytes, bin signature], inside frames and in the store. */
void signed_pack(struct span bytes, const struct signature *signature, struct buffer *out);
struct profile_reader;
/* Borrowed; zeros after an error, which stays in the reader. */
struct signed_span signed_read(struct profile_reader *in, size_t size_max);

#endif
