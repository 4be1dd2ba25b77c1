/* SPDX-License-Identifier: EUPL-1.2 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "daemon/log.h"
#include "daemon/writer_internal.h"

int writer_state_number_compare(uint64_t epoch_a, uint64_t hno_a, uint64_t epoch_b, uint64_t hno_b)
{
    if (epoch_a != epoch_b)
        return epoch_a < epoch_b ? -1 : 1;
    return (hno_a > hno_b) - (hno_a < hno_b);
}

/* mutex held. The order is that of how much an operator has to do. */
enum writer_state writer_state_held(const struct writer *writer)
{
    if (writer->failed)
        return WRITER_FAILED;
    if (writer->forked)
        return WRITER_FORKED;
    if (writer->rivalled || writer->behind || writer->unguarded || writer->gap || writer->asking)
        return WRITER_RECOVERING;
    return writer->full ? WRITER_FULL : WRITER_READY;
}

pthread_mutex_t *writer_state_mutex(const struct writer *writer)
{
    union {
        const struct writer *in;
        struct writer *out;
    } both = {.in = writer};

    return &both.out->mutex;
}

/* mutex held. May local changes be signed now? */
enum torg_err writer_state_local_check(const struct writer *writer)
{
    switch (writer_state_held(writer)) {
    case WRITER_FAILED:
        return TORG_E_IO;
    case WRITER_RECOVERING:
    case WRITER_FORKED:
        return TORG_E_RECOVERING;
    default:
        return TORG_OK;
    }
}

enum writer_state writer_state(const struct writer *writer)
{
    enum writer_state state;

    pthread_mutex_lock(writer_state_mutex(writer));
    state = writer_state_held(writer);
    pthread_mutex_unlock(writer_state_mutex(writer));
    return state;
}

bool writer_state_is_failed(const struct writer *writer)
{
    bool failed;

    pthread_mutex_lock(writer_state_mutex(writer));
    failed = writer->failed;
    pthread_mutex_unlock(writer_state_mutex(writer));
    return failed;
}

const char *writer_state_name(enum writer_state state)
{
    static const char *const names[] = {"ready", "recovering", "full", "failed", "forked"};

    return names[state];
}

/* mutex held */
static const char *reason_of(const struct writer *writer)
{
    if (writer->failed)
        return "the last commit's fate is unknown after a disk error; see to the disk and start "
               "torgd again";
    if (writer->forked)
        return "two heads with one number were signed for this origin; no writes until its root "
               "key opens a new epoch";
    if (writer->rivalled)
        return "another host is running with the keys of this origin; stop one of the two, then "
               "start torgd again";
    if (writer->behind)
        return "this database is older than what was published; fetching the own origin from the "
               "peers";
    if (writer->unguarded)
        return "the guard file does not fit the database, which may be an old copy; waiting for a "
               "peer that knows this origin, or for torgd --confirm-guard";
    if (writer->gap)
        return "the next head of this origin must name an older one that is not here; fetching it "
               "from the peers (if none has it, the root key opens a new epoch)";
    if (writer->asking)
        return "asking the peers for the newest state of this origin";
    if (writer->full)
        return "the store is nearly full; delete listings, raise map-size or free disk space";
    return "ready";
}

const char *writer_state_reason(const struct writer *writer)
{
    const char *reason;

    pthread_mutex_lock(writer_state_mutex(writer));
    reason = reason_of(writer);
    pthread_mutex_unlock(writer_state_mutex(writer));
    return reason;
}

void writer_state_fail(struct writer *writer, const char *what)
{
    char value[LOG_VALUE_BYTES_MAX];

    log_event(LOG_ERROR, "writer.failed", "what=%s errno=%s", what,
              log_value(value, strerror(errno)));
    pthread_mutex_lock(&writer->mutex);
    writer->failed = true;
    pthread_mutex_unlock(&writer->mutex);
}

void writer_state_set_full(struct writer *writer)
{
    bool was;

    pthread_mutex_lock(&writer->mutex);
    was = writer->full;
    writer->full = true;
    pthread_mutex_unlock(&writer->mutex);
    if (!was)
        log_event(LOG_ERROR, "writer.full",
                  "remedy=\"delete listings, raise map-size or free disk space\"");
}

/* ---- what the peers know of the own origin ---- */

bool writer_wants_own(const struct writer *writer)
{
    bool wants;

    pthread_mutex_lock(writer_state_mutex(writer));
    wants = (writer->behind || writer->unguarded || writer->gap) && !writer->forked;
    pthread_mutex_unlock(writer_state_mutex(writer));
    return wants;
}

bool writer_own_head(const struct writer *writer, uint64_t *ret_epoch, uint64_t *ret_hno)
{
    bool has_head;

    pthread_mutex_lock(writer_state_mutex(writer));
    has_head = writer->has_head;
    if (has_head) {
        *ret_epoch = writer->head_epoch;
        *ret_hno = writer->head_hno;
    }
    pthread_mutex_unlock(writer_state_mutex(writer));
    return has_head;
}

void writer_told(struct writer *writer, bool asked, bool answered, uint64_t epoch, uint64_t hno)
{
    pthread_mutex_lock(&writer->mutex);
    if (asked && writer->asking) {
        writer->asking = false;
        writer->settle_due = true;
        pthread_cond_signal(&writer->wake);
        log_event(LOG_INFO, "writer.asked", "peers_answered=%s state=%s", answered ? "yes" : "no",
                  writer_state_name(writer_state_held(writer)));
    }
    if (answered != writer->told_answered || epoch != writer->told_epoch ||
        hno != writer->told_hno) {
        writer->told_answered = answered;
        writer->told_epoch = epoch;
        writer->told_hno = hno;
        writer->settle_due = true;
        pthread_cond_signal(&writer->wake);
    }
    pthread_mutex_unlock(&writer->mutex);
}

void writer_ahead(struct writer *writer, uint64_t epoch, uint64_t hno)
{
    pthread_mutex_lock(&writer->mutex);
    if (writer->has_head &&
        writer_state_number_compare(writer->head_epoch, writer->head_hno, epoch, hno) >= 0) {
        writer->forked = true; /* that number is taken, by another head */
    } else if (!writer->behind || writer_state_number_compare(writer->target_epoch,
                                                              writer->target_hno, epoch, hno) < 0) {
        writer->behind = true;
        writer->target_epoch = epoch;
        writer->target_hno = hno;
    }
    log_event(LOG_ERROR, "writer.ahead",
              "epoch=%" PRIu64 " hno=%" PRIu64 " state=%s: a head of the own origin that this "
              "node did not publish",
              epoch, hno, writer_state_name(writer_state_held(writer)));
    pthread_mutex_unlock(&writer->mutex);
}

void writer_beat_seen(struct writer *writer, uint64_t beat_writer, uint64_t rival, int64_t ts_ms)
{
    if (beat_writer == writer->id)
        return;
    pthread_mutex_lock(&writer->mutex);
    writer->answer = beat_writer;
    writer->answer_ts_ms = ts_ms;
    if (rival == writer->id) {
        writer->rivalled = writer->rivalled || writer->asking || writer->id > beat_writer;
        log_event(LOG_ERROR, "writer.rival",
                  "state=%s goes_on=%s: another host is running with the keys of this origin",
                  writer_state_name(writer_state_held(writer)), writer->rivalled ? "no" : "yes");
    }
    writer->settle_due = true;
    pthread_cond_signal(&writer->wake);
    pthread_mutex_unlock(&writer->mutex);
}

uint64_t writer_id(const struct writer *writer)
{
    return writer->id;
}
