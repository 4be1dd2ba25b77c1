/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_TRIE_H
#define TORG_PROTOCOL_TRIE_H

#include "protocol/ident.h"
#include "protocol/kv.h"

/*
 * The state trie of one collection of one origin: a canonical 16-ary Merkle
 * trie over k -> hh of the live listings. Its root is a function of that map
 * and of nothing else, whatever the order of the writes. Definition and
 * vectors: docs/format-log.md, "State trie".
 *
 * Only inner nodes (more than TRIE_LEAF_MAX listings) are stored; a leaf is
 * read from the live listings through the source below.
 */
#define TRIE_LEAF_MAX 32
#define TRIE_DEPTH_MAX 32
#define TRIE_INNER_BYTES 576 /* 16 times u32be count and 32 bytes of digest */

struct trie_entry {
    struct listing_key key;
    struct hash header_hash;
};

struct trie_root {
    uint32_t count;
    struct hash digest;
};

/* One nibble (0..15) a byte; size <= TRIE_DEPTH_MAX. */
struct trie_prefix {
    uint8_t size;
    uint8_t nibbles[TRIE_DEPTH_MAX];
};

/*
 * Where a trie keeps its inner nodes and finds its listings. Errors of the
 * functions come back from the trie's. node_put and node_del may be NULL for a
 * trie that is only computed.
 */
struct trie_store {
    void *context;
    /* The TRIE_INNER_BYTES of the node at prefix; TORG_E_NOT_FOUND if none is stored. */
    enum torg_err (*node_get)(void *context, const struct trie_prefix *prefix, struct span *ret);
    enum torg_err (*node_put)(void *context, const struct trie_prefix *prefix, struct span node);
    enum torg_err (*node_del)(void *context, const struct trie_prefix *prefix);
    /* Append the stored entries under prefix, ascending, at most max of them. */
    enum torg_err (*entries)(void *context, const struct trie_prefix *prefix, size_t max,
                             struct trie_entry *out, size_t *ret_count);
};

/* What becomes of one key: new header hash, or gone. */
struct trie_edit {
    struct trie_entry entry;
    bool removed;
};

/* The root over entries, ascending and distinct by key. */
struct trie_root trie_build(uint8_t collection, const struct trie_entry *entries, size_t count);

/*
 * The root after edits (ascending, distinct by key; a removal of an absent key
 * and an equal upsert change nothing), computed before anything is written:
 * store still shows the state before. New and obsolete inner nodes are kept in
 * ret_plan, to be written by trie_plan_write once the root has proved right.
 * root: the root before. TORG_E_CORRUPT if the stored nodes contradict themselves.
 */
struct trie_plan; /* allocated; trie_plan_free accepts NULL */
enum torg_err trie_plan_new(uint8_t collection, const struct trie_store *store,
                            const struct trie_root *root, const struct trie_edit *edits,
                            size_t edit_count, struct trie_plan **ret_plan);
struct trie_root trie_plan_root(const struct trie_plan *plan);
enum torg_err trie_plan_write(const struct trie_plan *plan, const struct trie_store *store);
void trie_plan_free(struct trie_plan *plan);

/* Hash of a leaf (count <= TRIE_LEAF_MAX entries, ascending) and of an inner node. */
struct hash trie_leaf_digest(uint8_t collection, const struct trie_entry *entries, size_t count);
struct hash trie_inner_digest(struct span node);
uint32_t trie_inner_child_count(struct span node, unsigned child);
struct hash trie_inner_child_digest(struct span node, unsigned child);
/* The sum of the children's counts; TORG_E_INVALID if it passes 2^32 - 1. */
enum torg_err trie_inner_count(struct span node, uint32_t *ret_count);

bool trie_prefix_holds(const struct trie_prefix *prefix, const struct listing_key *key);

#endif
