/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_KV_H
#define TORG_PROTOCOL_KV_H

#include "protocol/bytes.h"

/*
 * Ordered key-value tables inside one transaction, as everything above sees
 * them: LMDB in torgd (index/store.c), an ordered map in memory in the
 * simulator (tests/support). The replica's logic is written once against this.
 *
 * Keys are 1 to KV_KEY_BYTES_MAX bytes, ordered as unsigned bytes; values 0 to 2^31 bytes.
 * Spans that come out are borrowed: they live until the next write through the
 * same transaction or its end. Nothing here is aligned: read fields with
 * readers or memcpy. One transaction belongs to one thread.
 */
#define KV_KEY_BYTES_MAX 511 /* LMDB's, as it is built everywhere */

enum kv_table {
    /* protocol/replica.h: the verified state of every origin */
    KV_META,    /* format version, node's own settings */
    KV_ORIGIN,  /* origin id -> its record; see replica_keys.c */
    KV_CHARTER, /* origin number, charter_no -> signed charter */
    KV_HEAD,    /* origin number, epoch, hno -> signed head */
    KV_LIVE,    /* origin number, collection, k -> header and payload */
    KV_BYSEQ,   /* origin number, seq, k -> newest header of a listing, tombstones too */
    KV_TRIE,    /* origin number, collection, prefix -> inner node */
    KV_PROOF,   /* origin number, epoch -> fork evidence */
    /* index/: derived from the above, rebuilt by torg verify --repair */
    KV_DOCUMENT,  /* document number -> whose it is, ready-to-send feature, its keys in KV_TERM */
    KV_DOCNUMBER, /* origin number, collection, k -> document number */
    KV_RTREE,     /* collection, node number -> node */
    KV_TEXT,      /* collection, placed, document number -> what queries compare */
    KV_THEME,     /* theme slug -> bit, combinations */
    KV_COUNT,     /* exact counts and extents */
    KV_TOKEN,     /* bearer tokens, hashed */
    KV_SOURCE,    /* own origin number, collection, identifiers.source, listing id -> nothing */
    KV_TERM,      /* kind, key -> how many documents have it, and which if they are few */
    KV_POSTING,   /* kind, key, high half of document numbers -> those documents */
    KV_WORD,      /* other forms of a word -> the words that are in KV_TERM */
    KV_RUN,       /* run, kind, key -> changes of a list of KV_TERM that wait to be merged */
    KV_ANSWER,    /* answers to writes that may be sent again; index/answer.h */
    /* index/local.c: of this node only */
    KV_LOCAL, /* local collections and their features */
    KV_TABLE_COUNT
};

struct kv_cursor; /* belongs to its implementation */

struct kv_ops {
    enum torg_err (*get)(void *txn, enum kv_table table, struct span key, struct span *ret_value);
    enum torg_err (*put)(void *txn, enum kv_table table, struct span key, struct span value);
    enum torg_err (*del)(void *txn, enum kv_table table, struct span key);
    enum torg_err (*cursor_open)(void *txn, enum kv_table table, struct kv_cursor **ret_cursor);
    void (*cursor_close)(struct kv_cursor *cursor);
    enum torg_err (*cursor_seek)(struct kv_cursor *cursor, struct span key, struct span *ret_key,
                                 struct span *ret_value);
    enum torg_err (*cursor_next)(struct kv_cursor *cursor, struct span *ret_key,
                                 struct span *ret_value);
    enum torg_err (*gather)(void *txn); /* or NULL: where a value lies means nothing */
};

/* A transaction. Passed by pointer; writable only when its opener made it so. */
struct kv {
    const struct kv_ops *ops;
    void *txn;
    bool writable;
    void *table; /* where nodes lie in this snapshot: index/rtree_table.h; or NULL */
};

/* TORG_E_NOT_FOUND if the key is absent. */
enum torg_err kv_get(const struct kv *kv, enum kv_table table, struct span key,
                     struct span *ret_value);
/* Inserts or replaces. TORG_E_FULL, TORG_E_IO: the transaction can only be aborted. */
enum torg_err kv_put(struct kv *kv, enum kv_table table, struct span key, struct span value);
/* TORG_E_NOT_FOUND if the key is absent. */
enum torg_err kv_del(struct kv *kv, enum kv_table table, struct span key);

/*
 * Values that are written next will be read one after the other: let them lie together,
 * in that order, as far as the free space allows. Counts as a write; changes no entry.
 */
enum torg_err kv_gather(struct kv *kv);

/*
 * Walk a table in key order. A cursor must be closed before its transaction
 * ends. After a write through the same transaction, seek again before next.
 */
enum torg_err kv_cursor_open(const struct kv *kv, enum kv_table table,
                             struct kv_cursor **ret_cursor);
/* NULL is accepted. */
void kv_cursor_close(const struct kv *kv, struct kv_cursor *cursor);
/* The first entry whose key is at or after key; TORG_E_NOT_FOUND past the end. */
enum torg_err kv_cursor_seek(const struct kv *kv, struct kv_cursor *cursor, struct span key,
                             struct span *ret_key, struct span *ret_value);
enum torg_err kv_cursor_next(const struct kv *kv, struct kv_cursor *cursor, struct span *ret_key,
                             struct span *ret_value);

#endif
