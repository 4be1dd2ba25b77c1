/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/frame.h"

#include <string.h>

#include "protocol/charter.h"
#include "protocol/frame_internal.h"

static const char *const type_names[] = {
    [FRAME_HELLO] = "hello",
    [FRAME_SUB] = "sub",
    [FRAME_SUMMARY] = "summary",
    [FRAME_HAVE] = "have",
    [FRAME_CHARTER_REQ] = "charter-req",
    [FRAME_CHARTER] = "charter",
    [FRAME_HEAD] = "head",
    [FRAME_BATCH] = "batch",
    [FRAME_BEAT] = "beat",
    [FRAME_TREE] = "tree",
    [FRAME_PULL] = "pull",
    [FRAME_DELTA] = "delta",
    [FRAME_TRIE_REQ] = "trie-req",
    [FRAME_TRIE] = "trie",
    [FRAME_FETCH] = "fetch",
    [FRAME_ENTRIES] = "entries",
    [FRAME_ANCESTRY_REQ] = "ancestry-req",
    [FRAME_ANCESTRY] = "ancestry",
    [FRAME_PROOF] = "proof",
    [FRAME_CREDIT] = "credit",
    [FRAME_PING] = "ping",
    [FRAME_PONG] = "pong",
    [FRAME_GOAWAY] = "goaway",
    [FRAME_ERROR] = "error",
};

static const char *const code_names[] = {
    "NONE",
    "BAD_FRAME",
    "TOO_BIG",
    "VERSION",
    "NOT_MEMBER",
    "BAD_SIG",
    "BAD_CHARTER",
    "UNKNOWN_ORIGIN",
    "NOT_HELD",
    "FORKED",
    "MISMATCH",
    "EPOCH_OLD",
    "CREDIT_VIOLATION",
    "OVER_QUOTA",
    "BUSY",
    "RATE",
    "SHUTDOWN",
    "INTERNAL",
    "COLLECTION_FORBIDDEN",
};

const char *frame_type_name(uint8_t type)
{
    if (type < ARRAY_SIZE(type_names) && type_names[type])
        return type_names[type];
    return "unknown";
}

const char *frame_code_name(uint64_t code)
{
    return code < ARRAY_SIZE(code_names) ? code_names[code] : "?";
}

enum frame_class frame_class_of(uint8_t type)
{
    switch (type) {
    case FRAME_HAVE:
    case FRAME_HEAD:
    case FRAME_BATCH:
    case FRAME_BEAT:
        return FRAME_CLASS_LIVE;
    case FRAME_DELTA:
    case FRAME_TRIE:
    case FRAME_ENTRIES:
    case FRAME_ANCESTRY:
    case FRAME_CHARTER:
        return FRAME_CLASS_SYNC;
    case FRAME_PULL:
    case FRAME_TRIE_REQ:
    case FRAME_FETCH:
    case FRAME_ANCESTRY_REQ:
    case FRAME_CHARTER_REQ:
        return FRAME_CLASS_REQUEST;
    default:
        return FRAME_CLASS_CONTROL;
    }
}

enum torg_err frame_prefix_read(struct span input, struct frame_prefix *ret_prefix)
{
    struct reader in = reader_of(input);
    uint32_t length = reader_u32be(&in);
    struct frame_prefix prefix = {0};

    if (in.err)
        return in.err;
    if (length > FRAME_BYTES_MAX)
        return TORG_E_TOO_BIG;
    if (length <= FRAME_PREFIX_BYTES - FRAME_LENGTH_BYTES)
        return TORG_E_INVALID; /* not even an empty array */
    prefix.body_size = length - (FRAME_PREFIX_BYTES - FRAME_LENGTH_BYTES);
    prefix.type = reader_u8(&in);
    prefix.flags = reader_u8(&in);
    if (in.err)
        return in.err;
    *ret_prefix = prefix;
    return TORG_OK;
}

/* ---- fields ---- */

static void refuse(struct profile_reader *in, enum torg_err err)
{
    if (!in->in.err)
        in->in.err = err;
}

static uint64_t number(struct profile_reader *in)
{
    return profile_uint(in, INTEGER_MAX);
}

static uint32_t mask_read(struct profile_reader *in)
{
    return (uint32_t)profile_uint(in, UINT32_MAX);
}

static uint8_t collection_read(struct profile_reader *in)
{
    uint8_t collection = (uint8_t)profile_uint(in, COLLECTIONS_MAX - 1);

    if (collection == 0)
        refuse(in, TORG_E_INVALID);
    return collection;
}

static struct origin_id origin_read(struct profile_reader *in)
{
    struct origin_id origin;

    profile_bin_copy(in, origin.bytes, sizeof(origin.bytes));
    return origin;
}

static struct hash hash_read(struct profile_reader *in)
{
    struct hash hash;

    profile_bin_copy(in, hash.bytes, sizeof(hash.bytes));
    return hash;
}

/* [bin, signature], checked for its form and handed on as it is. */
static struct span signed_raw(struct profile_reader *in, size_t size_max)
{
    struct profile_reader ahead = *in;

    signed_read(&ahead, size_max);
    if (ahead.in.err) {
        refuse(in, ahead.in.err);
        return (struct span){0};
    }
    return profile_skip(in);
}

struct signed_span frame_head(struct span head)
{
    struct profile_reader in = profile_reader_of(head);

    return signed_read(&in, HEAD_BYTES_MAX);
}

/* A row of a list that decoding has not checked yet; extra elements are passed over. */
struct row {
    uint32_t extra;
};

static struct row row_open(struct profile_reader *in, uint32_t fields)
{
    uint32_t count = profile_array(in);

    if (count < fields)
        refuse(in, TORG_E_INVALID);
    return (struct row){.extra = in->in.err ? 0 : count - fields};
}

static void row_close(struct profile_reader *in, struct row row)
{
    for (uint32_t i = 0; i < row.extra && !in->in.err; i++)
        profile_skip(in);
}

/* ---- rows ---- */

struct profile_reader frame_list_reader(const struct frame_list *list)
{
    return profile_reader_of(list->bytes);
}

struct frame_sub_row frame_read_sub(struct profile_reader *in)
{
    struct frame_sub_row row = {0};
    struct row bounds = row_open(in, 2);

    switch (profile_peek(in)) {
    case PROFILE_NIL:
        profile_nil(in);
        row.kind = FRAME_SUB_ALL;
        break;
    case PROFILE_STR:
        row.set = profile_str(in, FRAME_SET_NAME_BYTES_MAX);
        row.kind = FRAME_SUB_SET;
        break;
    default:
        row.origin = origin_read(in);
        row.kind = FRAME_SUB_ORIGIN;
    }
    row.mask = mask_read(in);
    row_close(in, bounds);
    return row;
}

struct frame_have_row frame_read_have(struct profile_reader *in)
{
    struct frame_have_row row = {0};
    struct row bounds = row_open(in, 8);

    row.origin = origin_read(in);
    row.epoch = number(in);
    row.hno = number(in);
    row.seq = number(in);
    profile_bin_copy(in, row.head_hash, sizeof(row.head_hash));
    row.mask = mask_read(in);
    row.charter_no = number(in);
    row.state = number(in);
    row_close(in, bounds);
    return row;
}

struct frame_entry frame_read_entry(struct profile_reader *in)
{
    struct frame_entry entry = {0};
    struct row bounds = row_open(in, 2);

    entry.header = profile_bin(in, HEADER_BYTES_MAX);
    entry.has_payload = profile_peek(in) == PROFILE_BIN;
    if (entry.has_payload) {
        entry.payload = profile_bin(in, PAYLOAD_BYTES_MAX);
        if (entry.payload.size == 0)
            refuse(in, TORG_E_INVALID);
    } else {
        profile_nil(in);
    }
    row_close(in, bounds);
    return entry;
}

struct frame_tree_row frame_read_tree(struct profile_reader *in)
{
    struct frame_tree_row row = {0};
    struct row bounds = row_open(in, 2);

    row.origin = origin_read(in);
    row.graft = profile_uint(in, 1) == 1;
    row_close(in, bounds);
    return row;
}

struct trie_prefix frame_read_prefix(struct profile_reader *in)
{
    struct trie_prefix prefix = {0};
    struct span nibbles = profile_bin(in, TRIE_DEPTH_MAX);

    for (size_t i = 0; i < nibbles.size; i++) {
        if (nibbles.data[i] > 15) {
            refuse(in, TORG_E_INVALID);
            return (struct trie_prefix){0};
        }
        prefix.nibbles[i] = nibbles.data[i];
    }
    prefix.size = (uint8_t)nibbles.size;
    return prefix;
}

struct frame_trie_node frame_read_node(struct profile_reader *in)
{
    struct frame_trie_node node = {0};
    struct row bounds = row_open(in, 3);

    node.prefix = frame_read_prefix(in);
    node.whole = profile_uint(in, 1) == 1;
    node.bytes = profile_bin(in, FRAME_BYTES_MAX);
    if (node.whole ? node.bytes.size % FRAME_TRIE_ENTRY_BYTES != 0
                   : node.bytes.size != TRIE_INNER_BYTES)
        refuse(in, TORG_E_INVALID);
    row_close(in, bounds);
    return node;
}

struct trie_entry frame_read_key(struct profile_reader *in)
{
    struct trie_entry key;
    struct row bounds = row_open(in, 2);

    profile_bin_copy(in, key.key.bytes, sizeof(key.key.bytes));
    key.header_hash = hash_read(in);
    row_close(in, bounds);
    return key;
}

/* ---- lists ---- */

/* One element each, checked as its consumer will read it. */
static void check_sub(struct profile_reader *in)
{
    frame_read_sub(in);
}
static void check_have(struct profile_reader *in)
{
    frame_read_have(in);
}
static void check_entry(struct profile_reader *in)
{
    frame_read_entry(in);
}
static void check_tree(struct profile_reader *in)
{
    frame_read_tree(in);
}
static void check_prefix(struct profile_reader *in)
{
    frame_read_prefix(in);
}
static void check_node(struct profile_reader *in)
{
    frame_read_node(in);
}
static void check_key(struct profile_reader *in)
{
    frame_read_key(in);
}
static void check_beat(struct profile_reader *in)
{
    signed_raw(in, BEAT_BYTES_MAX);
}
static void check_header(struct profile_reader *in)
{
    profile_bin(in, HEADER_BYTES_MAX);
}
static void check_head(struct profile_reader *in)
{
    profile_bin(in, HEAD_BYTES_MAX);
}
static void check_charter(struct profile_reader *in)
{
    struct span value = profile_skip(in);
    struct charter_signed charter;
    enum torg_err err = in->in.err ? TORG_OK : charter_signed_parse(value, &charter);

    if (err)
        refuse(in, err);
}

static struct frame_list list_read(struct profile_reader *in, uint32_t count_max,
                                   void (*check)(struct profile_reader *in))
{
    struct frame_list list = {.count = profile_array(in)};
    const uint8_t *from = in->in.at;

    if (list.count > count_max)
        refuse(in, TORG_E_TOO_BIG);
    for (uint32_t i = 0; i < list.count && !in->in.err; i++)
        check(in);
    if (in->in.err)
        return (struct frame_list){0};
    list.bytes = span_of(from, (size_t)(in->in.at - from));
    return list;
}

/* ---- messages ---- */

static void decode_hello(struct profile_reader *in, struct frame_hello *hello)
{
    struct row limits;

    if (!span_equal(profile_str(in, sizeof(FRAME_MAGIC)), span_of_str(FRAME_MAGIC)))
        refuse(in, TORG_E_INVALID);
    hello->version_min = number(in);
    hello->version_max = number(in);
    if (hello->version_min > hello->version_max)
        refuse(in, TORG_E_INVALID);
    hello->caps = number(in);
    hello->has_origin = profile_peek(in) == PROFILE_BIN;
    if (hello->has_origin)
        hello->origin = origin_read(in);
    else
        profile_nil(in);
    limits = row_open(in, 2);
    hello->live_credit_bytes = profile_uint(in, FRAME_CREDIT_BYTES_MAX);
    hello->sync_credit_bytes = profile_uint(in, FRAME_CREDIT_BYTES_MAX);
    row_close(in, limits);
    hello->now_ms = profile_int(in);
    hello->software = profile_str(in, FRAME_SOFTWARE_BYTES_MAX);
    hello->session = number(in);
}

static void decode_summary(struct profile_reader *in, struct frame *frame)
{
    frame->summary.bits = (unsigned)profile_uint(in, FRAME_SUMMARY_BITS_MAX);
    frame->summary.digests = profile_bin(in, FRAME_BYTES_MAX);
    if (frame->summary.digests.size != (size_t)FRAME_DIGEST_BYTES << frame->summary.bits)
        refuse(in, TORG_E_INVALID);
}

static void decode_trie_req(struct profile_reader *in, struct frame *frame)
{
    frame->trie_req.sid = number(in);
    frame->trie_req.origin = origin_read(in);
    frame->trie_req.collection = collection_read(in);
    frame->trie_req.root = hash_read(in);
    frame->trie_req.whole = (uint32_t)profile_uint(in, FRAME_WHOLE_MAX);
    if (frame->trie_req.whole < FRAME_WHOLE_MIN)
        refuse(in, TORG_E_INVALID);
    frame->trie_req.prefixes = list_read(in, TRIE_PREFIXES_MAX, check_prefix);
}

uint32_t frame_field_count(uint8_t type)
{
    static const uint8_t counts[] = {
        [FRAME_HELLO] = 9,        [FRAME_SUB] = 1,      [FRAME_SUMMARY] = 2, [FRAME_HAVE] = 1,
        [FRAME_CHARTER_REQ] = 2,  [FRAME_CHARTER] = 2,  [FRAME_HEAD] = 1,    [FRAME_BATCH] = 2,
        [FRAME_BEAT] = 1,         [FRAME_TREE] = 1,     [FRAME_PULL] = 7,    [FRAME_DELTA] = 3,
        [FRAME_TRIE_REQ] = 6,     [FRAME_TRIE] = 3,     [FRAME_FETCH] = 4,   [FRAME_ENTRIES] = 3,
        [FRAME_ANCESTRY_REQ] = 5, [FRAME_ANCESTRY] = 2, [FRAME_PROOF] = 2,   [FRAME_CREDIT] = 2,
        [FRAME_PING] = 3,         [FRAME_PONG] = 3,     [FRAME_GOAWAY] = 3,  [FRAME_ERROR] = 3,
    };

    return type < ARRAY_SIZE(counts) ? counts[type] : 0;
}

/* A flat switch: the fields of each message, in their order on the wire. */
static void decode_fields(struct profile_reader *in, struct frame *frame)
{
    switch ((enum frame_type)frame->type) {
    case FRAME_HELLO:
        decode_hello(in, &frame->hello);
        break;
    case FRAME_SUB:
        frame->sub.rows = list_read(in, FRAME_SUB_ROWS_MAX, check_sub);
        break;
    case FRAME_SUMMARY:
        decode_summary(in, frame);
        break;
    case FRAME_HAVE:
        frame->have.rows = list_read(in, FRAME_BYTES_MAX, check_have);
        break;
    case FRAME_CHARTER_REQ:
        frame->charter_req.origin = origin_read(in);
        frame->charter_req.from = number(in);
        break;
    case FRAME_CHARTER:
        frame->charter.origin = origin_read(in);
        frame->charter.charters = list_read(in, CHARTERS_MAX, check_charter);
        break;
    case FRAME_HEAD:
        frame->head.head = signed_raw(in, HEAD_BYTES_MAX);
        break;
    case FRAME_BATCH:
        frame->batch.head = signed_raw(in, HEAD_BYTES_MAX);
        frame->batch.entries = list_read(in, FRAME_BYTES_MAX, check_entry);
        break;
    case FRAME_BEAT:
        frame->beat.beats = list_read(in, FRAME_BYTES_MAX, check_beat);
        break;
    case FRAME_TREE:
        frame->tree.rows = list_read(in, FRAME_BYTES_MAX, check_tree);
        break;
    case FRAME_PULL:
        frame->pull.sid = number(in);
        frame->pull.origin = origin_read(in);
        frame->pull.mask = mask_read(in);
        frame->pull.since_seq = number(in);
        frame->pull.epoch = number(in);
        frame->pull.hno = number(in);
        frame->pull.head_hash = hash_read(in);
        break;
    case FRAME_DELTA:
        frame->delta.sid = number(in);
        frame->delta.head = signed_raw(in, HEAD_BYTES_MAX);
        frame->delta.headers = list_read(in, DELTA_HEADERS_MAX, check_header);
        break;
    case FRAME_TRIE_REQ:
        decode_trie_req(in, frame);
        break;
    case FRAME_TRIE:
        frame->trie.sid = number(in);
        frame->trie.head = signed_raw(in, HEAD_BYTES_MAX);
        frame->trie.nodes = list_read(in, FRAME_BYTES_MAX, check_node);
        break;
    case FRAME_FETCH:
        frame->fetch.sid = number(in);
        frame->fetch.origin = origin_read(in);
        frame->fetch.collection = collection_read(in);
        frame->fetch.keys = list_read(in, FETCH_ENTRIES_MAX, check_key);
        break;
    case FRAME_ENTRIES:
        frame->entries.sid = number(in);
        frame->entries.more = profile_uint(in, 1) == 1;
        frame->entries.entries = list_read(in, FETCH_ENTRIES_MAX, check_entry);
        break;
    case FRAME_ANCESTRY_REQ:
        frame->ancestry_req.sid = number(in);
        frame->ancestry_req.origin = origin_read(in);
        frame->ancestry_req.epoch = number(in);
        frame->ancestry_req.from_hno = number(in);
        frame->ancestry_req.to_hno = number(in);
        break;
    case FRAME_ANCESTRY:
        frame->ancestry.sid = number(in);
        frame->ancestry.heads = list_read(in, ANCESTRY_HEADS_MAX, check_head);
        break;
    case FRAME_PROOF:
        frame->proof.origin = origin_read(in);
        frame->proof.evidence = profile_bin(in, FRAME_BYTES_MAX);
        break;
    case FRAME_CREDIT:
        frame->credit.class = profile_uint(in, FRAME_CLASS_SYNC);
        frame->credit.bytes = profile_uint(in, FRAME_CREDIT_BYTES_MAX);
        break;
    case FRAME_PING:
    case FRAME_PONG:
        frame->ping.nonce = number(in);
        frame->ping.now_ms = profile_int(in);
        frame->ping.queued_bytes = number(in);
        break;
    case FRAME_GOAWAY:
        frame->goaway.code = number(in);
        frame->goaway.text = profile_str(in, FRAME_TEXT_BYTES_MAX);
        frame->goaway.retry_after_s = number(in);
        break;
    case FRAME_ERROR:
        frame->error.sid = number(in);
        frame->error.code = number(in);
        frame->error.detail = profile_str(in, FRAME_TEXT_BYTES_MAX);
        break;
    }
}

static enum torg_err body_decode(uint8_t type, struct span body, struct frame *frame)
{
    struct profile_reader in = profile_reader_of(body);
    struct row bounds;
    enum torg_err err;

    /* Everything is skimmed before anything is looked at. */
    err = profile_check(body);
    if (err)
        return err;
    bounds = row_open(&in, frame_field_count(type));
    if (in.in.err)
        return in.in.err;
    if (frame_field_count(type) == 0)
        return TORG_E_UNEXPECTED;
    decode_fields(&in, frame);
    row_close(&in, bounds);
    return profile_end(&in);
}

enum torg_err frame_decode(uint8_t type, struct span body, struct frame *ret_frame)
{
    struct frame frame = {.type = type};
    enum torg_err err = body_decode(type, body, &frame);

    if (!err)
        *ret_frame = frame;
    /* The body is whole: a field that wants more than it has will not get it by waiting. */
    return err == TORG_E_TRUNCATED ? TORG_E_PROFILE : err;
}
