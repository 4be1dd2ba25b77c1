/* SPDX-License-Identifier: EUPL-1.2 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "protocol/sync_internal.h"

const char *sync_peer_state_name(enum sync_peer_state state)
{
    switch (state) {
    case SYNC_PEER_DOWN:
        return "down";
    case SYNC_PEER_CONNECTING:
        return "connecting";
    case SYNC_PEER_OPEN:
        return "open";
    case SYNC_PEER_STALLED:
        return "stalled";
    }
    return "?";
}

static void state_set(struct sync *sync, struct sync_peer *peer, enum sync_peer_state state)
{
    if (peer->status.state == state)
        return;
    peer->status.state = state;
    peer->status.since_ms = sync->now_ms;
}

uint32_t sync_peer_of_link(const struct sync *sync, uint32_t link)
{
    for (uint32_t i = 0; i < sync->peer_count; i++) {
        if (sync->peers[i].link && sync->peers[i].link->id == link)
            return i;
    }
    return SYNC_NONE;
}

bool sync_peer_believed(const struct sync *sync, const struct sync_row *row)
{
    return sync->now_ms >= row->distrusted_until_ms;
}

void sync_peer_strike(struct sync *sync, uint32_t peer, uint32_t origin, bool all)
{
    struct sync_row *row;

    if (!sync->peers[peer].rows)
        return;
    row = &sync->peers[peer].rows[origin];
    row->strikes = all ? SYNC_STRIKES_MAX : (uint8_t)(row->strikes + 1);
    if (row->strikes < SYNC_STRIKES_MAX)
        return;
    row->strikes = 0;
    row->distrusted_until_ms = sync->now_ms + SYNC_DISTRUST_MS;
    sync_origin_attend_at(sync, origin, row->distrusted_until_ms);
    sync_note(sync, "peer.distrusted", " peer=%s origin=%02x%02x%02x%02x claimed_hno=%" PRIu64,
              sync->peers[peer].name, sync->origins[origin].id.bytes[0],
              sync->origins[origin].id.bytes[1], sync->origins[origin].id.bytes[2],
              sync->origins[origin].id.bytes[3], row->hno);
}

/* ---- dialling ---- */

/* 1 s doubling, +-50 %, at most 10 min: so that a restarted hub is not met by all at once. */
static int64_t back_off_ms(struct sync *sync, unsigned failures)
{
    int64_t base_ms = SYNC_DIAL_MS_MIN;
    int64_t wait_ms;

    for (unsigned i = 1; i < failures && base_ms < SYNC_DIAL_MS_MAX; i++)
        base_ms *= 2;
    if (base_ms > SYNC_DIAL_MS_MAX)
        base_ms = SYNC_DIAL_MS_MAX;
    wait_ms = base_ms / 2 + (int64_t)(sync_random(sync) % (uint64_t)base_ms);
    return wait_ms < SYNC_DIAL_MS_MAX ? wait_ms : SYNC_DIAL_MS_MAX;
}

static void dial_later(struct sync *sync, struct sync_peer *peer)
{
    peer->dialling = false;
    peer->failures++;
    peer->next_dial_ms = sync->now_ms + back_off_ms(sync, peer->failures);
}

void sync_peer_dial_failed(struct sync *sync, uint32_t index)
{
    struct sync_peer *peer = &sync->peers[index];

    if (!peer->dialling)
        return;
    dial_later(sync, peer);
    if (peer->link)
        return;
    peer->status.errors++;
    snprintf(peer->status.last_error, sizeof(peer->status.last_error), "could not connect");
    state_set(sync, peer, SYNC_PEER_DOWN);
}

static enum torg_err dial(struct sync *sync, uint32_t index)
{
    struct sync_peer *peer = &sync->peers[index];
    struct sync_action *action = NULL;
    enum torg_err err;

    if (peer->dialling && sync->now_ms >= peer->dial_started_ms + SYNC_DIAL_ANSWER_MS_MAX)
        sync_peer_dial_failed(sync, index);
    if (!peer->dial || peer->link || peer->dialling || sync->now_ms < peer->next_dial_ms)
        return TORG_OK;
    err = sync_action_add(sync, SYNC_ACTION_DIAL, &action);
    if (err)
        return err;
    action->peer = index;
    peer->dialling = true;
    peer->dial_started_ms = sync->now_ms;
    state_set(sync, peer, SYNC_PEER_CONNECTING);
    return TORG_OK;
}

/* ---- connections ---- */

static void link_free(struct sync_link *link)
{
    if (!link)
        return;
    session_done(&link->session);
    sync_serve_free(link);
    buffer_done(&link->sub);
    free(link);
}

void sync_peer_free(struct sync_peer *peer)
{
    link_free(peer->link);
    free(peer->rows);
    sync_speaker_forget(&peer->speaker);
    peer->link = NULL;
    peer->rows = NULL;
}

static void traffic_add(struct sync_peer_status *status, const struct session *session)
{
    status->bytes_in += session->bytes_in;
    status->bytes_out += session->bytes_out;
    status->frames_in += session->frames_in;
    status->frames_out += session->frames_out;
    status->saved_in += session->saved_in;
    status->saved_out += session->saved_out;
}

/* What the peer claimed ends with its connection; strikes and distrust do not. */
static void rows_reset(struct sync *sync, struct sync_peer *peer)
{
    for (uint32_t i = 0; i < sync->origin_count; i++) {
        struct sync_row *row = &peer->rows[i];

        *row = (struct sync_row){
            .strikes = row->strikes,
            .slow_ms = row->slow_ms,
            .distrusted_until_ms = row->distrusted_until_ms,
            .eager_in = true,
            .eager_out = true,
        };
    }
}

/* The link is gone; whoever leaned on it looks for others. */
static void link_drop(struct sync *sync, uint32_t index)
{
    struct sync_peer *peer = &sync->peers[index];
    uint32_t id = peer->link->id;

    traffic_add(&peer->status, &peer->link->session);
    peer->status.queued_bytes = 0;
    peer->status.answered = false;
    link_free(peer->link);
    peer->link = NULL;
    state_set(sync, peer, SYNC_PEER_DOWN);
    sync_job_link_lost(sync, id);
    for (uint32_t i = 0; i < sync->origin_count; i++) {
        if (peer->rows[i].claimed)
            sync_origin_attend(sync, i);
    }
    rows_reset(sync, peer);
}

static bool is_fault(enum frame_code code)
{
    return code == FRAME_CODE_BAD_FRAME || code == FRAME_CODE_TOO_BIG ||
           code == FRAME_CODE_BAD_SIG || code == FRAME_CODE_CREDIT_VIOLATION ||
           code == FRAME_CODE_VERSION || code == FRAME_CODE_BAD_CHARTER ||
           code == FRAME_CODE_RATE || code == FRAME_CODE_NOT_MEMBER;
}

/* When to dial again, and after a fault of the peer, when to let it in again. */
static void back_off(struct sync *sync, struct sync_peer *peer, const struct session *session)
{
    bool fault = session->state == SESSION_CLOSED && is_fault(session->close_code);
    bool proved = session->state == SESSION_OPEN || session->version;
    int64_t lasted_ms = sync->now_ms - session->opened_ms;
    int64_t asked_ms;

    if (lasted_ms >= SYNC_PROVED_MS || (proved && !fault))
        peer->failures = 0;
    peer->failures++;
    peer->next_dial_ms = sync->now_ms + back_off_ms(sync, peer->failures);
    if (fault && !session->closed_by_peer)
        peer->refused_until_ms = peer->next_dial_ms;
    asked_ms = session->retry_after_s > SYNC_DIAL_MS_MAX / 1000
                   ? SYNC_DIAL_MS_MAX
                   : (int64_t)session->retry_after_s * 1000;
    if (session->closed_by_peer && peer->next_dial_ms < sync->now_ms + asked_ms)
        peer->next_dial_ms = sync->now_ms + asked_ms;
}

void sync_peer_disconnected(struct sync *sync, uint32_t index, const char *why)
{
    struct sync_peer *peer = &sync->peers[index];

    peer->status.errors++;
    snprintf(peer->status.last_error, sizeof(peer->status.last_error), "%s", why);
    sync_note(sync, "peer.down", " peer=%s link=%" PRIu32 " reason=\"%s\"", peer->name,
              peer->link->id, why);
    back_off(sync, peer, &peer->link->session);
    link_drop(sync, index);
}

/* A last frame and the CLOSE of a link that is not, or no longer, a peer's. */
static enum torg_err close_link(struct sync *sync, uint32_t peer, uint32_t link,
                                struct buffer *output, const struct session *session,
                                const char *event)
{
    struct sync_action *action = NULL;
    enum torg_err err = TORG_OK;

    if (output->size) {
        err = sync_action_add(sync, SYNC_ACTION_SEND, &action);
        if (err)
            return err;
        action->link = link;
        action->peer = peer;
        action->bytes = *output;
        *output = (struct buffer){0};
    }
    err = sync_action_add(sync, SYNC_ACTION_CLOSE, &action);
    if (err)
        return err;
    action->link = link;
    action->peer = peer;
    action->err = session->close_err;
    action->event = event;
    snprintf(action->text, sizeof(action->text), " peer=%s link=%" PRIu32 " code=%s reason=\"%s\"",
             peer < sync->peer_count ? sync->peers[peer].name : "?", link,
             frame_code_name(session->close_code), session->close_text);
    return TORG_OK;
}

/* Told at the door to come back later: the reason is what ended the link before. */
static bool put_off(const struct session *session)
{
    return session->closed_by_peer && session->close_code == FRAME_CODE_RATE && !session->version;
}

/* The session has closed itself, or the peer has said goodbye. */
static enum torg_err close_finish(struct sync *sync, uint32_t index)
{
    struct sync_peer *peer = &sync->peers[index];
    struct session *session = &peer->link->session;
    struct buffer output = {0};
    enum torg_err err;

    session_take_output(session, &output);
    if (is_fault(session->close_code) && !session->closed_by_peer)
        sync->counters.refused_frames++;
    err = close_link(sync, index, peer->link->id, &output, session,
                     session->closed_by_peer ? "peer.left" : "peer.closed");
    buffer_done(&output);
    peer->status.errors++;
    if (!(put_off(session) && peer->failures && peer->status.last_error[0]))
        snprintf(peer->status.last_error, sizeof(peer->status.last_error), "%s%.90s",
                 session->closed_by_peer ? "it: " : "", session->close_text);
    back_off(sync, peer, session);
    link_drop(sync, index);
    return err;
}

void sync_peer_close(struct sync *sync, uint32_t index, enum torg_err err, enum frame_code code,
                     const char *text)
{
    struct sync_link *link = sync->peers[index].link;

    if (!link)
        return;
    session_close(&link->session, err, code, text);
    if (close_finish(sync, index))
        return; /* out of memory: the link is forgotten, the caller will see it end */
}

/* ---- a new connection ---- */

/* A connection that is not wanted: told why, and closed before it begins. */
static enum torg_err refuse(struct sync *sync, const struct sync_event *event, enum torg_err why,
                            enum frame_code code, const char *text, const char *name)
{
    struct frame frame = {.type = FRAME_GOAWAY};
    struct session session = {.close_err = why, .close_code = code};
    struct buffer output = {0};
    enum torg_err err;

    snprintf(session.close_text, sizeof(session.close_text), "%s", text);
    frame.goaway.code = code;
    frame.goaway.text = span_of_str(text);
    if (code == FRAME_CODE_RATE && event->peer < sync->peer_count) {
        int64_t left_ms = sync->peers[event->peer].refused_until_ms - sync->now_ms;

        frame.goaway.retry_after_s = (uint64_t)(left_ms > 0 ? left_ms / 1000 + 1 : 0);
    }
    err = frame_encode(&frame, &output);
    if (!err)
        err = close_link(sync, event->peer, event->link, &output, &session, name);
    buffer_done(&output);
    return err;
}

static bool key_is_pinned(const struct sync_peer *peer, const struct public_key *key)
{
    for (unsigned i = 0; i < peer->key_count; i++) {
        if (memcmp(peer->keys[i].bytes, key->bytes, sizeof(key->bytes)) == 0)
            return true;
    }
    return false;
}

/*
 * A second connection to a peer. Both sides see both, and must keep the same:
 * the one that the smaller node key opened. But one that has stood for long is
 * no rival: a peer that comes anew has lost it, whether we know it or not.
 */
static bool newer_wins(const struct sync *sync, const struct sync_peer *peer,
                       const struct sync_event *event)
{
    bool ours_is_smaller =
        memcmp(sync->node_key.bytes, event->key.bytes, sizeof(event->key.bytes)) < 0;

    if (sync->now_ms >= peer->link->connected_ms + SYNC_SIMULTANEOUS_MS)
        return true;
    if (peer->link->dialled == event->dialled)
        return true;
    return event->dialled == ours_is_smaller;
}

static enum torg_err rows_make(struct sync *sync, struct sync_peer *peer)
{
    if (!peer->rows) {
        peer->rows = calloc(sync->origin_count + 1, sizeof(*peer->rows));
        if (!peer->rows)
            return TORG_E_NOMEM;
    }
    rows_reset(sync, peer);
    return TORG_OK;
}

static enum torg_err link_make(struct sync *sync, struct sync_peer *peer,
                               const struct sync_event *event)
{
    struct session_config config = {
        .version_min = sync->version_min,
        .version_max = sync->version_max,
        .has_origin = sync->trust.has_own,
        .live_credit_bytes = sync->limits.live_credit_bytes,
        .sync_credit_bytes = sync->limits.sync_credit_bytes,
        .output_queue_bytes = sync->limits.output_queue_bytes,
        .zip = sync->limits.compress ? sync->zip : NULL,
        .software = span_of_str(sync->software),
        .id = sync_random(sync) & INTEGER_MAX,
    };
    struct sync_link *link;
    enum torg_err err;

    err = rows_make(sync, peer);
    if (err)
        return err;
    for (uint32_t i = 0; i < sync->origin_count; i++) {
        if (sync->origins[i].own)
            config.origin = sync->origins[i].id;
    }
    link = calloc(1, sizeof(*link));
    if (!link)
        return TORG_E_NOMEM;
    err = session_init(&link->session, &config, sync->now_ms, sync->clock_ms);
    if (err) {
        free(link);
        return err;
    }
    link->id = event->link;
    link->dialled = event->dialled;
    link->connected_ms = sync->now_ms;
    link->summary_ms = INT64_MIN;
    peer->link = link;
    peer->link_key = event->key;
    sync_speaker_forget(&peer->speaker);
    return TORG_OK;
}

enum torg_err sync_peer_connected(struct sync *sync, const struct sync_event *event)
{
    struct sync_peer *peer;

    if (event->peer >= sync->peer_count || !key_is_pinned(&sync->peers[event->peer], &event->key))
        return refuse(sync, event, TORG_E_NOT_TRUSTED, FRAME_CODE_NOT_MEMBER, "not a peer here",
                      "peer.refused");
    peer = &sync->peers[event->peer];
    if (event->dialled)
        peer->dialling = false;
    if (!event->dialled && sync->now_ms < peer->refused_until_ms)
        return refuse(sync, event, TORG_E_BUSY, FRAME_CODE_RATE, "come back later", "peer.refused");
    if (peer->link && !newer_wins(sync, peer, event))
        return refuse(sync, event, TORG_E_KNOWN, FRAME_CODE_NONE, "connected already",
                      "peer.duplicate");
    if (peer->link)
        sync_peer_close(sync, event->peer, TORG_E_KNOWN, FRAME_CODE_NONE, "a newer connection");
    state_set(sync, peer, SYNC_PEER_CONNECTING);
    return link_make(sync, peer, event);
}

/* ---- what is due ---- */

static void stall_note(struct sync *sync, struct sync_peer *peer)
{
    struct sync_link *link = peer->link;
    bool stalled = session_stalled(&link->session, sync->now_ms);
    bool holds_back = session_holds_back(&link->session, sync->now_ms);

    if (link->session.state == SESSION_OPEN)
        state_set(sync, peer, stalled ? SYNC_PEER_STALLED : SYNC_PEER_OPEN);
    if (stalled && !link->stalled)
        sync_note(sync, "peer.stalled", " peer=%s queued_bytes=%zu", peer->name,
                  session_queued_bytes(&link->session));
    if (holds_back && !link->holds_back)
        sync_note(sync, "peer.held_back", " peer=%s", peer->name);
    if ((link->stalled && !stalled) || (link->holds_back && !holds_back))
        sync_note(sync, "peer.goes_on", " peer=%s", peer->name);
    link->stalled = stalled;
    link->holds_back = holds_back;
}

static enum torg_err send_output(struct sync *sync, uint32_t index)
{
    struct sync_link *link = sync->peers[index].link;
    struct sync_action *action = NULL;
    enum torg_err err;

    if (link->session.output.size == 0)
        return TORG_OK;
    err = sync_action_add(sync, SYNC_ACTION_SEND, &action);
    if (err)
        return err;
    action->link = link->id;
    action->peer = index;
    session_take_output(&link->session, &action->bytes);
    return TORG_OK;
}

/* Nothing has happened to its session, and its time has not come. */
static bool is_quiet(const struct sync *sync, const struct sync_link *link)
{
    return !link->session.touched && sync->now_ms < link->due_ms;
}

static enum torg_err link_pump(struct sync *sync, uint32_t index)
{
    struct sync_peer *peer = &sync->peers[index];
    enum torg_err err;

    session_tick(&peer->link->session, sync->now_ms, sync->clock_ms);
    if (peer->link->session.state == SESSION_CLOSED)
        return close_finish(sync, index);
    stall_note(sync, peer);
    err = send_output(sync, index);
    if (err)
        return err; /* it stays touched */
    peer->link->session.touched = false;
    peer->link->due_ms = session_next_tick_ms(&peer->link->session);
    return TORG_OK;
}

enum torg_err sync_peer_pump(struct sync *sync)
{
    enum torg_err err = TORG_OK;

    for (uint32_t i = 0; i < sync->peer_count && !err; i++) {
        const struct sync_link *link = sync->peers[i].link;

        if (link && is_quiet(sync, link))
            continue;
        if (link)
            err = link_pump(sync, i);
        if (!err)
            err = dial(sync, i);
    }
    return err;
}

int64_t sync_peer_next_tick_ms(const struct sync *sync)
{
    int64_t next_ms = INT64_MAX;

    for (uint32_t i = 0; i < sync->peer_count; i++) {
        const struct sync_peer *peer = &sync->peers[i];
        int64_t due_ms = INT64_MAX;

        if (peer->link)
            due_ms = peer->link->due_ms;
        else if (peer->dialling)
            due_ms = peer->dial_started_ms + SYNC_DIAL_ANSWER_MS_MAX;
        else if (peer->dial)
            due_ms = peer->next_dial_ms;
        if (due_ms < next_ms)
            next_ms = due_ms;
    }
    return next_ms;
}

void sync_peer_status(const struct sync *sync, uint32_t index, struct sync_peer_status *ret_status)
{
    const struct sync_peer *peer = &sync->peers[index];
    struct sync_peer_status status = peer->status;

    if (peer->link) {
        const struct session *session = &peer->link->session;

        traffic_add(&status, session);
        status.queued_bytes = session_queued_bytes(session);
        status.rtt_ms = session->rtt_ms;
        status.clock_offset_ms = session->peer_clock_offset_ms;
        status.answered = peer->link->answered;
        status.zips = session->zips;
        status.holds_back = peer->link->holds_back;
        status.lagging = peer->link->lagging;
        if (session->state == SESSION_OPEN)
            snprintf(status.software, sizeof(status.software), "%.63s", session->peer_software);
    } else if (peer->dial && !peer->dialling) {
        status.next_dial_ms = peer->next_dial_ms;
    }
    *ret_status = status;
}
