/* SPDX-License-Identifier: EUPL-1.2 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/sync_internal.h"

#define HAVE_ROWS_MAX 512 /* in one frame, so that little credit moves much */
#define BEATS_MAX 256
#define TREE_ROWS_MAX 2048

/* An origin of which we do not have all of mask counts as number 0. */
static void digest_element(struct buffer *out, const struct sync_origin *origin, uint32_t mask,
                           bool doubted)
{
    bool whole = !doubted && origin->has_head && (mask & ~origin->complete) == 0;

    pack_array(out, 4);
    pack_bin(out, origin->id.bytes, sizeof(origin->id.bytes));
    pack_uint(out, whole ? origin->epoch : 0);
    pack_uint(out, whole ? origin->hno : 0);
    pack_bin(out, whole ? origin->head_hash.bytes : (const uint8_t[32]){0}, 32);
}

static uint32_t bucket_of(const struct origin_id *id, unsigned bits)
{
    return (uint32_t)get_u16be(id->bytes) >> (16 - bits);
}

/* About four origins in each bucket. */
static unsigned summary_bits(uint32_t origin_count)
{
    unsigned bits = 0;

    while (bits < FRAME_SUMMARY_BITS_MAX && origin_count >> bits > 4)
        bits++;
    return bits;
}

/*
 * Append 2^bits digests of what is held of what a peer wants and may hold, or of
 * what we want ourselves (SYNC_NONE). Origins ascend, so buckets come one by one.
 */
static enum torg_err digests_put(struct sync *sync, uint32_t peer, unsigned bits,
                                 struct buffer *out)
{
    const struct sync_row *rows = peer == SYNC_NONE ? NULL : sync->peers[peer].rows;
    struct buffer elements = {0};
    uint32_t next = 0;
    uint8_t digest[FRAME_DIGEST_BYTES];

    for (uint32_t bucket = 0; bucket < UINT32_C(1) << bits; bucket++) {
        buffer_clear(&elements);
        for (; next < sync->origin_count; next++) {
            const struct sync_origin *origin = &sync->origins[next];
            uint32_t mask =
                rows ? rows[next].sub_mask & sync_visible_to(sync, peer, origin) : origin->wanted;
            /* In doubt about our own, we ask for what a peer holds of it, also if it is the same.
             */
            bool doubted = !rows && origin->own && sync->recovering;

            if (bucket_of(&origin->id, bits) != bucket)
                break;
            if (!rows || rows[next].sub_mask)
                digest_element(&elements, origin, mask, doubted);
        }
        memset(digest, 0, sizeof(digest));
        if (elements.size) {
            struct hash hash = seal_hash(DOMAIN_SUMMARY, buffer_span(&elements));

            memcpy(digest, hash.bytes, sizeof(digest));
        }
        buffer_put(out, digest, sizeof(digest));
    }
    if (elements.err && !out->err)
        out->err = elements.err;
    buffer_done(&elements);
    return out->err;
}

/* ---- what is due ---- */

void sync_link_row_due(struct sync *sync, uint32_t peer, uint32_t origin)
{
    struct sync_link *link = sync->peers[peer].link;
    bool none = link->rows_from == link->rows_to;

    if (none || origin < link->rows_from)
        link->rows_from = origin;
    if (none || origin >= link->rows_to)
        link->rows_to = origin + 1;
    link->rows_due = true;
}

static void all_rows_due(struct sync *sync, uint32_t peer)
{
    struct sync_link *link = sync->peers[peer].link;

    link->rows_from = 0;
    link->rows_to = sync->origin_count;
    link->rows_due = true;
}

/* ---- the greeting's second half ---- */

enum torg_err sync_link_subscribe(struct sync *sync, uint32_t peer)
{
    struct frame frame = {.type = FRAME_SUB};
    struct session *session = &sync->peers[peer].link->session;

    frame_rows_clear(&sync->rows);
    if (sync->origin_count > FRAME_SUB_ROWS_MAX) {
        struct frame_sub_row all = {.kind = FRAME_SUB_ALL, .mask = sync->subscribe_mask};

        frame_rows_sub(&sync->rows, &all);
    }
    for (uint32_t i = 0; sync->origin_count <= FRAME_SUB_ROWS_MAX && i < sync->origin_count; i++) {
        const struct sync_origin *origin = &sync->origins[i];
        struct frame_sub_row row = {
            .kind = FRAME_SUB_ORIGIN,
            .origin = origin->id,
            .mask = origin->subscribed,
        };

        frame_rows_sub(&sync->rows, &row);
    }
    if (sync->rows.bytes.err)
        return sync->rows.bytes.err;
    frame.sub.rows = frame_rows_list(&sync->rows);
    return session_send(session, &frame, sync->now_ms);
}

static enum torg_err summarise(struct sync *sync, uint32_t peer)
{
    struct frame frame = {.type = FRAME_SUMMARY};
    enum torg_err err;

    frame.summary.bits = summary_bits(sync->origin_count);
    buffer_clear(&sync->scratch);
    err = digests_put(sync, SYNC_NONE, frame.summary.bits, &sync->scratch);
    if (err)
        return err;
    frame.summary.digests = buffer_span(&sync->scratch);
    return session_send(&sync->peers[peer].link->session, &frame, sync->now_ms);
}

static enum torg_err open_link(struct sync *sync, uint32_t peer)
{
    struct sync_link *link = sync->peers[peer].link;
    enum torg_err err;

    if (link->opened || link->session.state != SESSION_OPEN)
        return TORG_OK;
    link->opened = true;
    sync_note(sync, "peer.up", " peer=%s link=%" PRIu32 " software=\"%s\" session=%" PRIu64,
              sync->peers[peer].name, link->id, link->session.peer_software,
              link->session.config.id);
    err = sync_link_subscribe(sync, peer);
    if (!err)
        err = summarise(sync, peer);
    return err == TORG_E_BUSY ? TORG_OK : err; /* closed meanwhile */
}

/* What is wanted of all; what is wanted of one is noted there. */
static uint32_t sub_row_apply(struct sync *sync, uint32_t peer, const struct frame_sub_row *row)
{
    uint32_t index;

    if (row->kind == FRAME_SUB_ALL)
        return row->mask;
    if (row->kind != FRAME_SUB_ORIGIN)
        return 0;
    index = sync_origin_index(sync, &row->origin);
    if (index != SYNC_NONE)
        sync->peers[peer].rows[index].sub_mask |= row->mask;
    return 0;
}

void sync_link_sub_apply(struct sync *sync, uint32_t peer)
{
    struct sync_row *rows = sync->peers[peer].rows;
    struct sync_link *link = sync->peers[peer].link;
    struct frame_list list = {.bytes = buffer_span(&link->sub), .count = link->sub_count};
    struct profile_reader in = frame_list_reader(&list);
    uint32_t of_all = 0;

    for (uint32_t i = 0; i < sync->origin_count; i++)
        rows[i].sub_mask = 0;
    for (uint32_t n = 0; n < list.count; n++) {
        struct frame_sub_row row = frame_read_sub(&in);

        of_all |= sub_row_apply(sync, peer, &row);
    }
    /* Once, however many rows say it: a frame must not cost its rows times the origins. */
    for (uint32_t i = 0; of_all && i < sync->origin_count; i++)
        rows[i].sub_mask |= of_all;
    all_rows_due(sync, peer);
}

static enum torg_err take_sub(struct sync *sync, uint32_t peer, const struct frame *frame)
{
    struct sync_link *link = sync->peers[peer].link;
    struct profile_reader in = frame_list_reader(&frame->sub.rows);

    buffer_clear(&link->sub);
    buffer_put_span(&link->sub, frame->sub.rows.bytes);
    if (link->sub.err)
        return link->sub.err;
    link->sub_count = frame->sub.rows.count;
    for (uint32_t n = 0; n < frame->sub.rows.count; n++) {
        if (frame_read_sub(&in).kind != FRAME_SUB_SET)
            continue;
        /* Better than an asker who waits for listings that nobody will send. */
        sync_link_error(sync, peer, 0, FRAME_CODE_UNKNOWN_ORIGIN,
                        "no set of origins has that name here");
        break;
    }
    sync_link_sub_apply(sync, peer);
    for (uint32_t i = 0; link->ready && i < sync->origin_count; i++)
        sync->peers[peer].rows[i].have_due = true;
    return TORG_OK;
}

/* Digests are about heads: a charter that the head does not name shows in none of them. */
static bool has_charter_unseen(const struct sync_origin *origin)
{
    return origin->known && (!origin->has_head || origin->charter_no > origin->head_charter_no);
}

static enum torg_err take_summary(struct sync *sync, uint32_t peer, const struct frame *frame)
{
    struct sync_link *link = sync->peers[peer].link;
    struct sync_row *rows = sync->peers[peer].rows;
    unsigned bits = frame->summary.bits;
    enum torg_err err;

    if (link->ready && sync->now_ms < link->summary_ms + SYNC_SUMMARY_MS) {
        session_charge(&link->session, SESSION_CONTROL_BURST / 8, sync->now_ms);
        return TORG_OK;
    }
    buffer_clear(&sync->scratch);
    err = digests_put(sync, peer, bits, &sync->scratch);
    if (err)
        return err;
    for (uint32_t i = 0; i < sync->origin_count; i++) {
        size_t at = (size_t)bucket_of(&sync->origins[i].id, bits) * FRAME_DIGEST_BYTES;

        if (memcmp(sync->scratch.data + at, frame->summary.digests.data + at, FRAME_DIGEST_BYTES) ||
            has_charter_unseen(&sync->origins[i]))
            rows[i].have_due = true;
        rows[i].beat_due = true;
        err = sync_proof_tell(sync, peer, i);
        if (err)
            return err;
    }
    link->summary_ms = sync->now_ms;
    link->ready = true;
    link->answer_due = true;
    all_rows_due(sync, peer);
    return TORG_OK;
}

/* ---- what peers hold ---- */

/*
 * Evidence that came before the charters by which it can be judged was passed over:
 * when a peer's row shows them, and no dispute, it is told once more.
 */
static enum torg_err proof_again(struct sync *sync, uint32_t peer, uint32_t index,
                                 const struct frame_have_row *have)
{
    const struct sync_origin *origin = &sync->origins[index];
    struct sync_row *row = &sync->peers[peer].rows[index];

    if (!(origin->flags & REPLICA_FLAG_DISPUTED) || have->state & FRAME_STATE_DISPUTED ||
        have->charter_no != origin->charter_no || row->told_again > have->charter_no)
        return TORG_OK;
    row->told_again = have->charter_no + 1;
    return sync_proof_tell(sync, peer, index);
}

/*
 * Who was greeted with the same head, and held all that it wanted, was told nothing of it. When
 * it comes to want more, as one does who becomes a member, it must hear who has that.
 */
static void have_rest(struct sync *sync, uint32_t peer, uint32_t index,
                      const struct frame_have_row *have)
{
    const struct sync_origin *origin = &sync->origins[index];
    struct sync_row *row = &sync->peers[peer].rows[index];

    if (row->told || row->have_due || !origin->has_head ||
        sync_number_compare(have->epoch, have->hno, origin->epoch, origin->hno) != 0 ||
        !(origin->complete & row->sub_mask & ~have->mask & sync_visible_to(sync, peer, origin)))
        return;
    row->have_due = true;
    sync_link_row_due(sync, peer, index);
}

static enum torg_err take_have(struct sync *sync, uint32_t peer, const struct frame *frame)
{
    struct sync_row *rows = sync->peers[peer].rows;
    struct profile_reader in = frame_list_reader(&frame->have.rows);
    enum torg_err err = TORG_OK;

    if (!sync->peers[peer].link->answered)
        sync_origin_attend_all(sync); /* it may have what nobody had, and not say so in a row */
    sync->peers[peer].link->answered = true;
    for (uint32_t n = 0; n < frame->have.rows.count && !err; n++) {
        struct frame_have_row have = frame_read_have(&in);
        uint32_t index = sync_origin_index(sync, &have.origin);
        struct sync_row *row;

        if (index == SYNC_NONE)
            continue;
        err = proof_again(sync, peer, index, &have);
        have_rest(sync, peer, index, &have);
        row = &rows[index];
        if (sync_number_compare(row->epoch, row->hno, have.epoch, have.hno) != 0) {
            row->useless = false;
            row->too_large = sync_quota_refused(&sync->origins[index], have.epoch, have.hno);
            row->unplaced_ms = 0;
        }
        row->claimed = true;
        row->epoch = have.epoch;
        row->hno = have.hno;
        row->seq = have.seq;
        memcpy(row->head_hash, have.head_hash, sizeof(row->head_hash));
        sync_origin_compare(sync, index, row);
        row->mask = have.mask;
        row->charter_no = have.charter_no;
        if (sync->origins[index].has_head && row->hno == sync->origins[index].hno)
            sync->peers[peer].link->lagging = false; /* it has caught up, by asking */
        sync_origin_attend(sync, index);
    }
    return err;
}

void sync_link_have_due(struct sync *sync, uint32_t origin)
{
    for (uint32_t i = 0; i < sync->peer_count; i++) {
        struct sync_peer *peer = &sync->peers[i];

        if (!peer->link || !peer->rows[origin].sub_mask)
            continue;
        peer->rows[origin].have_due = true;
        sync_link_row_due(sync, i, origin);
    }
}

static void have_row_add(struct sync *sync, uint32_t peer, const struct sync_origin *origin)
{
    struct frame_have_row row = {
        .origin = origin->id,
        .epoch = origin->epoch,
        .hno = origin->hno,
        .seq = origin->seq,
        .mask = origin->complete & sync_visible_to(sync, peer, origin),
        .charter_no = origin->charter_no,
    };

    memcpy(row.head_hash, origin->head_hash.bytes, sizeof(row.head_hash));
    if (origin->flags & REPLICA_FLAG_DISPUTED)
        row.state |= FRAME_STATE_DISPUTED;
    if (origin->flags & REPLICA_FLAG_FAULTY)
        row.state |= FRAME_STATE_FAULTY;
    frame_rows_have(&sync->rows, &row);
}

static bool have_row_leaves(const struct sync *sync, const struct sync_row *rows, uint32_t origin)
{
    return rows[origin].have_due && rows[origin].sub_mask && sync->origins[origin].known;
}

/* HAVE of the due rows from *from on; TORG_E_BUSY leaves them due. */
static enum torg_err have_send(struct sync *sync, uint32_t peer, uint32_t *from)
{
    const struct sync_link *link = sync->peers[peer].link;
    struct sync_row *rows = sync->peers[peer].rows;
    struct frame frame = {.type = FRAME_HAVE};
    uint32_t i;
    enum torg_err err;

    frame_rows_clear(&sync->rows);
    for (i = *from; i < link->rows_to && sync->rows.count < HAVE_ROWS_MAX; i++) {
        if (have_row_leaves(sync, rows, i))
            have_row_add(sync, peer, &sync->origins[i]);
    }
    if (sync->rows.bytes.err)
        return sync->rows.bytes.err;
    if (sync->rows.count || sync->peers[peer].link->answer_due) {
        frame.have.rows = frame_rows_list(&sync->rows);
        err = session_send(&sync->peers[peer].link->session, &frame, sync->now_ms);
        if (err)
            return err;
        sync->peers[peer].link->answer_due = false;
    }
    for (uint32_t sent = *from; sent < i; sent++) {
        rows[sent].told |= have_row_leaves(sync, rows, sent);
        rows[sent].have_due = false;
    }
    *from = i;
    return TORG_OK;
}

/* ---- beats ---- */

void sync_link_beat_due(struct sync *sync, uint32_t origin, uint32_t but_link)
{
    for (uint32_t i = 0; i < sync->peer_count; i++) {
        struct sync_peer *peer = &sync->peers[i];

        if (!peer->link || peer->link->id == but_link || !peer->rows[origin].sub_mask)
            continue;
        peer->rows[origin].beat_due = true;
        sync_link_row_due(sync, i, origin);
    }
}

static enum torg_err beats_send(struct sync *sync, uint32_t peer, uint32_t *from)
{
    const struct sync_link *link = sync->peers[peer].link;
    struct sync_row *rows = sync->peers[peer].rows;
    struct frame frame = {.type = FRAME_BEAT};
    uint32_t i;
    enum torg_err err = TORG_OK;

    frame_rows_clear(&sync->rows);
    for (i = *from; i < link->rows_to && sync->rows.count < BEATS_MAX && !err; i++) {
        struct span beat;

        if (!rows[i].beat_due || !rows[i].sub_mask || !sync->origins[i].beat_epoch)
            continue;
        err = replica_beat_get(sync->read, sync->origins[i].number, &beat);
        if (!err)
            frame_rows_packed(&sync->rows, beat);
    }
    if (!err)
        err = sync->rows.bytes.err;
    if (err)
        return err;
    if (sync->rows.count) {
        frame.beat.beats = frame_rows_list(&sync->rows);
        err = session_send(&sync->peers[peer].link->session, &frame, sync->now_ms);
        if (err)
            return err;
    }
    for (uint32_t sent = *from; sent < i; sent++)
        rows[sent].beat_due = false;
    *from = i;
    return TORG_OK;
}

/*
 * Eight at once, then one a minute: more tells nobody more. Two hosts with one
 * key that have both just started need six to find each other out.
 */
static bool beat_allowed(struct sync *sync, struct sync_origin *origin)
{
    while (origin->beat_tokens < SYNC_BEATS_BURST &&
           sync->now_ms >= origin->beat_at_ms + SYNC_BEAT_MS) {
        origin->beat_tokens++;
        origin->beat_at_ms += SYNC_BEAT_MS;
    }
    if (origin->beat_tokens == SYNC_BEATS_BURST)
        origin->beat_at_ms = sync->now_ms;
    if (origin->beat_tokens == 0)
        return false;
    origin->beat_tokens--;
    return true;
}

static bool beat_is_newer(const struct sync_origin *origin, const struct beat *beat)
{
    int order = sync_number_compare(beat->epoch, beat->hno, origin->beat_epoch, origin->beat_hno);

    return order > 0 || (order == 0 && beat->ts_ms > origin->beat_ts_ms);
}

static enum torg_err beat_store(struct sync *sync, uint32_t index, uint32_t link, struct span raw)
{
    struct sync_pending pending = {.origin = index, .link = link, .job = SYNC_NONE};
    struct sync_store *store = calloc(1, sizeof(*store));
    struct profile_reader in;

    if (!store)
        return TORG_E_NOMEM;
    store->write.kind = REPLICA_WRITE_BEAT;
    buffer_put_span(&store->bytes[0], raw);
    if (store->bytes[0].err) {
        sync_store_free(store);
        return TORG_E_NOMEM;
    }
    in = profile_reader_of(buffer_span(&store->bytes[0]));
    store->write.beat = signed_read(&in, BEAT_BYTES_MAX);
    return sync_store_submit(sync, store, &pending);
}

/* Keep one beat for when the charter that names its key has come. */
static enum torg_err beat_hold(struct sync_origin *origin, struct span raw)
{
    buffer_clear(&origin->held_beat);
    buffer_put_span(&origin->held_beat, raw);
    return origin->held_beat.err;
}

/* A beat of our own origin that we did not make: the daemon knows what to think of it. */
static enum torg_err own_beat_take(struct sync *sync, uint32_t index,
                                   const struct signed_span *signed_beat)
{
    struct sync_origin *origin = &sync->origins[index];
    struct sync_action *action = NULL;
    struct replica_origin record;
    struct beat beat;
    enum torg_err err = replica_origin_get(sync->read, &origin->id, &record);

    if (!err)
        err = replica_beat_check(sync->read, &record, signed_beat, &beat);
    if (err == TORG_E_NOMEM || err == TORG_E_IO || err == TORG_E_CORRUPT)
        return err;
    if (err || !beat_allowed(sync, origin))
        return TORG_OK; /* old, or from a time whose charter is not here: says nothing now */
    err = sync_action_add(sync, SYNC_ACTION_OWN_BEAT, &action);
    if (err)
        return err;
    action->writer = beat.writer;
    action->rival = beat.rival;
    action->ts_ms = beat.ts_ms;
    return TORG_OK;
}

/* One beat; peer SYNC_NONE: one that was held back. */
static enum torg_err beat_take(struct sync *sync, uint32_t peer, struct span raw)
{
    struct profile_reader in = profile_reader_of(raw);
    struct signed_span signed_beat = signed_read(&in, BEAT_BYTES_MAX);
    struct replica_origin record;
    struct sync_origin *origin;
    struct beat beat;
    uint32_t index;
    enum torg_err err;

    err = beat_parse(signed_beat.bytes, &beat);
    if (err)
        goto blame;
    index = sync_origin_index(sync, &beat.origin);
    if (index == SYNC_NONE)
        return TORG_OK;
    origin = &sync->origins[index];
    if (origin->pending_beat || !beat_is_newer(origin, &beat))
        return TORG_OK;
    if (origin->own)
        return origin->known ? own_beat_take(sync, index, &signed_beat) : TORG_OK;
    if (!origin->known)
        return beat_hold(origin, raw);
    err = replica_origin_get(sync->read, &origin->id, &record);
    if (err)
        return err;
    err = replica_beat_check(sync->read, &record, &signed_beat, &beat);
    if (err == TORG_E_GAP)
        return beat_hold(origin, raw);
    if (err == TORG_E_UNEXPECTED && peer != SYNC_NONE)
        return sync_proof_find(sync, peer, index, &signed_beat);
    if (err == TORG_E_KNOWN || err == TORG_E_STALE || err == TORG_E_UNEXPECTED)
        return TORG_OK;
    if ((err == TORG_E_SIGNATURE || err == TORG_E_INVALID) && peer != SYNC_NONE &&
        sync_charters_doubt(sync, peer, index))
        return TORG_OK; /* two charters may give one number to two keys, or open one epoch */
    if (err)
        goto blame;
    if (!beat_allowed(sync, origin) || !sync_store_room(sync))
        return TORG_OK;
    return beat_store(sync, index, peer == SYNC_NONE ? 0 : sync->peers[peer].link->id, raw);
blame:
    if (err == TORG_E_NOMEM || err == TORG_E_IO || err == TORG_E_CORRUPT)
        return err;
    if (peer != SYNC_NONE)
        session_close_fault(&sync->peers[peer].link->session, err, session_code_of(err));
    return TORG_OK;
}

static enum torg_err take_beats(struct sync *sync, uint32_t peer, const struct frame *frame)
{
    struct profile_reader in = frame_list_reader(&frame->beat.beats);
    enum torg_err err = TORG_OK;

    for (uint32_t i = 0; i < frame->beat.beats.count && !err; i++)
        err = beat_take(sync, peer, profile_skip(&in));
    return err;
}

enum torg_err sync_link_held_beat(struct sync *sync, uint32_t index)
{
    struct buffer raw = sync->origins[index].held_beat;
    enum torg_err err = TORG_OK;

    sync->origins[index].held_beat = (struct buffer){0};
    if (raw.size)
        err = beat_take(sync, SYNC_NONE, buffer_span(&raw));
    buffer_done(&raw);
    return err;
}

/* ---- the tree ---- */

static void take_tree(struct sync *sync, uint32_t peer, const struct frame *frame)
{
    struct profile_reader in = frame_list_reader(&frame->tree.rows);

    for (uint32_t i = 0; i < frame->tree.rows.count; i++) {
        struct frame_tree_row row = frame_read_tree(&in);
        uint32_t index = sync_origin_index(sync, &row.origin);

        if (index != SYNC_NONE)
            sync->peers[peer].rows[index].eager_out = row.graft;
    }
}

static enum torg_err tree_send(struct sync *sync, uint32_t peer, uint32_t *from)
{
    const struct sync_link *link = sync->peers[peer].link;
    struct sync_row *rows = sync->peers[peer].rows;
    struct frame frame = {.type = FRAME_TREE};
    uint32_t i;

    frame_rows_clear(&sync->rows);
    for (i = *from; i < link->rows_to && sync->rows.count < TREE_ROWS_MAX; i++) {
        struct frame_tree_row row = {
            .origin = sync->origins[i].id,
            .graft = rows[i].tree_due == SYNC_TREE_GRAFT,
        };

        if (rows[i].tree_due != SYNC_TREE_NONE)
            frame_rows_tree(&sync->rows, &row);
        rows[i].tree_due = SYNC_TREE_NONE;
    }
    *from = i;
    if (sync->rows.bytes.err)
        return sync->rows.bytes.err;
    if (sync->rows.count == 0)
        return TORG_OK;
    frame.tree.rows = frame_rows_list(&sync->rows);
    return session_send(&sync->peers[peer].link->session, &frame, sync->now_ms);
}

enum torg_err sync_link_flush(struct sync *sync, uint32_t peer)
{
    static enum torg_err (*const senders[])(struct sync *, uint32_t, uint32_t *) = {
        tree_send,
        have_send,
        beats_send,
    };
    struct sync_link *link = sync->peers[peer].link;
    enum torg_err err = TORG_OK;

    if (!link->ready)
        return TORG_OK; /* its SUMMARY comes, or the session ends */
    for (size_t i = 0; i < ARRAY_SIZE(senders) && !err; i++) {
        uint32_t from = link->rows_from;

        do
            err = senders[i](sync, peer, &from);
        while (!err && from < link->rows_to);
    }
    if (!err)
        link->rows_from = link->rows_to = 0;
    link->rows_due = false;
    link->rows_blocked = err == TORG_E_BUSY;
    return err == TORG_E_BUSY ? TORG_OK : err;
}

/* ---- frames ---- */

void sync_link_error(struct sync *sync, uint32_t peer, uint64_t sid, enum frame_code code,
                     const char *detail)
{
    struct frame frame = {.type = FRAME_ERROR};
    struct session *session = &sync->peers[peer].link->session;

    frame.error.sid = sid;
    frame.error.code = code;
    frame.error.detail = span_of_str(detail);
    session_charge(session, 1, sync->now_ms);
    if (session_send(session, &frame, sync->now_ms))
        return; /* closed, or no memory: the peer's request times out */
}

static void take_error(struct sync *sync, uint32_t peer, const struct frame *frame)
{
    sync_note(sync, "peer.error", " peer=%s code=%s", sync->peers[peer].name,
              frame_code_name(frame->error.code));
}

/* A flat switch: who takes which frame. */
static enum torg_err frame_take(struct sync *sync, uint32_t peer, const struct frame *frame,
                                bool *ret_held)
{
    switch ((enum frame_type)frame->type) {
    case FRAME_SUB:
        return take_sub(sync, peer, frame);
    case FRAME_SUMMARY:
        return take_summary(sync, peer, frame);
    case FRAME_HAVE:
        return take_have(sync, peer, frame);
    case FRAME_HEAD:
        return sync_live_received(sync, peer, frame->head.head, NULL, ret_held);
    case FRAME_BATCH:
        return sync_live_received(sync, peer, frame->batch.head, &frame->batch.entries, ret_held);
    case FRAME_BEAT:
        return take_beats(sync, peer, frame);
    case FRAME_TREE:
        take_tree(sync, peer, frame);
        return TORG_OK;
    case FRAME_PROOF:
        return sync_proof_take(sync, peer, &frame->proof.origin, frame->proof.evidence);
    case FRAME_PULL:
    case FRAME_TRIE_REQ:
    case FRAME_FETCH:
    case FRAME_CHARTER_REQ:
    case FRAME_ANCESTRY_REQ:
        return sync_serve_request(sync, peer, frame, sync->peers[peer].link->session.frame_body);
    case FRAME_ERROR:
        if (frame->error.sid)
            return sync_fetch_answer(sync, peer, frame);
        take_error(sync, peer, frame);
        return TORG_OK;
    case FRAME_CHARTER:
    case FRAME_DELTA:
    case FRAME_TRIE:
    case FRAME_ENTRIES:
    case FRAME_ANCESTRY:
        return sync_fetch_answer(sync, peer, frame);
    case FRAME_HELLO:
    case FRAME_CREDIT:
    case FRAME_PING:
    case FRAME_PONG:
    case FRAME_GOAWAY:
        return TORG_OK; /* the session has dealt with it */
    }
    return TORG_OK;
}

void sync_link_room(struct sync *sync, uint32_t peer)
{
    struct sync_link *link = sync->peers[peer].link;

    link->serve_due = true;
    if (link->rows_blocked)
        link->rows_due = true;
}

enum torg_err sync_link_bytes(struct sync *sync, uint32_t peer, struct span bytes)
{
    struct sync_link *link = sync->peers[peer].link;
    struct session *session = &link->session;
    enum torg_err err;

    session_input(session, bytes, sync->now_ms);
    while (session->state != SESSION_CLOSED) {
        struct frame frame;
        bool held = false;

        err = session_next(session, sync->now_ms, sync->clock_ms, &frame);
        if (session->state == SESSION_CLOSED || err == TORG_E_TRUNCATED)
            break;
        if (err == TORG_E_UNEXPECTED)
            continue;
        if (!err)
            err = open_link(sync, peer);
        if (!err)
            err = frame_take(sync, peer, &frame, &held);
        if (err)
            return err;
        if (!held)
            session_release(session, session->frame_class, session->frame_bytes);
    }
    if (session->credit_came)
        sync_link_room(sync, peer);
    session->credit_came = false;
    return open_link(sync, peer);
}
