/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_SYNC_INTERNAL_H
#define TORG_PROTOCOL_SYNC_INTERNAL_H

#include "protocol/session.h"
#include "protocol/sync.h"

/*
 * What the files of sync share. Nobody else includes this.
 *
 *   sync.c        one step: an event in, actions out; notes, status
 *   sync_config.c begin and end, and a new configuration: peers and origins made of it
 *   sync_visible.c who may be sent what
 *   sync_members.c whom the catalogue names
 *   sync_origin.c what is held of an origin, and who is told; the own one seen from outside
 *   sync_proof.c  fork evidence: found, kept until it is stored, told
 *   sync_peer.c   dialling, back-off, connections that come and go
 *   sync_link.c   frames of one connection; HAVE, SUB, SUMMARY, TREE, BEAT
 *   sync_live.c   batches: published, received, relayed
 *   sync_fetch.c  catching up: what is needed, who is asked, what comes of it
 *   sync_job.c    one request after the other to one peer: begin, wait, end
 *   sync_want.c   FETCH: what a job lacks, the answers, parts for the writer
 *   sync_charters.c, sync_delta.c, sync_trie.c, sync_missing.c, sync_ancestry.c
 *                 the ways to catch up: charters, PULL, reconcile, lost payloads
 *   sync_drop.c   collections that are held and not wanted any more
 *   sync_rate.c   how many heads of an origin are taken
 *   sync_quota.c  how many listings of an origin are held
 *   sync_serve.c  answers to PULL, TRIE_REQ, FETCH, CHARTER_REQ, ANCESTRY_REQ
 *   sync_store.c  what waits for the writer
 */
#define SYNC_NONE UINT32_MAX

#define SYNC_DIAL_MS_MIN 1000
#define SYNC_DIAL_MS_MAX 600000
#define SYNC_DIAL_ANSWER_MS_MAX 60000
#define SYNC_PROVED_MS 60000       /* a connection that lasted so long ends a back-off */
#define SYNC_SIMULTANEOUS_MS 10000 /* two connections within this are one meeting */
#define SYNC_SUMMARY_MS 60000
#define SYNC_UNPLACED_MS 2000 /* who is so much behind has had time to catch up */
#define SYNC_LOOKS_MAX                                                                             \
    8 /* paths asked for, in vain, to a head that only somebody's word is about */
#define SYNC_LOOK_AGAIN_MS 60000
#define SYNC_PLACE_MS 60000 /* a peer's claim costs one path in so long */
#define SYNC_ANSWER_MS_MAX 10000
#define SYNC_GRAFT_MS_MIN 50
#define SYNC_STRIKES_MAX 3
#define SYNC_DISTRUST_MS 600000
#define SYNC_CHARTERS_MS 600000 /* charters that differ are compared again so much later */
#define SYNC_RETRY_MS_MIN 100
#define SYNC_RETRY_MS_MAX 30000
#define SYNC_MISSING_MS 60000
#define SYNC_ANCESTRY_DOUBLINGS_MAX 10 /* from 1 s on: 512 s */
#define SYNC_REQUESTS_MAX 4            /* that a peer may have waiting here */
#define SYNC_IN_VAIN_CHARGE                                                                        \
    16                         /* control frames that an answer made in vain once more counts for  \
                                */
#define SYNC_PROOF_CHARGE 8    /* control frames that evidence counts for */
#define SYNC_HEADS_STEP_MAX 64 /* own heads sent as batches after one PUBLISHED */
#define SYNC_FRONTIER_MAX 8192
#define SYNC_REMOVED_MAX 8192
#define SYNC_ROUNDS_MAX 8
/* For who holds all, when only who holds a part has a newer head. */
#define SYNC_PART_WAIT_MS 5000
/*
 * Parts are written while others come, several to a commit. Small ones: the writer begins early,
 * and memory for the pages of one commit, untouched until then, serves those of the next.
 */
#define SYNC_PART_BYTES 262144
#define SYNC_ASKED_MAX 2   /* requests of one reconcile: the next is out while one is answered */
#define SYNC_STORES_MAX 16 /* parts of one job that the writer has not answered */
/*
 * More in a large collection, up to limits.parts_max where so many listings are here: words and
 * places lie all over tables that have grown, so with each commit of a few thousand most of these
 * would be written anew. Fewer than in a first copy where listings are replaced, each of which
 * changes pages of its own.
 */
#define SYNC_STORES_COPY_LISTINGS 524288
#define SYNC_STORES_REPLACED_LISTINGS 2097152
#define SYNC_SCAN_MAX 4096   /* listings looked at for a missing payload in one step */
#define SYNC_HEAD_MS 3600    /* beyond limits.heads_burst, one head of an origin in so long */
#define SYNC_HEADS_CALM 10   /* it is not called throttled any more when so many may come */
#define SYNC_QUOTA_MS 60000  /* of an origin over its quota, one head in so long is looked at */
#define SYNC_MEMBERS_MS 1000 /* the catalogue's list is read once in so long: each costs a SUB */
#define SYNC_BEATS_BURST 8
#define SYNC_BEAT_MS 60000

/* The origins whose newest charters list the key of a connection, or our own. */
struct sync_speaker {
    bool found; /* else they have to be looked for again */
    struct origin_id *origins;
    uint32_t count;
};

struct sync_pin {
    struct origin_id id;
    uint32_t mask;  /* collections wanted of it */
    uint32_t quota; /* listings that are taken of it; 0: no limit */
    bool has_charter;
    struct hash charter; /* of two with one number, this is the right one */
};

/* Whose listings are taken. */
struct sync_trust {
    struct sync_pin *pins; /* by the configuration, ascending */
    uint32_t pin_count;
    bool has_own, has_catalogue;
    struct origin_id own, catalogue;
    uint32_t members_mask;
    /* By the catalogue, as it was last read; ascending. */
    struct sync_pin *members;
    uint32_t member_count;
};

/* What one peer says and wants of one origin. Outlives its connection, for the strikes' sake. */
struct sync_row {
    bool claimed; /* the rest up to charter_no is what its newest HAVE says */
    uint64_t epoch, hno, seq;
    uint8_t head_hash[16];
    uint32_t mask;
    uint64_t charter_no;
    bool charters_doubted;    /* what it sent fits no charter of ours: are its charters others? */
    int64_t differs_until_ms; /* they are; nothing is asked of it before it is compared again */
    bool useless;   /* that head cannot be taken, by the charters that we have, or was looked at */
    bool too_large; /* that head has more listings than are taken of the origin */
    bool contradicts;    /* we hold another head under that number, below our newest */
    int64_t unplaced_ms; /* below our newest, and we hold none under it, since then; 0: not so */
    int64_t placed_ms;   /* when a path to such a number was last wanted for it */
    uint8_t strikes;
    int64_t ancestry_ms; /* when it was last asked for older heads */
    int64_t slow_ms;     /* when its turn last ended before its work; 0: never */
    int64_t distrusted_until_ms;
    uint32_t sub_mask; /* what it wants; 0 nothing */
    bool eager_out;    /* it gets batches from us */
    bool eager_in;     /* we want batches from it */
    bool have_due, beat_due;
    bool told;           /* by a row of ours, and since then of whatever changed */
    uint64_t told_again; /* 1 + the charter_no with which it was told evidence once more */
    enum { SYNC_TREE_NONE, SYNC_TREE_PRUNE, SYNC_TREE_GRAFT } tree_due;
};

/* A request that waits for credit, or for our own head to be published. */
struct sync_request {
    uint8_t type; /* 0: free */
    uint64_t sid;
    struct buffer body;
    uint32_t done; /* FETCH: how many keys have been answered */
    size_t needed; /* bytes of an answer that found no room; 0: that was not why it waits */
};

struct sync_link {
    uint32_t id;
    bool dialled;
    int64_t due_ms;              /* when its session is to be looked at, if nothing touches it */
    bool opened;                 /* HELLO has been answered with SUB and SUMMARY */
    bool ready;                  /* its SUB and SUMMARY have come: it may be told things */
    bool answered;               /* its answer to our SUMMARY has come */
    bool answer_due;             /* a HAVE must leave even if it has no row */
    bool rows_due;               /* some row has something due */
    uint32_t rows_from, rows_to; /* it is among these; to is behind the last */
    bool rows_blocked;           /* the same, but there was no credit for it */
    bool serve_due;              /* requests may be able to go on */
    bool stalled;                /* as noted */
    bool holds_back;             /* as noted */
    bool lagging;           /* a batch was dropped, and none has left since, nor has it caught up */
    struct session session; /* large; all that is looked at in every step stands before or first */
    int64_t connected_ms;
    int64_t summary_ms;      /* when its last SUMMARY was answered */
    int64_t answered_ms;     /* when its last answer to a request came */
    uint64_t answered_bytes; /* all of them together */
    struct buffer sub;       /* the rows of its newest SUB, */
    uint32_t sub_count;      /* for origins that are trusted only later */
    struct sync_request requests[SYNC_REQUESTS_MAX];
};

struct sync_peer {
    char name[64];
    struct public_key keys[SYNC_PEER_KEYS_MAX];
    uint8_t key_count;
    bool dial;

    struct sync_link *link; /* NULL when not connected */
    struct public_key link_key;
    struct sync_speaker speaker; /* of link_key */
    struct sync_row *rows;       /* one for each origin, made at its first connection */
    bool dialling;
    int64_t dial_started_ms;
    int64_t next_dial_ms;
    unsigned failures;
    int64_t refused_until_ms; /* after a fault it is not let in at once */
    struct sync_peer_status status;
};

struct sync_origin {
    struct origin_id id;
    bool own;

    /* As of the last refresh. */
    bool unread; /* that failed: read again when there is time */
    bool known;  /* its charter 0 is held */
    uint32_t number;
    uint64_t charter_no, charter_epoch;
    struct hash charter_hash;
    uint32_t public_mask, members_mask; /* by the charter: for everybody, for members */
    bool has_catalogue;
    struct origin_id catalogue; /* which says who its members are */
    struct public_key *node_keys;
    uint8_t node_key_count;
    struct trie_root roster; /* what it says itself, as a catalogue */
    uint32_t roster_missing;
    bool has_head;
    uint64_t epoch, hno, seq;
    uint64_t head_charter_no; /* that the head names; 0 without a head */
    struct hash head_hash;
    uint32_t subscribed;       /* collections that the configuration wants of it */
    uint32_t wanted, complete; /* collections; complete is a subset of wanted */
    uint32_t unwanted;         /* of which something is held, and is to be dropped */
    uint64_t missing;          /* payloads */
    uint64_t beat_epoch, beat_hno;
    int64_t beat_ts_ms;
    uint32_t flags;

    /* With the writer. */
    uint32_t pending;
    bool pending_beat, pending_drop, pending_proof, pending_settle;
    bool dropping;                         /* as noted */
    uint64_t expected_epoch, expected_hno; /* what is held once all that is pending succeeds */

    /* Catching up. */
    uint32_t job; /* index, or SYNC_NONE */
    bool attention;
    bool starved;            /* it waits for a job to end */
    int64_t due_ms;          /* look at it again */
    bool reconcile;          /* a delta did not do */
    int64_t behind_since_ms; /* -1: not */
    int64_t retry_ms;
    unsigned failures;
    uint32_t failed_peer;
    struct buffer suspect; /* an old head, signed, to be compared once a path leads to its number */
    uint64_t unproven_hno; /* as in the record: a path to that head is wanted */
    uint64_t look_hno;     /* another that a path is wanted to: a claim, a suspect, a peer asks */
    unsigned look_failures;
    int64_t look_after_ms; /* after a look in vain, none before this */
    int64_t ancestry_retry_ms;
    unsigned ancestry_failures, ancestry_turn;
    bool gapless; /* the heads that the newest one's skips come by are here; then they stay */
    int64_t missing_retry_ms;
    uint32_t missing_peer; /* who is asked for missing payloads */
    uint8_t missing_collection;
    struct listing_key missing_from; /* where the search for them goes on */
    struct buffer held_beat;         /* came before the charter that it needs */
    struct buffer evidence;          /* of its fork, checked, and not stored yet */
    uint32_t evidence_link;          /* where it came from; 0: it was found here */
    bool has_named;                  /* the configuration or the catalogue says */
    struct hash named;               /* which of two charters is right; */
    bool settle_due;                 /* that has not been done yet */
    uint32_t head_tokens;
    int64_t head_at_ms;
    bool throttled;  /* as noted */
    uint32_t quota;  /* listings; 0: no limit */
    bool over_quota; /* as noted */
    uint64_t quota_epoch,
        quota_hno;           /* the head that was not taken; 0: none by this configuration */
    uint64_t quota_listings; /* that it has, of the collections wanted */
    int64_t quota_look_ms;   /* no other is asked for before this */
    uint32_t beat_tokens;
    int64_t beat_at_ms;
    bool ahead_told; /* OWN_AHEAD has been said of this head */
    uint64_t ahead_epoch, ahead_hno;
};

/* A STORE that has not been answered. */
struct sync_pending {
    uint64_t ticket;
    enum replica_write_kind kind;
    bool recovering; /* sent then: nothing of our own was being written beside it */
    uint32_t origin; /* SYNC_NONE after a reconfiguration */
    uint32_t link;   /* where it came from */
    uint32_t job;    /* SYNC_NONE: live */
    uint64_t job_serial;
    uint64_t epoch, hno;
    size_t held_bytes;   /* live credit that is granted again afterwards */
    struct buffer relay; /* what the peers get when it is durable: head, entries */
    size_t relay_head_size;
    uint32_t relay_count;
};

enum sync_purpose {
    SYNC_FOR_CHARTERS,
    SYNC_FOR_DELTA,
    SYNC_FOR_TRIE,
    SYNC_FOR_MISSING,
    SYNC_FOR_LOOK, /* is there really a newer head of our own, or another one with our number? */
    SYNC_FOR_ANCESTRY, /* heads below the newest one */
    SYNC_FOR_QUOTA,    /* the head alone: is the origin still over its quota? */
};

/* One entry to be fetched. */
struct sync_want {
    uint8_t collection;
    struct trie_entry entry;
    uint32_t item; /* delta: which header */
};

/* A header of a delta, and what was fetched for it. */
struct sync_item {
    size_t header_at, header_size;   /* in job->headers */
    size_t payload_at, payload_size; /* in job->payloads */
};

/* A subtree to be asked for. */
struct sync_region {
    struct trie_prefix prefix;
    struct trie_root expected;
    bool current; /* expected holds under job->root */
};

/* A request that is out. */
struct sync_asked {
    uint8_t type; /* of its frame; 0: none */
    uint64_t sid;
    int64_t at_ms;
    uint64_t bytes; /* what the link had answered by then */
    /* FETCH: which of job->wants. */
    size_t want_first, want_end;
    size_t want_seen; /* the first that its answers have not passed */
    /* TRIE_REQ. */
    struct sync_region regions[TRIE_PREFIXES_MAX];
    size_t region_count;
};

struct sync_job {
    bool active;
    uint64_t serial;
    enum sync_purpose purpose;
    uint32_t origin, peer, link;
    uint64_t claim_epoch, claim_hno, claim_charter_no;
    int64_t started_ms;
    struct sync_asked asked[SYNC_ASKED_MAX];
    uint8_t about;   /* type of the request that was last sent, answered or given up: for the log */
    uint32_t stores; /* STORE actions that are out */
    uint64_t held;   /* TRIE: listings of this collection, once these are carried out */
    bool store_failed; /* one of them; the job ends when all are back */

    struct buffer head; /* signed, under which everything here goes on */
    struct head parsed;

    struct sync_want *wants;
    size_t want_count, want_capacity;
    size_t want_next; /* the first that was not asked for */

    struct buffer headers;
    struct sync_item *items;
    size_t item_count;
    struct buffer payloads;

    uint8_t collection;
    uint32_t mask; /* collections to be compared */
    struct trie_root root;
    bool moving; /* the head moved on while subtrees were asked for: now one thing at a time */
    struct sync_region *frontier;
    size_t frontier_count, frontier_capacity;
    uint64_t path_to;  /* ANCESTRY: down to which head */
    uint64_t compared; /* CHARTERS: so many are the same on both sides, and more are to be compared;
                          0: new ones are wanted */
    struct hash compared_with; /* the newest of ours, when that began */
    uint32_t whole;
    struct listing_key *removed;
    size_t removed_count, removed_capacity;
    struct frame_rows part;  /* entries of the next PART */
    struct buffer part_read; /* struct replica_entry of each, but for its spans */
    unsigned rounds;
    bool storage_full; /* a STORE failed for a reason of our own */
};

struct sync {
    struct public_key node_key;
    bool recovering;
    char software[FRAME_SOFTWARE_BYTES_MAX + 1];
    uint64_t version_min, version_max;
    uint32_t subscribe_mask;
    struct sync_limits limits;
    uint64_t random;
    struct sync_counters counters;
    struct frame_zip *zip; /* for all connections */

    struct sync_peer *peers;
    uint32_t peer_count;
    struct sync_origin *origins; /* ascending by id */
    uint32_t origin_count;
    bool loaded;
    struct sync_trust trust;
    bool members_due; /* the catalogue has changed */
    /* Its list was read, once at least: whole or not, and under which root. */
    bool members_read, members_whole;
    struct trie_root members_root;
    int64_t members_next_ms;     /* not again before this */
    struct sync_speaker speaker; /* of node_key */
    bool visible_due;            /* who may hold what may have changed */

    struct sync_job *jobs; /* limits.sync_sessions_total */
    uint64_t next_sid, next_serial, next_ticket;
    uint32_t *attention; /* origins to look at, each once */
    uint32_t attention_count;
    int64_t origins_due_ms; /* the earliest due_ms of an origin */
    bool starved;           /* some origin is */
    bool job_ended;         /* since they were last looked at */
    uint32_t starved_turn;
    uint32_t job_count; /* active ones */

    struct sync_pending *pending;
    size_t pending_count, pending_capacity;
    size_t pending_live; /* of these, what no job asked for */

    /* Of the running step. */
    const struct kv *read;
    int64_t now_ms, clock_ms;
    struct sync_actions *actions;
    struct buffer scratch;
    struct frame_rows rows;
};

/* ---- sync.c ---- */
enum torg_err sync_action_add(struct sync *sync, enum sync_action_kind kind,
                              struct sync_action **ret_action);
/* Something for the log; format gives " key=value" pairs. */
void sync_note(struct sync *sync, const char *event, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
uint64_t sync_random(struct sync *sync);

/* ---- sync_config.c ---- */
/* Is it trusted without the catalogue's word, and as the configuration says? */
bool sync_trust_pins(const struct sync_trust *trust, const struct origin_id *id);
/*
 * Trust these members of the catalogue, and no others: takes members on success. Origins that
 * stay keep everything, also what goes on.
 */
enum torg_err sync_members_set(struct sync *sync, struct sync_pin *members, uint32_t count);

/* ---- sync_members.c ---- */
/* The catalogue's record was read: is there another list of members in it? */
void sync_members_look(struct sync *sync, const struct sync_origin *origin);
/* Read the list, if it is due. Between events only: origins come and go. */
enum torg_err sync_members_follow(struct sync *sync);

/* ---- sync_visible.c ---- */
/*
 * The collections of origin that this node may hold; those that it perhaps may, which it does not
 * drop before that is known; and those that it may send to a peer.
 */
enum torg_err sync_visible_here(struct sync *sync, const struct sync_origin *origin,
                                uint32_t *ret_mask, uint32_t *ret_perhaps);
uint32_t sync_visible_to(struct sync *sync, uint32_t peer, const struct sync_origin *origin);
/* Before another charter of origin counts. */
void sync_visible_charter(struct sync *sync, const struct sync_origin *origin,
                          const struct charter *charter);
/* Origins have come and gone. */
void sync_visible_regrouped(struct sync *sync);
/* A record was read: does it say something new about members? */
void sync_visible_look(struct sync *sync, struct sync_origin *origin,
                       const struct replica_origin *record);
/* If so, all that is for members is looked at again. */
enum torg_err sync_visible_follow(struct sync *sync);
void sync_speaker_forget(struct sync_speaker *speaker);

/* ---- sync_origin.c ---- */
/* Index of an origin, SYNC_NONE if it is not trusted. */
uint32_t sync_origin_index(const struct sync *sync, const struct origin_id *id);
/* Read again what is held; peers are told if it has changed. */
enum torg_err sync_origin_refresh(struct sync *sync, uint32_t index);
/* Of the own origin, whose head may be ahead of what is published: only what is missing, and
 * whether its list of members is another now. */
enum torg_err sync_own_missing(struct sync *sync, uint32_t index);
/* Look at it before the step ends. */
void sync_origin_attend(struct sync *sync, uint32_t index);
/* Look at it again at at_ms. */
void sync_origin_attend_at(struct sync *sync, uint32_t index, int64_t at_ms);
void sync_origin_attend_all(struct sync *sync);
/* Whether all of it that is wanted is held as of its head. */
bool sync_origin_whole(const struct sync_origin *origin);
/* A claim of an older head against the one that is held under its number, if one is. */
void sync_origin_compare(struct sync *sync, uint32_t index, struct sync_row *row);
/* Older heads have come: claims that could not be compared may be now. */
void sync_origin_compare_unplaced(struct sync *sync, uint32_t index);
int sync_number_compare(uint64_t epoch_a, uint64_t hno_a, uint64_t epoch_b, uint64_t hno_b);
/* A head that came from link: TORG_OK if it is valid and newer than what is held. proof: see
 * replica_head_check. */
enum torg_err sync_head_check(struct sync *sync, uint32_t index, struct span head,
                              struct seal_proof *proof, struct head *ret_head);
/* A valid head of our own origin that we did not publish: said once. */
void sync_own_look(struct sync *sync, uint32_t index, struct span head);

/* ---- sync_peer.c ---- */
enum torg_err sync_peer_connected(struct sync *sync, const struct sync_event *event);
void sync_peer_disconnected(struct sync *sync, uint32_t peer, const char *why);
void sync_peer_dial_failed(struct sync *sync, uint32_t peer);
/* Dials that are due, sessions that closed themselves, output that waits. */
enum torg_err sync_peer_pump(struct sync *sync);
int64_t sync_peer_next_tick_ms(const struct sync *sync);
/* The peer that has link, SYNC_NONE if it is gone. */
uint32_t sync_peer_of_link(const struct sync *sync, uint32_t link);
void sync_peer_free(struct sync_peer *peer);
/* Close its connection with a reason, now. */
void sync_peer_close(struct sync *sync, uint32_t peer, enum torg_err err, enum frame_code code,
                     const char *text);
/* Is a claim of this peer believed just now? */
bool sync_peer_believed(const struct sync *sync, const struct sync_row *row);
/* It did not deliver. all: what it sent was wrong, not late. */
void sync_peer_strike(struct sync *sync, uint32_t peer, uint32_t origin, bool all);

/* ---- sync_link.c ---- */
enum torg_err sync_link_bytes(struct sync *sync, uint32_t peer, struct span bytes);
/* There is new credit, or output has left: what was blocked is tried again. */
void sync_link_room(struct sync *sync, uint32_t peer);
/* Some row of a connected peer has something due. */
void sync_link_row_due(struct sync *sync, uint32_t peer, uint32_t origin);
/* Whatever rows have due: HAVE, BEAT, TREE. */
enum torg_err sync_link_flush(struct sync *sync, uint32_t peer);
/* Our SUB, all over. */
enum torg_err sync_link_subscribe(struct sync *sync, uint32_t peer);
/* Its newest SUB, of the origins that are trusted now. */
void sync_link_sub_apply(struct sync *sync, uint32_t peer);
void sync_link_have_due(struct sync *sync, uint32_t origin);
void sync_link_beat_due(struct sync *sync, uint32_t origin, uint32_t but_link);
void sync_link_error(struct sync *sync, uint32_t peer, uint64_t sid, enum frame_code code,
                     const char *detail);
/* Try a beat that waited for a charter. */
enum torg_err sync_link_held_beat(struct sync *sync, uint32_t origin);

/* ---- sync_proof.c ---- */
/* Does a head or a beat that came from peer contradict what is held? Evidence of it is kept. */
enum torg_err sync_proof_find(struct sync *sync, uint32_t peer, uint32_t origin,
                              const struct signed_span *other);
/* The same, with what a path down from other shows; see replica_fork_find. */
enum torg_err sync_proof_find_by(struct sync *sync, uint32_t peer, uint32_t origin,
                                 const struct signed_span *other, const struct span *path,
                                 size_t count, bool *ret_forked);
/* Evidence that was checked; of one fork one is enough. It came over link; 0: it was found here. */
enum torg_err sync_proof_keep(struct sync *sync, uint32_t origin, uint32_t link,
                              struct span evidence);
/* A PROOF: kept if it convicts. */
enum torg_err sync_proof_take(struct sync *sync, uint32_t peer, const struct origin_id *id,
                              struct span evidence);
/* If the origin is disputed and the peer wants it, it hears why. */
enum torg_err sync_proof_tell(struct sync *sync, uint32_t peer, uint32_t origin);
/* What is kept goes to the writer, when there is room. */
enum torg_err sync_proof_attend(struct sync *sync, uint32_t origin);
/* It is stored, and told to all, or convicts nobody any more; no error of our own store. */
enum torg_err sync_proof_stored(struct sync *sync, const struct sync_pending *pending,
                                enum torg_err err);

/* ---- sync_live.c ---- */
enum torg_err sync_live_published(struct sync *sync);
/* entries NULL for a HEAD frame. */
enum torg_err sync_live_received(struct sync *sync, uint32_t peer, struct span head,
                                 const struct frame_list *entries, bool *ret_held);
enum torg_err sync_live_relay(struct sync *sync, const struct sync_pending *pending);
/* A fault in a head: nobody's, or the sender's, who is then closed. */
void sync_live_blame(struct sync *sync, uint32_t peer, uint32_t origin, struct span head,
                     enum torg_err err);

/* ---- sync_fetch.c ---- */
/* Start, go on or end what the origin needs. */
enum torg_err sync_fetch_attend(struct sync *sync, uint32_t origin);
/* Take from peer what it claims to hold of the origin. */
enum torg_err sync_fetch_begin(struct sync *sync, uint32_t origin, uint32_t peer);
/* A frame that answers a request. */
enum torg_err sync_fetch_answer(struct sync *sync, uint32_t peer, const struct frame *frame);
enum torg_err sync_fetch_stored(struct sync *sync, const struct sync_pending *pending,
                                enum torg_err err);
/* It has been at it for so long that another peer, if one can help, has its turn. */
bool sync_fetch_turn_over(const struct sync *sync, const struct sync_job *job);
/* The signed head of an answer: TORG_OK if it may be used; else the job has ended. */
enum torg_err sync_fetch_head(struct sync *sync, struct sync_job *job, struct span head,
                              bool *ret_usable);

/* ---- sync_job.c ---- */
enum sync_outcome {
    SYNC_DONE,     /* the peer delivered */
    SYNC_AGAIN,    /* nobody's fault; try again */
    SYNC_NEITHER,  /* nothing is to be concluded */
    SYNC_SLOW,     /* it delivers, but others may be faster: they have their turn */
    SYNC_STRIKE,   /* it did not deliver what it claims */
    SYNC_DISTRUST, /* what it sent does not verify */
};
/* NULL: as many as may be are going on; the origin is looked at again when one ends. */
struct sync_job *sync_job_begin(struct sync *sync, uint32_t origin, uint32_t peer,
                                enum sync_purpose purpose);
/* May the peer be asked for one thing more at the same time? */
bool sync_job_room(const struct sync *sync, uint32_t peer);
void sync_job_end(struct sync *sync, struct sync_job *job, enum sync_outcome outcome);
/* What the peer sent does not verify by itself: it is told, and others are asked. Ends the job. */
void sync_job_blame(struct sync *sync, struct sync_job *job, const char *what);
void sync_job_free(struct sync_job *job);
/* Look at the origin again when a job ends. */
void sync_job_starve(struct sync *sync, uint32_t origin);
/* Is an answer waited for; to a request of that type? */
bool sync_job_waits(const struct sync_job *job);
bool sync_job_waits_for(const struct sync_job *job, uint8_t type);
/* Where a request may be noted that is sent beside those that are out; NULL: none may be now. */
struct sync_asked *sync_job_may_ask(const struct sync *sync, struct sync_job *job);
/* It was answered, as a whole, or is waited for no longer. */
void sync_job_answered(struct sync *sync, struct sync_job *job, struct sync_asked *asked);
/*
 * Send a request of a job and wait for its answer. asked is one of the job's and free; what it
 * asks for stands there already.
 */
enum torg_err sync_job_ask(struct sync *sync, struct sync_job *job, struct sync_asked *asked,
                           struct frame *frame);
/* What sync_store_submit wants to know of a job's write. */
struct sync_pending sync_job_pending(const struct sync *sync, const struct sync_job *job);
/* Errors of our own store, which say nothing about who sent what was to be stored. */
bool sync_job_is_trouble(enum torg_err err);
void sync_job_timeouts(struct sync *sync);
void sync_job_link_lost(struct sync *sync, uint32_t link);
int64_t sync_job_next_tick_ms(const struct sync *sync);

/* ---- sync_want.c ---- */
/* One more of what the job is to fetch. TORG_E_NOMEM. */
enum torg_err sync_want_add(struct sync_job *job, const struct sync_want *want);
/* Ask for whatever comes next, wants or subtrees; go on with the job when there is nothing. */
enum torg_err sync_want_more(struct sync *sync, struct sync_job *job);
/* Those that were answered need not be kept. */
void sync_want_forget(struct sync_job *job);
/* ENTRIES: what was asked for is taken. */
enum torg_err sync_want_answer(struct sync *sync, struct sync_job *job, struct sync_asked *asked,
                               const struct frame *frame);
/* Store what is gathered in job->part, and job->removed, as kind says. */
enum torg_err sync_want_store_part(struct sync *sync, struct sync_job *job,
                                   enum replica_write_kind kind);

/* ---- sync_charters.c ---- */
enum torg_err sync_charters_begin(struct sync *sync, uint32_t origin, uint32_t peer);
enum torg_err sync_charters_answer(struct sync *sync, struct sync_job *job,
                                   const struct frame *frame);
void sync_charters_stored(struct sync *sync, struct sync_job *job, enum torg_err err);
/*
 * Something that the peer sent of the origin is signed by nobody whom our charters name. Two
 * charters with one number may be about: false if not, for it is charter 0 that we go by, and the
 * peer is to blame. Else its charters are compared with ours, and whoever has the same as we is
 * to blame then.
 */
bool sync_charters_doubt(struct sync *sync, uint32_t peer, uint32_t origin);
/* The job ends; if it compared charters, that doubt does, too, however it was answered. */
void sync_charters_compared(struct sync *sync, const struct sync_job *job);
/* Compare them, if any are doubted. */
enum torg_err sync_charters_compare(struct sync *sync, uint32_t origin, bool *ret_asked);
/* Does the peer go by other charters of the origin than we? */
bool sync_charters_differ(const struct sync *sync, const struct sync_row *row);
/* From now on this is the right one of two charters; NULL: none is named. */
void sync_charters_name(struct sync_origin *origin, const struct hash *named);
/* Two charters may be held of it, since now: if one is named, that is to be settled (again). */
void sync_charters_unsettled(struct sync_origin *origin);
/* If one of two charters has been named, and that is not done, it goes to the writer. */
enum torg_err sync_charters_settle(struct sync *sync, uint32_t origin);
/* It is done, or there are no two charters of which it is one; or it could not be stored. */
void sync_charters_settled(struct sync *sync, const struct sync_pending *pending,
                           enum torg_err err);

/* ---- sync_delta.c ---- */
/* SYNC_FOR_DELTA, or SYNC_FOR_LOOK and SYNC_FOR_QUOTA: only the head. */
enum torg_err sync_delta_pull(struct sync *sync, uint32_t origin, uint32_t peer,
                              enum sync_purpose purpose);
enum torg_err sync_delta_answer(struct sync *sync, struct sync_job *job, const struct frame *frame);
/* A payload that was fetched. */
enum torg_err sync_delta_add(struct sync_job *job, const struct sync_want *want,
                             const struct frame_entry *entry);
/* All of them are there. */
enum torg_err sync_delta_commit(struct sync *sync, struct sync_job *job);
void sync_delta_stored(struct sync *sync, struct sync_job *job, enum torg_err err);

/* ---- sync_drop.c ---- */
/* The next stretch of what is held and not wanted goes, if none is on its way. */
enum torg_err sync_drop_attend(struct sync *sync, uint32_t origin);
/* One has gone: say so if it was the last. */
void sync_drop_stored(struct sync *sync, uint32_t origin);

/* ---- sync_missing.c ---- */
/* Ask one peer for the payloads that the next stretch of listings lacks. */
enum torg_err sync_missing_begin(struct sync *sync, uint32_t origin);
/* The peer has nothing to give: no fault, for it never said that it had. Ends the job. */
void sync_missing_refused(struct sync *sync, struct sync_job *job);

/* ---- sync_ancestry.c ---- */
/*
 * A head came whose number is below the newest and is not held: a path there is
 * asked for, and shows whether it is of this branch. One at a time.
 */
enum torg_err sync_ancestry_suspect(struct sync *sync, uint32_t origin, struct span head,
                                    const struct head *parsed);
/* A claim of an older head that is not held has stood for a while: a path there is wanted. */
void sync_ancestry_place(struct sync *sync, uint32_t origin);
/* If older heads are missing, and it is time, ask whoever can help. */
enum torg_err sync_ancestry_begin(struct sync *sync, uint32_t origin, bool *ret_asked);
/* A peer asked for a path that is not all here: others are asked, and it will ask again. */
void sync_ancestry_wanted(struct sync *sync, const struct sync_origin *origin, uint64_t epoch,
                          uint64_t to);
enum torg_err sync_ancestry_answer(struct sync *sync, struct sync_job *job,
                                   const struct frame *frame);
enum torg_err sync_ancestry_stored(struct sync *sync, struct sync_job *job, enum torg_err err);
void sync_ancestry_refused(struct sync *sync, struct sync_job *job);

/* ---- sync_trie.c ---- */
enum torg_err sync_trie_begin(struct sync *sync, struct sync_job *job);
enum torg_err sync_trie_answer(struct sync *sync, struct sync_job *job, struct sync_asked *asked,
                               const struct frame *frame);
/* May more subtrees be asked for before what is wanted, or to be removed, has been dealt with? */
bool sync_trie_may_gather(const struct sync *sync, const struct sync_job *job);
/* Ask for the next subtrees, of which there must be some. */
enum torg_err sync_trie_ask(struct sync *sync, struct sync_job *job, struct sync_asked *asked);
/* Everything that was asked for and stored is done: what next? */
enum torg_err sync_trie_go_on(struct sync *sync, struct sync_job *job);

/* ---- sync_rate.c ---- */
/* May a newer head be taken now? If not, the origin is attended to when it may. */
bool sync_rate_head_room(struct sync *sync, uint32_t origin);
void sync_rate_head_taken(struct sync *sync, uint32_t origin);
bool sync_rate_throttled(const struct sync *sync, uint32_t origin);

/* ---- sync_quota.c ---- */
/*
 * May this valid head be taken, by the number of listings that it promises? If
 * not, peer is told, and the origin is over its quota until a head may.
 */
bool sync_quota_admits(struct sync *sync, uint32_t origin, uint32_t peer, const struct head *head);
/* Is it the head that was refused last? */
bool sync_quota_refused(const struct sync_origin *origin, uint64_t epoch, uint64_t hno);
/* Of an origin over its quota, may a head be looked at now? Else it is attended to later. */
bool sync_quota_room(struct sync *sync, uint32_t origin);
/* Another charter: what was refused may never have been said. */
void sync_quota_forget(struct sync_origin *origin);

/* ---- sync_serve.c ---- */
enum torg_err sync_serve_request(struct sync *sync, uint32_t peer, const struct frame *frame,
                                 struct span body);
enum torg_err sync_serve_pump(struct sync *sync, uint32_t peer);
/* What waits for our own head to be published may go on. */
void sync_serve_own(struct sync *sync);
void sync_serve_free(struct sync_link *link);

/* ---- sync_store.c ---- */
bool sync_store_room(const struct sync *sync);
/*
 * A write of that kind that is owed to the origin, not to a request: the caller fills and submits
 * *ret_store. NULL: the writer has enough, or has just failed; the origin is attended to later.
 */
enum torg_err sync_store_begin(struct sync *sync, uint32_t origin, enum replica_write_kind kind,
                               struct sync_store **ret_store);
/*
 * Hand write to the writer: store takes over bytes and entries, which its spans
 * must point into. pending is copied and gets its ticket; its relay is taken.
 */
enum torg_err sync_store_submit(struct sync *sync, struct sync_store *store,
                                struct sync_pending *pending);
enum torg_err sync_store_stored(struct sync *sync, uint64_t ticket, enum torg_err err);

#endif
