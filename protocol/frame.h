/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_FRAME_H
#define TORG_PROTOCOL_FRAME_H

#include "protocol/head.h"
#include "protocol/limits.h"
#include "protocol/profile.h"
#include "protocol/trie.h"

/*
 * Frames: the messages between two daemons.
 *
 *   u32be length of what follows | u8 type | u8 flags | msgpack array
 *
 * The array is in the strict profile and may be longer than this version
 * knows: a later minor version adds elements at its end. What is signed stands
 * inside as bin and is never re-encoded. Fields: docs/protocol.md, "Frames".
 *
 * Decoding allocates nothing. Every element of every list is checked before
 * frame_decode returns, so the row readers below cannot fail on its lists.
 */
enum frame_type {
    FRAME_HELLO = 0x01,
    FRAME_SUB = 0x02,
    FRAME_SUMMARY = 0x03,
    FRAME_HAVE = 0x04,
    FRAME_CHARTER_REQ = 0x05,
    FRAME_CHARTER = 0x06,
    FRAME_HEAD = 0x07,
    FRAME_BATCH = 0x08,
    FRAME_BEAT = 0x09,
    FRAME_TREE = 0x0a,
    FRAME_PULL = 0x0b,
    FRAME_DELTA = 0x0c,
    FRAME_TRIE_REQ = 0x0d,
    FRAME_TRIE = 0x0e,
    FRAME_FETCH = 0x0f,
    FRAME_ENTRIES = 0x10,
    FRAME_ANCESTRY_REQ = 0x11,
    FRAME_ANCESTRY = 0x12,
    FRAME_PROOF = 0x13,
    FRAME_CREDIT = 0x14,
    FRAME_PING = 0x15,
    FRAME_PONG = 0x16,
    FRAME_GOAWAY = 0x17,
    FRAME_ERROR = 0x18,
};
/* "batch" for 0x08; "unknown" for a type that this version does not know. */
const char *frame_type_name(uint8_t type);

/* The codes of ERROR and GOAWAY. */
enum frame_code {
    FRAME_CODE_NONE = 0, /* GOAWAY only: a plain goodbye */
    FRAME_CODE_BAD_FRAME = 1,
    FRAME_CODE_TOO_BIG = 2,
    FRAME_CODE_VERSION = 3,
    FRAME_CODE_NOT_MEMBER = 4,
    FRAME_CODE_BAD_SIG = 5,
    FRAME_CODE_BAD_CHARTER = 6,
    FRAME_CODE_UNKNOWN_ORIGIN = 7,
    FRAME_CODE_NOT_HELD = 8,
    FRAME_CODE_FORKED = 9,
    FRAME_CODE_MISMATCH = 10,
    FRAME_CODE_EPOCH_OLD = 11,
    FRAME_CODE_CREDIT_VIOLATION = 12,
    FRAME_CODE_OVER_QUOTA = 13,
    FRAME_CODE_BUSY = 14,
    FRAME_CODE_RATE = 15,
    FRAME_CODE_SHUTDOWN = 16,
    FRAME_CODE_INTERNAL = 17,
    FRAME_CODE_COLLECTION_FORBIDDEN = 18,
};
/* "BAD_FRAME" for 1; "?" for an unknown code. */
const char *frame_code_name(uint64_t code);

#define FRAME_LENGTH_BYTES 4
#define FRAME_PREFIX_BYTES 6 /* length, type, flags */
#define FRAME_FLAG_ZSTD 1u   /* only after both offered FRAME_CAP_ZSTD */
#define FRAME_CAP_ZSTD 1u

/*
 * How many bytes of rows a sender may put into one frame: what is left when
 * the largest head and all other fields have their place.
 */
#define FRAME_ROWS_BYTES_MAX (FRAME_BYTES_MAX - 4096)
#define FRAME_SUB_ROWS_MAX 4096
#define FRAME_SUMMARY_BITS_MAX 12
#define FRAME_DIGEST_BYTES 16
#define FRAME_CREDIT_BYTES_MAX (1 << 28)
#define FRAME_TEXT_BYTES_MAX 256
#define FRAME_SOFTWARE_BYTES_MAX 64
#define FRAME_SET_NAME_BYTES_MAX 64
#define FRAME_TRIE_ENTRY_BYTES 48 /* k, hh */
#define FRAME_WHOLE_MIN 32
#define FRAME_WHOLE_MAX 512

/* count values in the profile, one after another; borrowed. */
struct frame_list {
    uint32_t count;
    struct span bytes;
};

struct frame_hello {
    uint64_t version_min, version_max;
    uint64_t caps; /* FRAME_CAP_* */
    bool has_origin;
    struct origin_id origin;
    uint64_t live_credit_bytes, sync_credit_bytes;
    int64_t now_ms; /* the sender's wall clock */
    struct span software;
    uint64_t session; /* drawn for each connection, for logs on both sides */
};

enum frame_sub_kind { FRAME_SUB_ALL, FRAME_SUB_SET, FRAME_SUB_ORIGIN };
struct frame_sub_row {
    enum frame_sub_kind kind;
    struct span set; /* SET */
    struct origin_id origin;
    uint32_t mask;
};

struct frame_have_row {
    struct origin_id origin;
    uint64_t epoch, hno, seq; /* 0 when no head is held */
    uint8_t head_hash[16];    /* its first half */
    uint32_t mask;            /* collections that are complete as of it */
    uint64_t charter_no;
    uint64_t state; /* FRAME_STATE_* */
};
#define FRAME_STATE_DISPUTED 1u
#define FRAME_STATE_FAULTY 2u

struct frame_entry {
    struct span header;
    bool has_payload;
    struct span payload;
};

struct frame_tree_row {
    struct origin_id origin;
    bool graft;
};

struct frame_trie_node {
    struct trie_prefix prefix;
    bool whole;        /* bytes are entries (k, hh) of the whole subtree, not a node */
    struct span bytes; /* TRIE_INNER_BYTES, or count * FRAME_TRIE_ENTRY_BYTES */
};

/*
 * One message. head is [bin, signature] as it travels and as it is stored, so
 * that it is passed on untouched; signed_read takes it apart.
 */
struct frame {
    uint8_t type; /* enum frame_type */
    union {
        struct frame_hello hello;
        struct {
            struct frame_list rows; /* frame_sub_row */
        } sub;
        struct {
            unsigned bits;
            struct span digests; /* FRAME_DIGEST_BYTES << bits */
        } summary;
        struct {
            struct frame_list rows; /* frame_have_row */
        } have;
        struct {
            struct origin_id origin;
            uint64_t from;
        } charter_req;
        struct {
            struct origin_id origin;
            struct frame_list charters; /* charter_signed */
        } charter;
        struct {
            struct span head;
        } head;
        struct {
            struct span head;
            struct frame_list entries; /* frame_entry */
        } batch;
        struct {
            struct frame_list beats; /* signed_span */
        } beat;
        struct {
            struct frame_list rows; /* frame_tree_row */
        } tree;
        struct {
            uint64_t sid;
            struct origin_id origin;
            uint32_t mask;
            uint64_t since_seq, epoch, hno;
            struct hash head_hash;
        } pull;
        struct {
            uint64_t sid;
            struct span head;
            struct frame_list headers; /* bin */
        } delta;
        struct {
            uint64_t sid;
            struct origin_id origin;
            uint8_t collection;
            struct hash root; /* zeros: none */
            uint32_t whole;
            struct frame_list prefixes; /* trie_prefix */
        } trie_req;
        struct {
            uint64_t sid;
            struct span head;
            struct frame_list nodes; /* frame_trie_node */
        } trie;
        struct {
            uint64_t sid;
            struct origin_id origin;
            uint8_t collection;
            struct frame_list keys; /* trie_entry */
        } fetch;
        struct {
            uint64_t sid;
            bool more;
            struct frame_list entries; /* frame_entry */
        } entries;
        struct {
            uint64_t sid;
            struct origin_id origin;
            uint64_t epoch, from_hno, to_hno;
        } ancestry_req;
        struct {
            uint64_t sid;
            struct frame_list heads; /* bin */
        } ancestry;
        struct {
            struct origin_id origin;
            struct span evidence;
        } proof;
        struct {
            uint64_t class; /* enum frame_class */
            uint64_t bytes;
        } credit;
        struct {
            uint64_t nonce;
            int64_t now_ms;
            uint64_t queued_bytes;
        } ping; /* PING and PONG */
        struct {
            uint64_t code;
            struct span text;
            uint64_t retry_after_s;
        } goaway;
        struct {
            uint64_t sid; /* 0: the connection as a whole */
            uint64_t code;
            struct span detail;
        } error;
    };
};

/* What a frame is charged to. A frame's charge is all its bytes, prefix included. */
enum frame_class {
    FRAME_CLASS_LIVE,    /* HAVE, HEAD, BATCH, BEAT */
    FRAME_CLASS_SYNC,    /* DELTA, TRIE, ENTRIES, ANCESTRY, CHARTER */
    FRAME_CLASS_REQUEST, /* PULL, TRIE_REQ, FETCH, ANCESTRY_REQ, CHARTER_REQ: a few at a time */
    FRAME_CLASS_CONTROL, /* the rest, also unknown types: against a rate */
};
enum frame_class frame_class_of(uint8_t type);

/* What the first FRAME_PREFIX_BYTES say. */
struct frame_prefix {
    size_t body_size; /* of the msgpack array */
    uint8_t type;
    uint8_t flags;
};
/*
 * TORG_E_TRUNCATED: wait for more. TORG_E_TOO_BIG or TORG_E_INVALID as soon as
 * the length alone shows it, so that nothing is kept of such a frame.
 */
enum torg_err frame_prefix_read(struct span input, struct frame_prefix *ret_prefix);

/*
 * A frame's array. Spans in ret_frame borrow from body. TORG_E_UNEXPECTED: a
 * type of a later version, whose body is in the profile: pass over it. Any
 * other error: not a frame of torg/1.
 */
enum torg_err frame_decode(uint8_t type, struct span body, struct frame *ret_frame);

/*
 * Append the whole frame. TORG_E_TOO_BIG leaves out as it was. The fields must
 * be such as frame_decode accepts; lists as the row writers below make them.
 */
enum torg_err frame_encode(const struct frame *frame, struct buffer *out);

/* ---- rows: write one at the end of a list, or read the next of a decoded one ---- */

/* A list under construction. rows_list borrows from it; rows_done accepts zeros. */
struct frame_rows {
    uint32_t count;
    struct buffer bytes;
};
struct frame_list frame_rows_list(const struct frame_rows *rows);
void frame_rows_clear(struct frame_rows *rows);
void frame_rows_done(struct frame_rows *rows);
/* Is there room for so many more bytes in one frame? */
bool frame_rows_fit(const struct frame_rows *rows, size_t extra);

void frame_rows_sub(struct frame_rows *rows, const struct frame_sub_row *row);
void frame_rows_have(struct frame_rows *rows, const struct frame_have_row *row);
void frame_rows_entry(struct frame_rows *rows, const struct frame_entry *entry);
void frame_rows_tree(struct frame_rows *rows, const struct frame_tree_row *row);
void frame_rows_prefix(struct frame_rows *rows, const struct trie_prefix *prefix);
void frame_rows_node(struct frame_rows *rows, const struct frame_trie_node *node);
void frame_rows_key(struct frame_rows *rows, const struct trie_entry *key);
void frame_rows_bin(struct frame_rows *rows, struct span bytes);
/* A value that is packed already: a signed head or beat, a charter. */
void frame_rows_packed(struct frame_rows *rows, struct span value);

struct profile_reader frame_list_reader(const struct frame_list *list);
struct frame_sub_row frame_read_sub(struct profile_reader *in);
struct frame_have_row frame_read_have(struct profile_reader *in);
struct frame_entry frame_read_entry(struct profile_reader *in);
struct frame_tree_row frame_read_tree(struct profile_reader *in);
struct trie_prefix frame_read_prefix(struct profile_reader *in);
struct frame_trie_node frame_read_node(struct profile_reader *in);
struct trie_entry frame_read_key(struct profile_reader *in);

/* Take a head apart that frame_decode or the replica has handed out. */
struct signed_span frame_head(struct span head);

#endif
