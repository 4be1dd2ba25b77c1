/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/kv_mem.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Key and value, shared by all versions of the tree that hold them. */
struct record {
    uint64_t refs;
    size_t key_size;
    size_t value_size;
    uint8_t bytes[];
};

struct node {
    uint64_t refs;
    uint64_t priority;
    uint64_t front; /* of the key: most comparisons need no look at the record, which is far */
    struct record *record;
    struct node *left;
    struct node *right;
};

struct kv_mem {
    struct node *roots[KV_TABLE_COUNT];
    uint64_t operations;
    uint64_t commits;
    uint64_t fail_at; /* by operations; meaningful when fail_err is set */
    enum torg_err fail_err;
    size_t open_count;
    bool writing;
    bool strict;
};

struct loan {
    struct loan *next;
    uint8_t bytes[];
};

struct txn {
    struct kv_mem *mem;
    struct node *roots[KV_TABLE_COUNT];
    struct loan *loans; /* strict: copies handed out since the last write */
    uint64_t writes;    /* cursors compare it, see kv.h */
    size_t cursor_count;
    enum torg_err err; /* after a failed write nothing but abort works */
    bool writable;
    bool strict;
};

struct kv_cursor {
    struct txn *txn;
    enum kv_table table;
    uint64_t writes;
    bool placed;
    size_t key_size;
    uint8_t key[KV_KEY_BYTES_MAX];
};

/* ---- records and nodes ---- */

static void record_drop(struct record *record)
{
    if (--record->refs == 0)
        free(record);
}

static struct span record_key(const struct record *record)
{
    return span_of(record->bytes, record->key_size);
}

static struct span record_value(const struct record *record)
{
    return span_of(record->bytes + record->key_size, record->value_size);
}

static struct record *record_new(struct span key, struct span value)
{
    struct record *record = malloc(sizeof(*record) + key.size + value.size);

    if (!record)
        return NULL;
    record->refs = 1;
    record->key_size = key.size;
    record->value_size = value.size;
    memcpy(record->bytes, key.data, key.size);
    if (value.size)
        memcpy(record->bytes + key.size, value.data, value.size);
    return record;
}

static struct node *node_keep(struct node *node)
{
    if (node)
        node->refs++;
    return node;
}

static void node_drop(struct node *node)
{
    if (!node || --node->refs > 0)
        return;
    node_drop(node->left);
    node_drop(node->right);
    record_drop(node->record);
    free(node);
}

/* Make *slot a node that nobody else sees. */
static enum torg_err node_own(struct node **slot)
{
    struct node *shared = *slot;
    struct node *own;

    if (shared->refs == 1)
        return TORG_OK;
    own = malloc(sizeof(*own));
    if (!own)
        return TORG_E_NOMEM;
    *own = *shared;
    own->refs = 1;
    own->record->refs++;
    node_keep(own->left);
    node_keep(own->right);
    shared->refs--;
    *slot = own;
    return TORG_OK;
}

/* FNV-1a, then SplitMix64's finish: any fixed mixing will do. */
static uint64_t priority_of(struct span key)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < key.size; i++)
        hash = (hash ^ key.data[i]) * UINT64_C(0x100000001b3);
    hash = (hash ^ (hash >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    hash = (hash ^ (hash >> 27)) * UINT64_C(0x94d049bb133111eb);
    return hash ^ (hash >> 31);
}

/* The first bytes of a key as a number of the same order; short keys end in zeros. */
static uint64_t front_of(struct span key)
{
    uint8_t bytes[8] = {0};

    if (key.size) /* the key before all others has no bytes to copy from */
        memcpy(bytes, key.data, key.size < sizeof(bytes) ? key.size : sizeof(bytes));
    return get_u64be(bytes);
}

static int key_order(struct span key, uint64_t front, const struct node *node)
{
    if (front != node->front)
        return front < node->front ? -1 : 1;
    return span_compare(key, record_key(node->record));
}

static struct node *tree_find(struct node *node, struct span key)
{
    uint64_t front = front_of(key);

    while (node) {
        int order = key_order(key, front, node);

        if (order == 0)
            return node;
        node = order < 0 ? node->left : node->right;
    }
    return NULL;
}

/* The first node whose key is at or, when above, strictly after key. */
static struct node *tree_seek(struct node *node, struct span key, bool above)
{
    struct node *best = NULL;
    uint64_t front = front_of(key);

    while (node) {
        int order = key_order(key, front, node);

        if (order < 0 || (order == 0 && !above)) {
            best = node;
            node = node->left;
        } else {
            node = node->right;
        }
    }
    return best;
}

static enum torg_err tree_add(struct node **slot, struct record *record)
{
    struct node *node = calloc(1, sizeof(*node));

    if (!node)
        return TORG_E_NOMEM;
    node->refs = 1;
    node->priority = priority_of(record_key(record));
    node->front = front_of(record_key(record));
    node->record = record;
    *slot = node;
    return TORG_OK;
}

/* Takes record over on success. */
static enum torg_err tree_put(struct node **slot, struct record *record)
{
    struct node *node;
    struct node *child;
    enum torg_err err;
    int order;

    if (!*slot)
        return tree_add(slot, record);
    err = node_own(slot);
    if (err)
        return err;
    node = *slot;
    order = span_compare(record_key(record), record_key(node->record));
    if (order == 0) {
        record_drop(node->record);
        node->record = record;
        return TORG_OK;
    }
    err = tree_put(order < 0 ? &node->left : &node->right, record);
    if (err)
        return err;
    /* The child was owned on the way down, so it may be turned in place. */
    child = order < 0 ? node->left : node->right;
    if (child->priority <= node->priority)
        return TORG_OK;
    if (order < 0) {
        node->left = child->right;
        child->right = node;
    } else {
        node->right = child->left;
        child->left = node;
    }
    *slot = child;
    return TORG_OK;
}

/* Replace *slot, which is owned, by its two subtrees joined. */
static enum torg_err tree_join(struct node **slot)
{
    struct node *gone = *slot;
    enum torg_err err;

    while (gone->left && gone->right) {
        bool left = gone->left->priority > gone->right->priority;
        struct node *child;

        err = node_own(left ? &gone->left : &gone->right);
        if (err)
            return err;
        child = left ? gone->left : gone->right;
        if (left) {
            gone->left = child->right;
            child->right = gone;
            *slot = child;
            slot = &child->right;
        } else {
            gone->right = child->left;
            child->left = gone;
            *slot = child;
            slot = &child->left;
        }
    }
    *slot = gone->left ? gone->left : gone->right;
    gone->left = NULL;
    gone->right = NULL;
    node_drop(gone);
    return TORG_OK;
}

/* key is in the tree. */
static enum torg_err tree_del(struct node **slot, struct span key)
{
    for (;;) {
        enum torg_err err = node_own(slot);
        int order;

        if (err)
            return err;
        order = span_compare(key, record_key((*slot)->record));
        if (order == 0)
            return tree_join(slot);
        slot = order < 0 ? &(*slot)->left : &(*slot)->right;
    }
}

/* ---- operations of a transaction ---- */

static void loans_free(struct txn *txn)
{
    while (txn->loans) {
        struct loan *next = txn->loans->next;

        free(txn->loans);
        txn->loans = next;
    }
}

static enum torg_err lend(struct txn *txn, struct span bytes, struct span *ret_bytes)
{
    struct loan *loan;

    if (!txn->strict || bytes.size == 0) {
        *ret_bytes = bytes;
        return TORG_OK;
    }
    loan = malloc(sizeof(*loan) + bytes.size);
    if (!loan)
        return TORG_E_NOMEM;
    memcpy(loan->bytes, bytes.data, bytes.size);
    loan->next = txn->loans;
    txn->loans = loan;
    *ret_bytes = span_of(loan->bytes, bytes.size);
    return TORG_OK;
}

/* Each write operation passes here once, before it touches anything. */
static enum torg_err write_begins(struct txn *txn)
{
    struct kv_mem *mem = txn->mem;

    if (txn->err)
        return txn->err;
    if (mem->fail_err && mem->operations >= mem->fail_at) {
        txn->err = mem->fail_err;
        mem->fail_err = TORG_OK;
        return txn->err;
    }
    mem->operations++;
    txn->writes++;
    loans_free(txn);
    return TORG_OK;
}

static enum torg_err mem_get(void *context, enum kv_table table, struct span key,
                             struct span *ret_value)
{
    struct txn *txn = context;
    struct node *node = tree_find(txn->roots[table], key);

    if (!node)
        return TORG_E_NOT_FOUND;
    return lend(txn, record_value(node->record), ret_value);
}

static enum torg_err mem_put(void *context, enum kv_table table, struct span key, struct span value)
{
    struct txn *txn = context;
    struct record *record;
    enum torg_err err;

    assert(txn->writable && key.size >= 1 && key.size <= KV_KEY_BYTES_MAX);
    /* Before the loans end: key and value may be borrowed from this transaction. */
    record = record_new(key, value);
    if (!record)
        return txn->err = TORG_E_NOMEM;
    err = write_begins(txn);
    if (!err)
        err = txn->err = tree_put(&txn->roots[table], record);
    if (err)
        record_drop(record);
    return err;
}

static enum torg_err mem_del(void *context, enum kv_table table, struct span key)
{
    struct txn *txn = context;
    uint8_t copy[KV_KEY_BYTES_MAX];
    enum torg_err err;

    assert(txn->writable && key.size >= 1 && key.size <= KV_KEY_BYTES_MAX);
    if (!tree_find(txn->roots[table], key))
        return txn->err ? txn->err : TORG_E_NOT_FOUND;
    memcpy(copy, key.data, key.size);
    err = write_begins(txn);
    if (err)
        return err;
    return txn->err = tree_del(&txn->roots[table], span_of(copy, key.size));
}

static enum torg_err mem_cursor_open(void *context, enum kv_table table,
                                     struct kv_cursor **ret_cursor)
{
    struct txn *txn = context;
    struct kv_cursor *cursor = calloc(1, sizeof(*cursor));

    if (!cursor)
        return TORG_E_NOMEM;
    cursor->txn = txn;
    cursor->table = table;
    txn->cursor_count++;
    *ret_cursor = cursor;
    return TORG_OK;
}

static void mem_cursor_close(struct kv_cursor *cursor)
{
    cursor->txn->cursor_count--;
    free(cursor);
}

static enum torg_err cursor_show(struct kv_cursor *cursor, const struct node *node,
                                 struct span *ret_key, struct span *ret_value)
{
    struct span key, value;
    enum torg_err err;

    cursor->placed = node != NULL;
    if (!node)
        return TORG_E_NOT_FOUND;
    cursor->writes = cursor->txn->writes;
    cursor->key_size = node->record->key_size;
    memcpy(cursor->key, node->record->bytes, cursor->key_size);
    err = lend(cursor->txn, record_key(node->record), &key);
    if (!err)
        err = lend(cursor->txn, record_value(node->record), &value);
    if (err)
        return err;
    *ret_key = key;
    *ret_value = value;
    return TORG_OK;
}

static enum torg_err mem_cursor_seek(struct kv_cursor *cursor, struct span key,
                                     struct span *ret_key, struct span *ret_value)
{
    struct node *root = cursor->txn->roots[cursor->table];

    return cursor_show(cursor, tree_seek(root, key, false), ret_key, ret_value);
}

static enum torg_err mem_cursor_next(struct kv_cursor *cursor, struct span *ret_key,
                                     struct span *ret_value)
{
    struct node *root = cursor->txn->roots[cursor->table];
    struct span at = span_of(cursor->key, cursor->key_size);

    /* kv.h: seek first, and again after each write. */
    assert(!cursor->placed || cursor->writes == cursor->txn->writes);
    if (!cursor->placed)
        return TORG_E_NOT_FOUND;
    return cursor_show(cursor, tree_seek(root, at, true), ret_key, ret_value);
}

static const struct kv_ops mem_ops = {
    .get = mem_get,
    .put = mem_put,
    .del = mem_del,
    .cursor_open = mem_cursor_open,
    .cursor_close = mem_cursor_close,
    .cursor_seek = mem_cursor_seek,
    .cursor_next = mem_cursor_next,
};

/* ---- transactions ---- */

static enum torg_err txn_begin(struct kv_mem *mem, bool writable, struct kv *ret_kv)
{
    struct txn *txn = calloc(1, sizeof(*txn));

    if (!txn)
        return TORG_E_NOMEM;
    txn->mem = mem;
    txn->writable = writable;
    txn->strict = mem->strict;
    for (size_t i = 0; i < KV_TABLE_COUNT; i++)
        txn->roots[i] = node_keep(mem->roots[i]);
    mem->open_count++;
    *ret_kv = (struct kv){.ops = &mem_ops, .txn = txn, .writable = writable};
    return TORG_OK;
}

static void txn_end(struct kv *kv)
{
    struct txn *txn = kv->txn;

    assert(txn->cursor_count == 0);
    loans_free(txn);
    for (size_t i = 0; i < KV_TABLE_COUNT; i++)
        node_drop(txn->roots[i]);
    txn->mem->open_count--;
    if (txn->writable)
        txn->mem->writing = false;
    free(txn);
    *kv = (struct kv){0};
}

enum torg_err kv_mem_read_begin(struct kv_mem *mem, struct kv *ret_kv)
{
    return txn_begin(mem, false, ret_kv);
}

void kv_mem_read_end(struct kv *kv)
{
    assert(!kv->writable);
    txn_end(kv);
}

enum torg_err kv_mem_write_begin(struct kv_mem *mem, struct kv *ret_kv)
{
    enum torg_err err;

    assert(!mem->writing);
    err = txn_begin(mem, true, ret_kv);
    if (err)
        return err;
    mem->writing = true;
    return TORG_OK;
}

enum torg_err kv_mem_write_commit(struct kv *kv)
{
    struct txn *txn = kv->txn;
    enum torg_err err;

    assert(kv->writable);
    err = write_begins(txn);
    if (!err) {
        for (size_t i = 0; i < KV_TABLE_COUNT; i++) {
            node_drop(txn->mem->roots[i]);
            txn->mem->roots[i] = node_keep(txn->roots[i]);
        }
        txn->mem->commits++;
    }
    txn_end(kv);
    return err;
}

void kv_mem_write_abort(struct kv *kv)
{
    assert(kv->writable);
    txn_end(kv);
}

/* ---- the store ---- */

enum torg_err kv_mem_new(struct kv_mem **ret_mem)
{
    struct kv_mem *mem = calloc(1, sizeof(*mem));

    if (!mem)
        return TORG_E_NOMEM;
    *ret_mem = mem;
    return TORG_OK;
}

void kv_mem_free(struct kv_mem *mem)
{
    if (!mem)
        return;
    assert(mem->open_count == 0);
    for (size_t i = 0; i < KV_TABLE_COUNT; i++)
        node_drop(mem->roots[i]);
    free(mem);
}

enum torg_err kv_mem_clone(const struct kv_mem *mem, struct kv_mem **ret_mem)
{
    struct kv_mem *clone;
    enum torg_err err = kv_mem_new(&clone);

    if (err)
        return err;
    kv_mem_restore(clone, mem);
    clone->strict = mem->strict;
    *ret_mem = clone;
    return TORG_OK;
}

void kv_mem_restore(struct kv_mem *mem, const struct kv_mem *from)
{
    assert(mem->open_count == 0);
    for (size_t i = 0; i < KV_TABLE_COUNT; i++) {
        struct node *root = node_keep(from->roots[i]);

        node_drop(mem->roots[i]);
        mem->roots[i] = root;
    }
}

void kv_mem_fail_after(struct kv_mem *mem, uint64_t after, enum torg_err err)
{
    mem->fail_at = mem->operations + after;
    mem->fail_err = err;
}

uint64_t kv_mem_operations(const struct kv_mem *mem)
{
    return mem->operations;
}

uint64_t kv_mem_commits(const struct kv_mem *mem)
{
    return mem->commits;
}

void kv_mem_strict(struct kv_mem *mem, bool strict)
{
    mem->strict = strict;
}

static enum torg_err dump_table(const struct kv *kv, enum kv_table table, struct buffer *out)
{
    static const uint8_t first[1] = {0};
    struct kv_cursor *cursor;
    struct span key, value;
    enum torg_err err = kv_cursor_open(kv, table, &cursor);

    if (err)
        return err;
    err = kv_cursor_seek(kv, cursor, span_of(first, sizeof(first)), &key, &value);
    while (!err) {
        buffer_put_u8(out, (uint8_t)table);
        buffer_put_u16be(out, (uint16_t)key.size);
        buffer_put_span(out, key);
        buffer_put_u32be(out, (uint32_t)value.size);
        buffer_put_span(out, value);
        err = kv_cursor_next(kv, cursor, &key, &value);
    }
    kv_cursor_close(kv, cursor);
    return err == TORG_E_NOT_FOUND ? out->err : err;
}

enum torg_err kv_mem_dump(const struct kv *kv, struct buffer *out)
{
    for (int table = 0; table < KV_TABLE_COUNT; table++) {
        enum torg_err err = dump_table(kv, (enum kv_table)table, out);

        if (err)
            return err;
    }
    return TORG_OK;
}
