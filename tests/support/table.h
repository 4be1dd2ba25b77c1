/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TESTS_SUPPORT_TABLE_H
#define TORG_TESTS_SUPPORT_TABLE_H

#include "protocol/session.h"
#include "protocol/sync.h"
#include "tests/support/town.h"

/*
 * One node at a table, and peers opposite whose every frame a test chooses. The
 * node's store is in memory and its writer answers at once; time stands still
 * but for table_tick. Whatever goes wrong in the table's own works fails the test.
 */
#define TABLE_LINK 1
#define TABLE_MASK 0x21feu /* the collections that the node subscribes to */
#define TABLE_HEARD_MAX 256
#define TABLE_SEATS 2

struct table_heard {
    uint8_t type;
    struct buffer body;
    struct frame frame;
};

/* One peer's end of its connection: 0 is "peer", 1 is "hub". */
struct table_seat {
    struct session session;
    uint32_t link; /* 0: never connected */
    struct table_heard heard[TABLE_HEARD_MAX];
    size_t heard_count;
    bool closed;
};

struct table {
    struct town own;   /* the node's: its store is the node's store */
    struct town other; /* somebody's, that the node trusts */
    struct town stranger;
    struct sync *sync;
    struct sync_actions actions;
    struct table_seat seats[TABLE_SEATS];
    struct table_seat *seat; /* whose turn it is to speak */
    int64_t now_ms;
    struct sync_action last_close;
    unsigned stores, dials, own_ahead, own_beats;
    struct sync_action own_beat; /* the newest */
    enum torg_err store_err;     /* what every STORE comes to; TORG_OK: as it goes */
    bool writer_stuck;           /* STOREs are counted, and never answered by themselves */
    uint64_t ticket;             /* of the newest */
    struct frame_rows rows;
};

/* CMocka's setup and teardown: the first seat is taken, its peer greeted. */
int table_setup(void **state);
int table_teardown(void **state);
struct public_key table_key(uint8_t byte);
struct sync_config table_config(const struct table *table, struct sync_peer_config *peers,
                                struct origin_id *trusted);

/* An event, with the table's time, and all that comes of it. */
void table_step(struct table *table, struct sync_event event);
void table_carry_out(struct table *table, struct sync_actions *actions);
void table_tick(struct table *table, int64_t ms);

/* From now on the peer of that seat speaks; it connects if it never was. */
void table_sit(struct table *table, unsigned seat, uint32_t link);
void table_connect(struct table *table, uint32_t link);
/* Through the greeting, wanting everything and having nothing. */
void table_greet(struct table *table);
/* What the peer has to say arrives. */
void table_deliver(struct table *table);
void table_say(struct table *table, const struct frame *frame);
void table_raw(struct table *table, const void *bytes, size_t size);
/* The newest frame of that type that the peer heard; NULL if none. */
const struct frame *table_heard(const struct table *table, uint8_t type);
/* The first count frames that it heard. */
void table_forget(struct table *table, size_t count);

/* What a peer offers. */
void table_commit(struct town *town, uint8_t byte);
void table_commit_sized(struct town *town, uint8_t byte, size_t payload_size);
struct replica_origin table_record(const struct town *town);
/* What the node holds of the other town. */
struct replica_origin table_held(const struct table *table);
void table_head(const struct town *town, struct buffer *out);
/* HAVE of what a town holds, claimed_more heads too many. */
void table_have(struct table *table, const struct town *town, uint64_t claimed_more);
/* HAVE of what a town holds in these collections. */
void table_have_of(struct table *table, const struct town *town, uint32_t mask);
void table_charters(struct table *table, const struct town *town);
/* The node knows the charters of the other town. */
void table_introduce(struct table *table);
/* The last commit of a town as it would be pushed. spoil: a bit of its payload. */
void table_batch(struct table *table, const struct town *town, bool spoil);
/* The same, perhaps without what its listings say. */
void table_push(struct table *table, const struct town *town, bool with_payloads);
/* Answers to what the node has asked last, from what a town holds; at most one leaf of it. */
void table_answer_trie(struct table *table, const struct town *town);
void table_answer_some(struct table *table, const struct town *town, uint32_t from, uint32_t count,
                       bool with_payloads);
/* All of it; the FETCH, and what was heard before it, is forgotten. */
void table_answer_fetch(struct table *table, const struct town *town, bool with_payloads);

/* The path that was asked for, as far as steps allows (0: all of it). */
void table_answer_ancestry(struct table *table, const struct town *town, unsigned steps);

/* The whole store as text of bytes. */
void table_dump(const struct table *table, struct buffer *out);
void table_assert_holds(struct table *table, const struct town *town, unsigned count,
                        unsigned missing);

#endif
