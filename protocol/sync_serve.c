/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdlib.h>
#include <string.h>

#include "protocol/sync_internal.h"

/*
 * What peers are answered. Everything of one answer is read in one transaction,
 * so it fits the head that it carries. An answer waits for the peer's credit;
 * TORG_E_BUSY from the functions below means just that.
 */

#define PULL_VISITS_MAX 65536 /* changes looked at for one PULL, whatever the mask */
#define EMITTED_MAX ((size_t)TRIE_PREFIXES_MAX * (TRIE_DEPTH_MAX + 1))

void sync_serve_free(struct sync_link *link)
{
    for (size_t i = 0; i < SYNC_REQUESTS_MAX; i++)
        buffer_done(&link->requests[i].body);
}

static enum torg_err send(struct sync *sync, uint32_t peer, const struct frame *frame)
{
    return session_send(&sync->peers[peer].link->session, frame, sync->now_ms);
}

static enum torg_err refuse(struct sync *sync, uint32_t peer, uint64_t sid, enum frame_code code,
                            const char *detail)
{
    sync_link_error(sync, peer, sid, code, detail);
    return TORG_OK;
}

/* The record of an origin that may be served; TORG_E_BUSY: its head is not published yet. */
static enum torg_err record_get(struct sync *sync, const struct origin_id *id,
                                const struct sync_origin **ret_origin,
                                struct replica_origin *ret_record)
{
    uint32_t index = sync_origin_index(sync, id);
    const struct sync_origin *origin;
    enum torg_err err;

    if (index == SYNC_NONE || !sync->origins[index].known)
        return TORG_E_NOT_TRUSTED;
    origin = &sync->origins[index];
    err = replica_origin_get(sync->read, id, ret_record);
    if (err)
        return err;
    if (origin->own && !sync->recovering && ret_record->has_head &&
        sync_number_compare(ret_record->head.epoch, ret_record->head.hno, origin->epoch,
                            origin->hno) != 0)
        return TORG_E_BUSY;
    *ret_origin = origin;
    return TORG_OK;
}

static enum torg_err head_get(struct sync *sync, const struct replica_origin *record,
                              struct span *ret_head)
{
    return replica_head_get(sync->read, record->number, record->head.epoch, record->head.hno,
                            ret_head);
}

/* ---- PULL ---- */

struct delta {
    uint32_t mask;
    uint32_t visited;
    uint64_t payload_bytes;
    struct frame_rows *rows;
    bool too_much;
    enum torg_err err;
};

static bool delta_visit(void *context, const struct listing_key *key, struct span header_bytes)
{
    struct delta *delta = context;
    struct change_header header;

    (void)key;
    delta->err = change_header_parse(header_bytes, &header);
    if (delta->err)
        return false;
    if (++delta->visited > PULL_VISITS_MAX) {
        delta->too_much = true;
        return false;
    }
    if (!(delta->mask >> header.collection & 1))
        return true;
    delta->payload_bytes += header.payload_size;
    if (delta->rows->count == DELTA_HEADERS_MAX || delta->payload_bytes > DELTA_PAYLOAD_BYTES_MAX ||
        !frame_rows_fit(delta->rows, header_bytes.size + 2)) {
        delta->too_much = true;
        return false;
    }
    frame_rows_bin(delta->rows, header_bytes);
    delta->err = delta->rows->bytes.err;
    return !delta->err;
}

/* Why a delta cannot be given; NULL if it can. */
static const char *pull_obstacle(const struct replica_origin *record, const struct frame *frame)
{
    uint32_t mask = frame->pull.mask;
    int order = sync_number_compare(record->head.epoch, record->head.hno, frame->pull.epoch,
                                    frame->pull.hno);

    if (!record->has_head)
        return "no head";
    if (!mask)
        return NULL; /* the head alone, also an old one: it may be of another branch */
    if (order <= 0)
        return "nothing newer";
    if (replica_complete_mask(record, mask) != mask)
        return "not complete";
    if (frame->pull.epoch != record->head.epoch)
        return "another epoch";
    if (frame->pull.since_seq < record->floor_seq)
        return "below the floor";
    return NULL;
}

static enum torg_err serve_pull(struct sync *sync, uint32_t peer, const struct frame *frame)
{
    struct delta delta = {.mask = frame->pull.mask, .rows = &sync->rows};
    struct frame answer = {.type = FRAME_DELTA};
    const struct sync_origin *origin;
    struct replica_origin record;
    const char *obstacle;
    enum torg_err err;

    err = record_get(sync, &frame->pull.origin, &origin, &record);
    if (err == TORG_E_NOT_TRUSTED)
        return refuse(sync, peer, frame->pull.sid, FRAME_CODE_UNKNOWN_ORIGIN, "");
    if (err)
        return err;
    if (frame->pull.mask & ~sync_visible_to(sync, peer, origin))
        return refuse(sync, peer, frame->pull.sid, FRAME_CODE_COLLECTION_FORBIDDEN, "");
    if (frame->pull.mask & ~origin->wanted)
        return refuse(sync, peer, frame->pull.sid, FRAME_CODE_NOT_HELD, "not held here");
    obstacle = pull_obstacle(&record, frame);
    if (obstacle)
        return refuse(sync, peer, frame->pull.sid, FRAME_CODE_NOT_HELD, obstacle);
    frame_rows_clear(&sync->rows);
    if (delta.mask)
        err = replica_changes_since(sync->read, record.number, frame->pull.since_seq, delta_visit,
                                    &delta);
    if (!err)
        err = delta.err;
    if (err)
        return err;
    if (delta.too_much)
        return refuse(sync, peer, frame->pull.sid, FRAME_CODE_NOT_HELD, "too much for a delta");
    answer.delta.sid = frame->pull.sid;
    answer.delta.headers = frame_rows_list(&sync->rows);
    err = head_get(sync, &record, &answer.delta.head);
    return err ? err : send(sync, peer, &answer);
}

/* ---- TRIE_REQ ---- */

/* The nodes of one answer, each once. */
struct trie_answer {
    struct sync *sync;
    struct trie_store store;
    struct frame_rows *rows;
    struct trie_prefix *emitted;
    size_t emitted_count;
    uint32_t whole;
    bool ancestors; /* the root that was named is not ours: show the way down */
};

static bool emitted(const struct trie_answer *answer, const struct trie_prefix *prefix)
{
    for (size_t i = 0; i < answer->emitted_count; i++) {
        if (answer->emitted[i].size == prefix->size &&
            memcmp(answer->emitted[i].nibbles, prefix->nibbles, prefix->size) == 0)
            return true;
    }
    return false;
}

static enum torg_err emit(struct trie_answer *answer, const struct frame_trie_node *node)
{
    if (emitted(answer, &node->prefix))
        return TORG_OK;
    if (answer->emitted_count == EMITTED_MAX)
        return TORG_E_TOO_BIG;
    answer->emitted[answer->emitted_count++] = node->prefix;
    frame_rows_node(answer->rows, node);
    return answer->rows->bytes.err;
}

static enum torg_err emit_whole(struct trie_answer *answer, const struct trie_prefix *prefix,
                                uint32_t count)
{
    struct trie_entry entries[FRAME_WHOLE_MAX];
    uint8_t bytes[FRAME_WHOLE_MAX * FRAME_TRIE_ENTRY_BYTES];
    size_t held = 0;
    enum torg_err err;

    if (emitted(answer, prefix))
        return TORG_OK;
    err = answer->store.entries(answer->store.context, prefix, FRAME_WHOLE_MAX, entries, &held);
    if (err)
        return err;
    if (held != count)
        return TORG_E_CORRUPT;
    for (size_t i = 0; i < held; i++) {
        uint8_t *at = bytes + i * FRAME_TRIE_ENTRY_BYTES;

        memcpy(at, entries[i].key.bytes, sizeof(entries[i].key.bytes));
        memcpy(at + sizeof(entries[i].key.bytes), entries[i].header_hash.bytes,
               sizeof(entries[i].header_hash.bytes));
    }
    return emit(answer, &(struct frame_trie_node){
                            .prefix = *prefix,
                            .whole = true,
                            .bytes = span_of(bytes, held * FRAME_TRIE_ENTRY_BYTES),
                        });
}

/* The node at prefix, or the leaf above it; before it, its ancestors if they are needed. */
static enum torg_err answer_prefix(struct trie_answer *answer, const struct trie_prefix *prefix,
                                   uint32_t count)
{
    struct trie_prefix at = {0};

    for (;;) {
        bool there = at.size == prefix->size;
        struct frame_trie_node node = {.prefix = at};
        enum torg_err err;

        if (count <= TRIE_LEAF_MAX || (there && count <= answer->whole))
            return emit_whole(answer, &at, count);
        err = answer->store.node_get(answer->store.context, &at, &node.bytes);
        if (err)
            return err == TORG_E_NOT_FOUND ? TORG_E_CORRUPT : err;
        if (there || answer->ancestors)
            err = emit(answer, &node);
        if (err || there)
            return err;
        count = trie_inner_child_count(node.bytes, prefix->nibbles[at.size]);
        at.nibbles[at.size] = prefix->nibbles[at.size];
        at.size++;
    }
}

/* As many of the prefixes as fit a frame; the first always does. */
static enum torg_err answer_fill(struct trie_answer *answer, const struct frame_list *prefixes,
                                 uint32_t count)
{
    struct profile_reader in = frame_list_reader(prefixes);

    for (uint32_t i = 0; i < prefixes->count; i++) {
        struct trie_prefix prefix = frame_read_prefix(&in);
        size_t size_before = answer->rows->bytes.size;
        uint32_t count_before = answer->rows->count;
        enum torg_err err = answer_prefix(answer, &prefix, count);

        if (err)
            return err;
        if (frame_rows_fit(answer->rows, 0))
            continue;
        answer->rows->bytes.size = size_before;
        answer->rows->count = count_before;
        return TORG_OK;
    }
    return TORG_OK;
}

static enum torg_err trie_rows(struct sync *sync, const struct frame *frame,
                               const struct replica_origin *record, struct head_state state)
{
    struct trie_answer answer = {
        .sync = sync,
        .rows = &sync->rows,
        .emitted = malloc(EMITTED_MAX * sizeof(*answer.emitted)),
        .whole = frame->trie_req.whole,
        .ancestors = memcmp(&frame->trie_req.root, &state.root, sizeof(state.root)) != 0,
    };
    struct replica_trie trie;
    enum torg_err err;

    if (!answer.emitted)
        return TORG_E_NOMEM;
    frame_rows_clear(&sync->rows);
    replica_trie_init(&trie, sync->read, record->number, frame->trie_req.collection, &answer.store);
    err = answer_fill(&answer, &frame->trie_req.prefixes, state.count);
    replica_trie_done(&trie);
    free(answer.emitted);
    return err;
}

static enum torg_err serve_trie(struct sync *sync, uint32_t peer, const struct frame *frame)
{
    uint32_t bit = UINT32_C(1) << frame->trie_req.collection;
    struct frame answer = {.type = FRAME_TRIE};
    const struct sync_origin *origin;
    struct replica_origin record;
    enum torg_err err;

    err = record_get(sync, &frame->trie_req.origin, &origin, &record);
    if (err == TORG_E_NOT_TRUSTED)
        return refuse(sync, peer, frame->trie_req.sid, FRAME_CODE_UNKNOWN_ORIGIN, "");
    if (err)
        return err;
    if (!(sync_visible_to(sync, peer, origin) & bit))
        return refuse(sync, peer, frame->trie_req.sid, FRAME_CODE_COLLECTION_FORBIDDEN, "");
    if (!(origin->wanted & bit) || replica_complete_mask(&record, bit) != bit)
        return refuse(sync, peer, frame->trie_req.sid, FRAME_CODE_NOT_HELD, "not complete");
    err = trie_rows(sync, frame, &record, head_state_of(&record.head, frame->trie_req.collection));
    if (err)
        return err;
    answer.trie.sid = frame->trie_req.sid;
    answer.trie.nodes = frame_rows_list(&sync->rows);
    err = head_get(sync, &record, &answer.trie.head);
    return err ? err : send(sync, peer, &answer);
}

/* ---- FETCH ---- */

/* The listing of that very version; false if it is not held (any more). */
static enum torg_err entry_get(struct sync *sync, const struct sync_origin *origin,
                               uint8_t collection, const struct trie_entry *key,
                               struct frame_entry *ret_entry, bool *ret_held)
{
    struct frame_entry entry = {0};
    struct hash hash;
    enum torg_err err;

    *ret_held = false;
    err = replica_listing_get(sync->read, origin->number, collection, &key->key, &entry.header,
                              &entry.payload);
    if (err)
        return err == TORG_E_NOT_FOUND ? TORG_OK : err;
    hash = change_header_hash(entry.header);
    if (memcmp(&hash, &key->header_hash, sizeof(hash)) != 0)
        return TORG_OK;
    entry.has_payload = entry.payload.size > 0;
    *ret_entry = entry;
    *ret_held = true;
    return TORG_OK;
}

static enum torg_err entries_send(struct sync *sync, uint32_t peer, uint64_t sid, bool more)
{
    struct frame answer = {.type = FRAME_ENTRIES};

    answer.entries.sid = sid;
    answer.entries.more = more;
    answer.entries.entries = frame_rows_list(&sync->rows);
    return send(sync, peer, &answer);
}

static enum torg_err serve_fetch(struct sync *sync, uint32_t peer, const struct frame *frame,
                                 uint32_t *done)
{
    struct profile_reader in = frame_list_reader(&frame->fetch.keys);
    uint32_t index = sync_origin_index(sync, &frame->fetch.origin);
    const struct sync_origin *origin;
    enum torg_err err;

    if (index == SYNC_NONE || !sync->origins[index].known)
        return refuse(sync, peer, frame->fetch.sid, FRAME_CODE_UNKNOWN_ORIGIN, "");
    origin = &sync->origins[index];
    if (!(sync_visible_to(sync, peer, origin) >> frame->fetch.collection & 1))
        return refuse(sync, peer, frame->fetch.sid, FRAME_CODE_COLLECTION_FORBIDDEN, "");
    if (!(origin->wanted >> frame->fetch.collection & 1))
        return refuse(sync, peer, frame->fetch.sid, FRAME_CODE_NOT_HELD, "not held here");
    frame_rows_clear(&sync->rows);
    for (uint32_t i = 0; i < frame->fetch.keys.count; i++) {
        struct trie_entry key = frame_read_key(&in);
        struct frame_entry entry;
        bool held;

        if (i < *done)
            continue;
        err = entry_get(sync, origin, frame->fetch.collection, &key, &entry, &held);
        if (err)
            return err;
        if (!held)
            continue;
        if (!frame_rows_fit(&sync->rows, entry.header.size + entry.payload.size + 16)) {
            err = entries_send(sync, peer, frame->fetch.sid, true);
            if (err)
                return err;
            *done = i;
            frame_rows_clear(&sync->rows);
        }
        frame_rows_entry(&sync->rows, &entry);
        if (sync->rows.bytes.err)
            return sync->rows.bytes.err;
    }
    return entries_send(sync, peer, frame->fetch.sid, false);
}

/* ---- CHARTER_REQ ---- */

static enum torg_err serve_charters(struct sync *sync, uint32_t peer, const struct frame *frame)
{
    struct frame answer = {.type = FRAME_CHARTER};
    uint32_t index = sync_origin_index(sync, &frame->charter_req.origin);
    const struct sync_origin *origin;

    frame_rows_clear(&sync->rows);
    answer.charter.origin = frame->charter_req.origin;
    if (index == SYNC_NONE || !sync->origins[index].known)
        return send(sync, peer, &answer); /* there is no sid to refuse: none is what we have */
    origin = &sync->origins[index];
    for (uint64_t no = frame->charter_req.from; no <= origin->charter_no; no++) {
        struct span charter;
        enum torg_err err;

        err = replica_charter_get(sync->read, origin->number, no, &charter);
        if (err)
            return err;
        if (!frame_rows_fit(&sync->rows, charter.size))
            break; /* the rest is asked for afterwards */
        frame_rows_packed(&sync->rows, charter);
    }
    if (sync->rows.bytes.err)
        return sync->rows.bytes.err;
    answer.charter.charters = frame_rows_list(&sync->rows);
    return send(sync, peer, &answer);
}

/* ---- ANCESTRY_REQ ---- */

/* From one head down to an older one by skips that do not overshoot, else step by step. */
static enum torg_err serve_ancestry(struct sync *sync, uint32_t peer, const struct frame *frame)
{
    struct frame answer = {.type = FRAME_ANCESTRY};
    uint64_t at = frame->ancestry_req.from_hno;
    uint64_t to = frame->ancestry_req.to_hno;
    uint64_t sid = frame->ancestry_req.sid;
    const struct sync_origin *origin;
    struct replica_origin record;
    struct head last;
    enum torg_err err;

    err = record_get(sync, &frame->ancestry_req.origin, &origin, &record);
    if (err == TORG_E_NOT_TRUSTED)
        return refuse(sync, peer, sid, FRAME_CODE_UNKNOWN_ORIGIN, "");
    if (err)
        return err;
    frame_rows_clear(&sync->rows);
    while (at >= to && at >= 1 && sync->rows.count < ANCESTRY_HEADS_MAX) {
        uint64_t jump = head_jump(at);
        struct span stored;

        err = replica_head_get(sync->read, origin->number, frame->ancestry_req.epoch, at, &stored);
        if (err == TORG_E_NOT_FOUND) {
            sync_ancestry_wanted(sync, origin, frame->ancestry_req.epoch, to);
            break;
        }
        if (err)
            return err;
        /* Of another branch, if the origin has forked: no path goes there. */
        if (sync->rows.count ? replica_path_step(&last, frame_head(stored).bytes, &last)
                             : head_parse(frame_head(stored).bytes, &last))
            break;
        frame_rows_bin(&sync->rows, frame_head(stored).bytes);
        if (at == to)
            break;
        at = jump >= to && jump >= 1 ? jump : at - 1;
    }
    if (sync->rows.bytes.err)
        return sync->rows.bytes.err;
    if (sync->rows.count == 0)
        return refuse(sync, peer, sid, FRAME_CODE_NOT_HELD, "");
    answer.ancestry.sid = sid;
    answer.ancestry.heads = frame_rows_list(&sync->rows);
    return send(sync, peer, &answer);
}

/* ---- what waits ---- */

static uint64_t sid_of(const struct frame *frame)
{
    switch (frame->type) {
    case FRAME_PULL:
        return frame->pull.sid;
    case FRAME_TRIE_REQ:
        return frame->trie_req.sid;
    case FRAME_FETCH:
        return frame->fetch.sid;
    case FRAME_ANCESTRY_REQ:
        return frame->ancestry_req.sid;
    default:
        return 0;
    }
}

enum torg_err sync_serve_request(struct sync *sync, uint32_t peer, const struct frame *frame,
                                 struct span body)
{
    struct sync_link *link = sync->peers[peer].link;

    for (size_t i = 0; i < SYNC_REQUESTS_MAX; i++) {
        struct sync_request *request = &link->requests[i];

        if (request->type)
            continue;
        buffer_clear(&request->body);
        buffer_put_span(&request->body, body);
        if (request->body.err)
            return request->body.err;
        request->type = frame->type;
        request->done = 0;
        request->needed = 0;
        link->serve_due = true;
        return TORG_OK;
    }
    return refuse(sync, peer, sid_of(frame), FRAME_CODE_BUSY, "one request a session");
}

static enum torg_err serve(struct sync *sync, uint32_t peer, struct sync_request *request)
{
    struct frame frame;
    enum torg_err err = frame_decode(request->type, buffer_span(&request->body), &frame);

    if (err)
        return err; /* it did decode when it came */
    switch (frame.type) {
    case FRAME_PULL:
        return serve_pull(sync, peer, &frame);
    case FRAME_TRIE_REQ:
        return serve_trie(sync, peer, &frame);
    case FRAME_FETCH:
        return serve_fetch(sync, peer, &frame, &request->done);
    case FRAME_CHARTER_REQ:
        return serve_charters(sync, peer, &frame);
    default:
        return serve_ancestry(sync, peer, &frame);
    }
}

/*
 * Making an answer costs much more than asking for it. So one that found no
 * credit is not made again before there is enough, and if it is too little once
 * more, for the answer has grown, the peer's rate is charged.
 */
static bool may_try(struct sync *sync, struct session *session, const struct sync_request *request)
{
    return !request->needed ||
           session_may_send(session, FRAME_CLASS_SYNC, request->needed, sync->now_ms);
}

static void put_off(struct sync *sync, struct session *session, struct sync_request *request)
{
    if (request->needed && session->refused_bytes)
        session_charge(session, SYNC_IN_VAIN_CHARGE, sync->now_ms);
    request->needed = session->refused_bytes;
    sync->counters.answers_in_vain += session->refused_bytes > 0;
}

void sync_serve_own(struct sync *sync)
{
    for (uint32_t i = 0; i < sync->peer_count; i++) {
        if (sync->peers[i].link)
            sync->peers[i].link->serve_due = true;
    }
}

enum torg_err sync_serve_pump(struct sync *sync, uint32_t peer)
{
    struct sync_link *link = sync->peers[peer].link;

    link->serve_due = false;
    for (size_t i = 0; i < SYNC_REQUESTS_MAX; i++) {
        struct sync_request *request = &link->requests[i];
        uint32_t done = request->done;
        enum torg_err err;

        if (!request->type || link->session.state != SESSION_OPEN ||
            !may_try(sync, &link->session, request))
            continue;
        link->session.refused_bytes = 0;
        err = serve(sync, peer, request);
        if (err == TORG_E_BUSY) {
            if (request->done != done)
                request->needed = 0; /* some of it has left */
            put_off(sync, &link->session, request);
            continue;
        }
        request->type = 0;
        if (request->body.capacity > FRAME_BYTES_MAX / 8)
            buffer_done(&request->body);
        if (err)
            return err;
    }
    return TORG_OK;
}
