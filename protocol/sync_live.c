/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/sync_internal.h"

/* ---- out: one commit to those who want it ---- */

/* A commit on its way to the peers, and the frame made of it for one mask. */
struct outgoing {
    uint32_t origin;
    struct head head;
    struct span head_bytes; /* signed */
    const struct frame_list *entries;
    struct buffer frame;  /* for mask; empty: does not fit, only HAVE tells of it */
    struct buffer zipped; /* the same, packed; empty if that does not pay */
    bool zip_tried;
    uint32_t mask;
    bool made;
};

/* The entries of collections in mask, their objects byte for byte as they came. */
static enum torg_err entries_filter(const struct frame_list *entries, uint32_t mask,
                                    struct frame_rows *rows)
{
    struct profile_reader in = frame_list_reader(entries);

    frame_rows_clear(rows);
    for (uint32_t i = 0; i < entries->count; i++) {
        struct frame_entry entry = frame_read_entry(&in);
        struct change_header header;
        enum torg_err err = change_header_parse(entry.header, &header);

        if (err)
            return err;
        if (mask >> header.collection & 1)
            frame_rows_entry(rows, &entry);
    }
    return rows->bytes.err;
}

static enum torg_err outgoing_make(struct sync *sync, struct outgoing *out, uint32_t mask)
{
    struct frame frame = {.type = FRAME_BATCH};
    enum torg_err err;

    if (out->made && out->mask == mask)
        return TORG_OK;
    out->made = true;
    out->mask = mask;
    out->zip_tried = false;
    buffer_clear(&out->frame);
    buffer_clear(&out->zipped);
    err = entries_filter(out->entries, mask, &sync->rows);
    if (err)
        return err;
    if (sync->rows.count == 0) {
        frame.type = FRAME_HEAD;
        frame.head.head = out->head_bytes;
    } else {
        frame.batch.head = out->head_bytes;
        frame.batch.entries = frame_rows_list(&sync->rows);
    }
    err = frame_encode(&frame, &out->frame);
    if (err == TORG_E_TOO_BIG)
        buffer_clear(&out->frame);
    return err == TORG_E_TOO_BIG ? TORG_OK : err;
}

/* Once for all peers that take it so. */
static enum torg_err outgoing_zip(struct sync *sync, struct outgoing *out)
{
    struct span zipped;
    enum torg_err err;

    if (out->zip_tried || !frame_zip_pays(out->frame.data[FRAME_LENGTH_BYTES]))
        return TORG_OK;
    out->zip_tried = true;
    err = frame_zip_pack(sync->zip, buffer_span(&out->frame), &zipped);
    if (err)
        return err == TORG_E_TOO_BIG ? TORG_OK : err;
    buffer_put_span(&out->zipped, zipped);
    return out->zipped.err;
}

static void outgoing_done(struct outgoing *out)
{
    buffer_done(&out->frame);
    buffer_done(&out->zipped);
}

/* What the peer wants of it and may hold. */
static uint32_t mask_for(struct sync *sync, uint32_t peer, const struct outgoing *out)
{
    return sync->peers[peer].rows[out->origin].sub_mask &
           sync_visible_to(sync, peer, &sync->origins[out->origin]);
}

/* Does the peer lack the head, and want it pushed? */
static bool wants_pushed(struct sync *sync, uint32_t index, const struct outgoing *out)
{
    const struct sync_peer *peer = &sync->peers[index];
    const struct sync_origin *origin = &sync->origins[out->origin];
    const struct sync_row *row;

    if (!peer->link || !peer->link->ready)
        return false;
    row = &peer->rows[out->origin];
    if (!row->sub_mask || !row->eager_out)
        return false;
    /* It wants more than is held here: half a commit would not come out at its roots. */
    if (mask_for(sync, index, out) & ~origin->wanted)
        return false;
    return !row->claimed ||
           sync_number_compare(row->epoch, row->hno, out->head.epoch, out->head.hno) < 0;
}

/* It cannot take as much as there is: once its line is free, the newest HAVE tells it all. */
static void lag_note(struct sync *sync, struct sync_peer *peer)
{
    if (peer->link->lagging || peer->link->session.state != SESSION_OPEN)
        return;
    peer->link->lagging = true;
    sync_note(sync, "peer.lagging", " peer=%s queued_bytes=%zu", peer->name,
              session_queued_bytes(&peer->link->session));
}

/* To all eager peers but the one it came from. Who cannot take it learns by HAVE. */
static enum torg_err outgoing_send(struct sync *sync, struct outgoing *out, uint32_t but_link)
{
    enum torg_err err = TORG_OK;

    for (uint32_t i = 0; i < sync->peer_count && !err; i++) {
        struct sync_peer *peer = &sync->peers[i];

        if (!peer->link || peer->link->id == but_link || !wants_pushed(sync, i, out))
            continue;
        err = outgoing_make(sync, out, mask_for(sync, i, out));
        if (err || out->frame.size == 0)
            continue;
        if (peer->link->session.zips)
            err = outgoing_zip(sync, out);
        if (err)
            return err;
        err = session_send_encoded(&peer->link->session, buffer_span(&out->frame),
                                   buffer_span(&out->zipped), sync->now_ms);
        if (!err)
            peer->link->lagging = false;
        if (err == TORG_E_BUSY) {
            err = TORG_OK;
            lag_note(sync, peer);
        }
    }
    return err;
}

enum torg_err sync_live_relay(struct sync *sync, const struct sync_pending *pending)
{
    struct span relay = buffer_span(&pending->relay);
    struct frame_list entries = {.count = pending->relay_count};
    struct outgoing out = {.origin = pending->origin, .entries = &entries};
    struct signed_span signed_head;
    enum torg_err err;

    if (relay.size == 0)
        return TORG_OK;
    out.head_bytes = span_of(relay.data, pending->relay_head_size);
    entries.bytes =
        span_of(relay.data + out.head_bytes.size, relay.size - pending->relay_head_size);
    signed_head = frame_head(out.head_bytes);
    err = head_parse(signed_head.bytes, &out.head);
    if (!err)
        err = outgoing_send(sync, &out, pending->link);
    outgoing_done(&out);
    return err;
}

/* ---- out: our own commits ---- */

/* Changes of one own commit, read back from the store. */
struct own_commit {
    struct sync *sync;
    uint32_t number;
    uint64_t seq_last;
    uint64_t found;
    struct frame_rows rows;
    enum torg_err err;
};

static bool own_change(void *context, const struct listing_key *key, struct span header_bytes)
{
    struct own_commit *commit = context;
    struct frame_entry entry = {.header = header_bytes};
    struct change_header header;
    struct span stored;

    commit->err = change_header_parse(header_bytes, &header);
    if (commit->err || header.seq > commit->seq_last)
        return false;
    if (header.op == CHANGE_UPSERT)
        commit->err = replica_listing_get(commit->sync->read, commit->number, header.collection,
                                          key, &stored, &entry.payload);
    if (commit->err)
        return false;
    entry.has_payload = entry.payload.size > 0;
    if (!frame_rows_fit(&commit->rows, entry.header.size + entry.payload.size + 16))
        return false; /* too large for a frame: found stays too small */
    commit->found++;
    frame_rows_entry(&commit->rows, &entry);
    commit->err = commit->rows.bytes.err;
    return !commit->err;
}

/*
 * Send head as a batch, if all its changes are still the newest of their
 * listings and fit a frame. *ret_sent false: HAVE must do, for this head and
 * for those after it, which build on it.
 */
static enum torg_err own_push(struct sync *sync, uint32_t index, uint64_t hno, uint64_t *seq,
                              bool *ret_sent)
{
    const struct sync_origin *origin = &sync->origins[index];
    struct own_commit commit = {.sync = sync, .number = origin->number};
    struct outgoing out = {.origin = index};
    struct signed_span signed_head;
    struct frame_list entries;
    enum torg_err err;

    err = replica_head_get(sync->read, origin->number, origin->epoch, hno, &out.head_bytes);
    if (err)
        return err;
    signed_head = frame_head(out.head_bytes);
    err = head_parse(signed_head.bytes, &out.head);
    if (err)
        return err;
    commit.seq_last = out.head.seq;
    err = replica_changes_since(sync->read, origin->number, *seq, own_change, &commit);
    if (!err)
        err = commit.err;
    *ret_sent = !err && commit.found == out.head.seq - *seq;
    if (*ret_sent) {
        entries = frame_rows_list(&commit.rows);
        out.entries = &entries;
        err = outgoing_send(sync, &out, 0);
    }
    *seq = out.head.seq;
    frame_rows_done(&commit.rows);
    outgoing_done(&out);
    return err;
}

enum torg_err sync_live_published(struct sync *sync)
{
    struct sync_origin before;
    struct sync_origin *origin;
    uint32_t index = 0;
    bool sent = true;
    uint64_t seq;
    enum torg_err err;

    while (index < sync->origin_count && !sync->origins[index].own)
        index++;
    if (index == sync->origin_count)
        return TORG_OK;
    sync_serve_own(sync);
    origin = &sync->origins[index];
    before = *origin;
    err = sync_origin_refresh(sync, index);
    if (err || !origin->known)
        return err;
    if (origin->beat_ts_ms != before.beat_ts_ms || origin->beat_epoch != before.beat_epoch)
        sync_link_beat_due(sync, index, 0);
    if (!origin->has_head || (before.has_head && before.epoch != origin->epoch) ||
        origin->hno - before.hno > SYNC_HEADS_STEP_MAX)
        return TORG_OK; /* too much at once: HAVE tells, and peers pull */
    seq = before.seq;
    for (uint64_t hno = before.hno + 1; hno <= origin->hno && sent && !err; hno++)
        err = own_push(sync, index, hno, &seq, &sent);
    return err;
}

/* ---- in ---- */

/* From now on the peer tells of the origin's commits by HAVE alone. */
static void prune(struct sync *sync, uint32_t peer, uint32_t origin)
{
    struct sync_row *row = &sync->peers[peer].rows[origin];

    row->eager_in = false;
    row->tree_due = SYNC_TREE_PRUNE;
    sync_link_row_due(sync, peer, origin);
}

void sync_live_blame(struct sync *sync, uint32_t peer, uint32_t origin, struct span head,
                     enum torg_err err)
{
    struct session *session = &sync->peers[peer].link->session;
    struct signed_span other = frame_head(head);

    switch (err) {
    case TORG_E_KNOWN:
    case TORG_E_GAP:
    case TORG_E_NOMEM:
    case TORG_E_IO:
    case TORG_E_CORRUPT:
        return;        /* old news, or our own trouble */
    case TORG_E_STALE: /* old news, which may yet contradict what was said then */
    case TORG_E_UNEXPECTED:
        if (sync_proof_find(sync, peer, origin, &other))
            return; /* no memory, or a store that cannot be read: it comes again */
        return;
    case TORG_E_SIGNATURE:
    case TORG_E_INVALID:
        if (sync_charters_doubt(sync, peer, origin)) {
            prune(sync, peer, origin);
            return;
        }
        break;
    default:
        break;
    }
    session_close_fault(session, err, session_code_of(err));
}

/* The second copy of a commit: this path is not needed, if another one stands. */
static void duplicate(struct sync *sync, uint32_t peer, uint32_t origin)
{
    struct sync_row *row = &sync->peers[peer].rows[origin];

    sync->counters.batches_duplicate++;
    if (!row->eager_in)
        return;
    for (uint32_t i = 0; i < sync->peer_count; i++) {
        const struct sync_peer *other = &sync->peers[i];

        if (i == peer || !other->link || !other->link->ready || !other->rows[origin].eager_in ||
            !other->rows[origin].claimed)
            continue;
        prune(sync, peer, origin);
        return;
    }
}

/* The sender has this head: no need to offer it back. */
static void note_sender(struct sync *sync, uint32_t peer, uint32_t origin, const struct head *head,
                        struct span head_bytes)
{
    struct sync_row *row = &sync->peers[peer].rows[origin];
    struct signed_span signed_head = frame_head(head_bytes);
    struct hash hash;

    if (row->claimed && sync_number_compare(row->epoch, row->hno, head->epoch, head->hno) >= 0)
        return;
    hash = head_hash(signed_head.bytes);
    row->useless = false;
    row->too_large = false;
    row->contradicts = false; /* the head itself is here and is looked at */
    row->unplaced_ms = 0;
    row->claimed = true;
    row->epoch = head->epoch;
    row->hno = head->hno;
    row->seq = head->seq;
    memcpy(row->head_hash, hash.bytes, sizeof(row->head_hash));
    if (row->charter_no < head->charter_no)
        row->charter_no = head->charter_no;
}

/* Can it be tried without asking for anything in between? */
static bool fits_next(const struct sync *sync, const struct sync_origin *origin,
                      const struct head *head, bool bare)
{
    bool whole = sync_origin_whole(origin) || origin->pending > 0;

    if (origin->job != SYNC_NONE && sync->jobs[origin->job].purpose != SYNC_FOR_ANCESTRY)
        return false; /* what is being fetched goes under its own head first */
    if (!origin->has_head && origin->pending == 0)
        return head->hno == 1 && head->epoch == origin->charter_epoch;
    if (head->epoch != origin->expected_epoch || !whole)
        return false;
    return bare || head->hno == origin->expected_hno + 1;
}

/* Fill store from the list; entries of collections that we do not want are left out. */
static enum torg_err entries_take(struct sync_store *store, const struct frame_list *list,
                                  uint32_t mask)
{
    struct replica_write *write = &store->write;
    struct frame_list copy = {.count = list->count};
    struct profile_reader in;

    buffer_put_span(&store->bytes[0], list->bytes);
    store->entries = calloc(list->count ? list->count : 1, sizeof(*store->entries));
    if (store->bytes[0].err || !store->entries)
        return TORG_E_NOMEM;
    copy.bytes = buffer_span(&store->bytes[0]);
    in = frame_list_reader(&copy);
    for (uint32_t i = 0; i < list->count; i++) {
        struct frame_entry entry = frame_read_entry(&in);
        enum torg_err err =
            replica_entry_read(entry.header, entry.payload, &store->entries[write->entry_count]);

        if (err)
            return err;
        if (mask >> store->entries[write->entry_count].header.collection & 1)
            write->entry_count++;
    }
    write->entries = store->entries;
    return TORG_OK;
}

static bool anybody_else(const struct sync *sync, uint32_t peer)
{
    for (uint32_t i = 0; i < sync->peer_count; i++) {
        if (i != peer && sync->peers[i].link)
            return true;
    }
    return false;
}

static enum torg_err commit_store(struct sync *sync, uint32_t peer, uint32_t index,
                                  const struct head *head, struct span head_bytes,
                                  const struct seal_proof *proof, const struct frame_list *entries)
{
    static const struct frame_list none;
    const struct session *session = &sync->peers[peer].link->session;
    struct sync_pending pending = {
        .origin = index,
        .link = sync->peers[peer].link->id,
        .job = SYNC_NONE,
        .epoch = head->epoch,
        .hno = head->hno,
        .held_bytes = session->frame_bytes,
    };
    struct sync_store *store = calloc(1, sizeof(*store));
    enum torg_err err;

    if (!store)
        return TORG_E_NOMEM;
    store->write.kind = REPLICA_WRITE_COMMIT;
    store->write.mask = sync->origins[index].wanted;
    buffer_put_span(&store->bytes[1], head_bytes);
    err = store->bytes[1].err;
    if (!err)
        err = entries_take(store, entries ? entries : &none, store->write.mask);
    if (!err && anybody_else(sync, peer)) {
        buffer_put_span(&pending.relay, head_bytes);
        pending.relay_head_size = head_bytes.size;
        if (entries) {
            buffer_put_span(&pending.relay, entries->bytes);
            pending.relay_count = entries->count;
        }
        err = pending.relay.err;
    }
    if (err) {
        buffer_done(&pending.relay);
        sync_store_free(store);
        return err;
    }
    store->write.head = frame_head(buffer_span(&store->bytes[1]));
    store->write.head_proof = *proof;
    sync->counters.listings_in += store->write.entry_count;
    for (size_t i = 0; i < store->write.entry_count; i++) {
        sync->counters.payloads_in += store->entries[i].payload.size > 0;
        sync->counters.payload_bytes_in += store->entries[i].payload.size;
    }
    return sync_store_submit(sync, store, &pending);
}

/* A newer head of an origin that we follow. */
static enum torg_err newer_head(struct sync *sync, uint32_t peer, uint32_t index,
                                const struct head *head, struct span head_bytes,
                                const struct frame_list *entries, bool *ret_held)
{
    struct sync_origin *origin = &sync->origins[index];
    struct session *session = &sync->peers[peer].link->session;
    bool refused = sync_quota_refused(origin, head->epoch, head->hno);
    struct seal_proof proof = {0};
    struct head checked;
    enum torg_err err;

    sync_origin_attend(sync, index);
    err = sync_head_check(sync, index, head_bytes, &proof, &checked);
    if (err) {
        sync_live_blame(sync, peer, index, head_bytes, err);
        return TORG_OK;
    }
    if (!sync_quota_admits(sync, index, peer, &checked)) {
        if (refused)
            duplicate(sync, peer, index);
        return TORG_OK;
    }
    if (!fits_next(sync, origin, head, !entries) || !sync_store_room(sync) ||
        !sync_rate_head_room(sync, index))
        return TORG_OK; /* its number is noted: what is missing will be asked for */
    err = commit_store(sync, peer, index, head, head_bytes, &proof, entries);
    if (!err) {
        *ret_held = true;
        return TORG_OK;
    }
    if (err == TORG_E_NOMEM)
        return err;
    if (err == TORG_E_MISMATCH) {
        /* A payload that is not what its header promises: it may have been lied to, too. */
        sync_peer_strike(sync, peer, index, true);
        sync_link_error(sync, peer, 0, FRAME_CODE_MISMATCH, "a payload differs from its header");
        return TORG_OK;
    }
    session_close_fault(session, err, session_code_of(err));
    return TORG_OK;
}

enum torg_err sync_live_received(struct sync *sync, uint32_t peer, struct span head_bytes,
                                 const struct frame_list *entries, bool *ret_held)
{
    struct signed_span signed_head = frame_head(head_bytes);
    struct session *session = &sync->peers[peer].link->session;
    struct sync_origin *origin;
    struct head head;
    uint32_t index;
    enum torg_err err;

    sync->counters.batches_in++;
    err = head_parse(signed_head.bytes, &head);
    if (err) {
        session_close_fault(session, err, session_code_of(err));
        return TORG_OK;
    }
    index = sync_origin_index(sync, &head.origin);
    if (index == SYNC_NONE)
        return TORG_OK; /* nobody trusts it here: neither stored nor relayed */
    origin = &sync->origins[index];
    if (origin->own) {
        sync_own_look(sync, index, head_bytes);
        if (!sync->recovering) {
            /* On a faster way than our own HAVE it was relayed back to us. */
            if (sync->peers[peer].rows[index].eager_in)
                prune(sync, peer, index);
            return TORG_OK;
        }
    }
    note_sender(sync, peer, index, &head, head_bytes);
    if (!origin->known) {
        sync_origin_attend(sync, index);
        return TORG_OK;
    }
    if (sync_number_compare(head.epoch, head.hno, origin->expected_epoch, origin->expected_hno) <=
        0) {
        if (origin->has_head && origin->epoch == head.epoch && origin->hno == head.hno) {
            struct head checked;

            /* The same number must be the same head. */
            err = sync_head_check(sync, index, head_bytes, NULL, &checked);
            sync_live_blame(sync, peer, index, head_bytes, err);
        } else if (origin->has_head && origin->epoch == head.epoch && origin->hno > head.hno) {
            err = sync_proof_find(sync, peer, index, &signed_head);
            if (!err)
                err = sync_ancestry_suspect(sync, index, head_bytes, &head);
            if (err)
                return err;
        }
        duplicate(sync, peer, index);
        return TORG_OK;
    }
    return newer_head(sync, peer, index, &head, head_bytes, entries, ret_held);
}
