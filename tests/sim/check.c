/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/sim/check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MUST(expression) must((expression), #expression)

static void must(enum torg_err err, const char *what)
{
    if (!err)
        return;
    fprintf(stderr, "check: %s: %s\n", what, torg_err_text(err));
    abort();
}

/* One listing as a node holds it. */
struct held {
    uint8_t collection;
    struct listing_key key;
    struct hash header_hash;
};

struct held_list {
    struct held *items;
    size_t count, capacity;
};

/* What is known of one origin at one node. */
struct place {
    struct held_list committed;
    struct held_list working; /* inside a transaction that touched it */
    bool touched;
    uint64_t floor_epoch, floor_hno;       /* of the head that was durable */
    uint64_t promised_epoch, promised_hno; /* the newest that a HAVE told */
    uint32_t promised_mask;
};

struct check {
    struct world *world;
    struct place places[WORLD_NODES_MAX][WORLD_NODES_MAX]; /* by node, origin's node */
    uint64_t payloads_sent;
    unsigned invariant;
    char text[256];
};

void check_violate(struct check *check, unsigned invariant, const char *format, ...)
{
    va_list arguments;

    if (check->invariant)
        return;
    check->invariant = invariant;
    va_start(arguments, format);
    vsnprintf(check->text, sizeof(check->text), format, arguments);
    va_end(arguments);
    world_trace(check->world, "VIOLATION of invariant %u: %s", invariant, check->text);
}

unsigned check_violation(const struct check *check, const char **ret_text)
{
    if (ret_text)
        *ret_text = check->text;
    return check->invariant;
}

static int number_compare(uint64_t epoch_a, uint64_t hno_a, uint64_t epoch_b, uint64_t hno_b)
{
    if (epoch_a != epoch_b)
        return epoch_a < epoch_b ? -1 : 1;
    return hno_a < hno_b ? -1 : hno_a > hno_b;
}

/* ---- what a node holds ---- */

static int held_order(const struct held *a, const struct held *b)
{
    if (a->collection != b->collection)
        return a->collection < b->collection ? -1 : 1;
    return memcmp(&a->key, &b->key, sizeof(a->key));
}

static void list_add(struct held_list *list, const struct held *held)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? 2 * list->capacity : 64;
        list->items = reallocarray(list->items, list->capacity, sizeof(*list->items));
        if (!list->items)
            must(TORG_E_NOMEM, "reallocarray");
    }
    list->items[list->count++] = *held;
}

static const struct held *list_find(const struct held_list *list, const struct held *key)
{
    size_t low = 0, high = list->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = held_order(&list->items[middle], key);

        if (order == 0)
            return &list->items[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

/* One walk over what a node holds of an origin. */
struct walk {
    struct check *check;
    const struct world_node *node;
    const struct world_node *origin;
    uint64_t commit; /* of the head under which the node holds it */
    uint8_t collection;
    const struct held_list *before; /* only what is new is judged; NULL: everything is */
    struct held_list now;
    struct trie_entry *entries;
    size_t entry_count, entry_capacity;
};

/* New here: signed, live under the head it was taken under, and byte for byte as signed. */
static void judge(struct walk *walk, const struct held *held, struct span header,
                  struct span payload)
{
    const struct world_version *version =
        world_version_of(walk->origin, held->collection, &held->key, &held->header_hash);
    bool is_new = walk->before != NULL;

    if (!version) {
        check_violate(walk->check, 2, "%s holds a listing of %s that it never signed",
                      walk->node->name, walk->origin->name);
        return;
    }
    if (payload.size && !span_equal(payload, buffer_span(&version->payload)))
        check_violate(walk->check, 2, "%s holds another payload than %s signed", walk->node->name,
                      walk->origin->name);
    if (!span_equal(header, buffer_span(&version->header)))
        check_violate(walk->check, 18, "%s holds other bytes than %s signed", walk->node->name,
                      walk->origin->name);
    if (is_new && !walk->origin->forked &&
        (version->from > walk->commit || (version->to && version->to <= walk->commit)))
        check_violate(walk->check, 3,
                      "%s took a listing of %s that is not in commit %" PRIu64 " (%" PRIu64
                      " to %" PRIu64 ")",
                      walk->node->name, walk->origin->name, walk->commit, version->from,
                      version->to);
}

static bool walk_visit(void *context, const struct listing_key *key, struct span header,
                       struct span payload)
{
    struct walk *walk = context;
    struct held held = {
        .collection = walk->collection,
        .key = *key,
        .header_hash = change_header_hash(header),
    };
    const struct held *before = walk->before ? list_find(walk->before, &held) : NULL;

    if (!before || memcmp(&before->header_hash, &held.header_hash, sizeof(held.header_hash)))
        judge(walk, &held, header, payload);
    list_add(&walk->now, &held);
    if (walk->entry_count == walk->entry_capacity) {
        walk->entry_capacity = walk->entry_capacity ? 2 * walk->entry_capacity : 64;
        walk->entries = reallocarray(walk->entries, walk->entry_capacity, sizeof(*walk->entries));
        if (!walk->entries)
            must(TORG_E_NOMEM, "reallocarray");
    }
    walk->entries[walk->entry_count++] =
        (struct trie_entry){.key = *key, .header_hash = held.header_hash};
    return true;
}

/* Recompute the root of a collection from nothing. */
static void root_check(struct walk *walk, const struct replica_origin *record)
{
    unsigned c = walk->collection;
    struct trie_root root = trie_build((uint8_t)c, walk->entries, walk->entry_count);
    struct head_state state = head_state_of(&record->head, (uint8_t)c);
    bool complete;

    if (root.count != record->held[c].count ||
        memcmp(&root.digest, &record->held[c].digest, sizeof(root.digest)) != 0)
        check_violate(walk->check, 1, "%s: collection %u of %s has another root than its record",
                      walk->node->name, c, walk->origin->name);
    complete = replica_complete_mask(record, UINT32_C(1) << c) != 0;
    if (complete &&
        (root.count != state.count || memcmp(&root.digest, &state.root, sizeof(root.digest)) != 0))
        check_violate(walk->check, 1, "%s: collection %u of %s is called complete and is not",
                      walk->node->name, c, walk->origin->name);
}

/* Walk over all of an origin at a node, in kv; now gets what is held. */
static void origin_check(struct check *check, const struct world_node *node,
                         const struct world_node *origin, const struct kv *kv,
                         const struct replica_origin *record, const struct held_list *before,
                         struct held_list *now)
{
    struct walk walk = {.check = check, .node = node, .origin = origin, .before = before};

    if (record->has_head) {
        walk.commit = world_commit_of(origin, record->head.epoch, record->head.hno);
        if (!walk.commit)
            check_violate(check, 2, "%s holds a head of %s that it never signed", node->name,
                          origin->name);
    }
    for (unsigned c = 1; c < COLLECTIONS_MAX; c++) {
        walk.collection = (uint8_t)c;
        walk.entry_count = 0;
        MUST(replica_listings(kv, record->number, (uint8_t)c, NULL, walk_visit, &walk));
        root_check(&walk, record);
    }
    free(walk.entries);
    *now = walk.now;
}

/* ---- while the world runs ---- */

/* A number that was given twice: two heads for one commit, though both be signed. */
static void numbers_check(struct check *check, const struct world_node *origin)
{
    const struct world_commit *newest;

    if (origin->commit_count == 0 || origin->forked)
        return; /* where a second host signs, that is what happens */
    newest = &origin->commits[origin->commit_count - 1];
    for (size_t i = 0; i + 1 < origin->commit_count; i++) {
        if (origin->commits[i].epoch == newest->epoch && origin->commits[i].hno == newest->hno)
            check_violate(check, 4, "%s has signed %" PRIu64 ".%" PRIu64 " twice", origin->name,
                          newest->epoch, newest->hno);
    }
}

/* Of an origin's collections for members, nothing is held where there never was one. */
static void secrets_check(struct check *check, const struct world_node *node,
                          const struct world_node *origin, const struct replica_origin *record)
{
    uint32_t visible = world_visible_ever(check->world, node->index, origin->index);

    for (unsigned c = 1; c < COLLECTIONS_MAX; c++) {
        if (record->held[c].count && !(visible >> c & 1))
            check_violate(check, 20, "%s holds what %s keeps for members", node->name,
                          origin->name);
    }
}

static void on_applied(void *context, struct world_node *node, struct kv *kv,
                       const struct origin_id *id)
{
    struct check *check = context;
    const struct world_node *origin = world_origin(check->world, id);
    struct replica_origin record;
    struct held_list now = {0};
    struct place *place;

    if (!origin) {
        check_violate(check, 2, "%s stores an origin that nobody is", node->name);
        return;
    }
    place = &check->places[node->index][origin->index];
    if (origin == node->book)
        numbers_check(check, origin);
    MUST(replica_origin_get(kv, id, &record));
    secrets_check(check, node, origin, &record);
    origin_check(check, node, origin, kv, &record,
                 place->touched ? &place->working : &place->committed, &now);
    free(place->working.items);
    place->working = now;
    place->touched = true;
}

/* The durable head of an origin against all that was said of it before. */
static void durable_check(struct check *check, struct world_node *node, uint32_t origin)
{
    struct place *place = &check->places[node->index][origin];
    const char *name = check->world->nodes[origin].name;
    struct replica_origin record = {0};

    if (!world_is_origin(&check->world->nodes[origin]))
        return;
    world_head(check->world, node->index, &check->world->nodes[origin].own, &record);
    if (number_compare(record.head.epoch, record.head.hno, place->floor_epoch, place->floor_hno) <
        0)
        check_violate(check, 3,
                      "%s went back to %" PRIu64 ".%" PRIu64 " of %s, having held %" PRIu64
                      ".%" PRIu64,
                      node->name, record.head.epoch, record.head.hno, name, place->floor_epoch,
                      place->floor_hno);
    if (number_compare(record.head.epoch, record.head.hno, place->promised_epoch,
                       place->promised_hno) < 0)
        check_violate(check, 5, "%s has lost %" PRIu64 ".%" PRIu64 " of %s, of which it had told",
                      node->name, place->promised_epoch, place->promised_hno, name);
    /* It may want less now, or be no member by what it has heard so far. */
    place->promised_mask &= world_mask(check->world, node->index, origin) &
                            world_visible_there(check->world, node->index, origin);
    if (record.head.epoch == place->promised_epoch && record.head.hno == place->promised_hno &&
        (place->promised_mask & ~replica_complete_mask(&record, place->promised_mask)) &&
        place->promised_epoch)
        check_violate(check, 5, "%s has lost listings of %s, of which it had told", node->name,
                      name);
    place->floor_epoch = record.head.epoch;
    place->floor_hno = record.head.hno;
}

static void on_ended(void *context, struct world_node *node, bool committed)
{
    struct check *check = context;

    for (uint32_t i = 0; i < check->world->node_count; i++) {
        struct place *place = &check->places[node->index][i];

        if (!place->touched)
            continue;
        place->touched = false;
        if (committed) {
            free(place->committed.items);
            place->committed = place->working;
            durable_check(check, node, i);
        } else {
            free(place->working.items);
        }
        place->working = (struct held_list){0};
    }
}

static void on_started(void *context, struct world_node *node)
{
    struct check *check = context;

    for (uint32_t i = 0; i < check->world->node_count; i++)
        durable_check(check, node, i);
}

static void have_check(struct check *check, struct world_node *node,
                       const struct frame_have_row *row)
{
    const struct world_node *origin = world_origin(check->world, &row->origin);
    struct replica_origin record = {0};
    struct place *place;

    if (!origin) {
        check_violate(check, 2, "%s tells of an origin that nobody is", node->name);
        return;
    }
    place = &check->places[node->index][origin->index];
    world_head(check->world, node->index, &row->origin, &record);
    if (number_compare(row->epoch, row->hno, record.head.epoch, record.head.hno) > 0)
        check_violate(check, 5, "%s tells of %" PRIu64 ".%" PRIu64 " of %s before it is durable",
                      node->name, row->epoch, row->hno, origin->name);
    if (row->epoch == record.head.epoch && row->hno == record.head.hno &&
        row->mask & ~replica_complete_mask(&record, row->mask))
        check_violate(check, 5, "%s tells of collections of %s that it does not hold", node->name,
                      origin->name);
    if (number_compare(row->epoch, row->hno, place->promised_epoch, place->promised_hno) < 0)
        return;
    place->promised_epoch = row->epoch;
    place->promised_hno = row->hno;
    place->promised_mask = row->mask;
}

static uint64_t payloads_in(const struct frame_list *entries)
{
    struct profile_reader in = frame_list_reader(entries);
    uint64_t count = 0;

    for (uint32_t i = 0; i < entries->count; i++)
        count += frame_read_entry(&in).has_payload;
    return count;
}

uint64_t check_payloads_sent(const struct check *check)
{
    return check->payloads_sent;
}

/* Who signed a header of that collection? NULL: nobody, it is invented. */
static const struct world_node *signer_of(const struct check *check, uint8_t collection,
                                          const struct listing_id *id, struct span header)
{
    struct listing_key key = listing_key_of(id);
    struct hash hash = change_header_hash(header);

    for (uint32_t i = 0; i < check->world->node_count; i++) {
        const struct world_node *origin = &check->world->nodes[i];

        if (world_is_origin(origin) && world_version_of(origin, collection, &key, &hash))
            return origin;
    }
    return NULL;
}

/* One header on its way to a node: may that one ever have had it? */
static void secret_look(struct check *check, const struct world_node *node, uint32_t to,
                        struct span bytes)
{
    const struct world_node *origin;
    struct change_header header;

    if (change_header_parse(bytes, &header) ||
        !(check->world->members_only >> header.collection & 1))
        return;
    origin = signer_of(check, header.collection, &header.id, bytes);
    if (origin && !(world_visible_ever(check->world, to, origin->index) >> header.collection & 1))
        check_violate(check, 20, "%s sends to %s what %s keeps for members", node->name,
                      check->world->nodes[to].name, origin->name);
}

static void secrets_sent(struct check *check, const struct world_node *node, uint32_t to,
                         const struct frame *frame)
{
    const struct frame_list *list = frame->type == FRAME_BATCH     ? &frame->batch.entries
                                    : frame->type == FRAME_ENTRIES ? &frame->entries.entries
                                                                   : &frame->delta.headers;
    struct profile_reader in = frame_list_reader(list);

    if (to == WORLD_NONE || !check->world->members_only)
        return;
    for (uint32_t i = 0; i < list->count; i++)
        secret_look(check, node, to,
                    frame->type == FRAME_DELTA ? profile_bin(&in, HEADER_BYTES_MAX)
                                               : frame_read_entry(&in).header);
}

static void on_sending(void *context, struct world_node *node, uint32_t to, uint8_t type,
                       struct span body)
{
    struct check *check = context;
    struct frame frame;
    struct profile_reader in;
    enum torg_err err = frame_decode(type, body, &frame);

    if (err) {
        check_violate(check, 0, "%s sends a %s frame that does not decode: %s", node->name,
                      frame_type_name(type), torg_err_text(err));
        return;
    }
    if (type == FRAME_BATCH || type == FRAME_ENTRIES)
        check->payloads_sent +=
            payloads_in(type == FRAME_BATCH ? &frame.batch.entries : &frame.entries.entries);
    if (type == FRAME_BATCH || type == FRAME_ENTRIES || type == FRAME_DELTA)
        secrets_sent(check, node, to, &frame);
    if (type != FRAME_HAVE)
        return;
    in = frame_list_reader(&frame.have.rows);
    for (uint32_t i = 0; i < frame.have.rows.count; i++) {
        struct frame_have_row row = frame_read_have(&in);

        have_check(check, node, &row);
    }
}

/* ---- at the end ---- */

static void verify_report(void *context, const char *what)
{
    struct check *check = context;

    check_violate(check, 1, "replica_verify: %s", what);
}

static void node_check(struct check *check, struct world_node *node)
{
    struct kv read;

    MUST(kv_mem_read_begin(node->store, &read));
    for (uint32_t i = 0; i < check->world->node_count; i++) {
        const struct world_node *origin = &check->world->nodes[i];
        struct replica_origin record;
        struct held_list now = {0};

        if (!world_is_origin(origin) || replica_origin_get(&read, &origin->own, &record))
            continue;
        /* What came behind the replica's back is new; then everything is looked at. */
        origin_check(check, node, origin, &read, &record, &check->places[node->index][i].committed,
                     &now);
        free(now.items);
        now = (struct held_list){0};
        origin_check(check, node, origin, &read, &record, NULL, &now);
        free(now.items);
        MUST(replica_verify(&read, &record, verify_report, check));
    }
    kv_mem_read_end(&read);
}

/* Every charter, down to its last byte. */
static void charters_check(struct check *check, struct world_node *node)
{
    struct kv read;

    MUST(kv_mem_read_begin(node->store, &read));
    for (uint32_t i = 0; i < check->world->node_count; i++) {
        const struct world_node *origin = &check->world->nodes[i];
        struct replica_origin record;

        if (!world_is_origin(origin) || replica_origin_get(&read, &origin->own, &record))
            continue;
        for (uint64_t no = 0; no <= record.charter_no; no++) {
            struct span stored;

            MUST(replica_charter_get(&read, record.number, no, &stored));
            if (!span_equal(stored, buffer_span(&origin->charters[no])))
                check_violate(check, 18, "%s holds another charter of %s", node->name,
                              origin->name);
        }
    }
    kv_mem_read_end(&read);
}

/* No evidence can be made against an origin that published one chain. */
static void disputes_check(struct check *check, uint32_t node)
{
    for (uint32_t i = 0; i < check->world->node_count; i++) {
        const struct world_node *origin = &check->world->nodes[i];
        struct replica_origin record;

        if (!world_is_origin(origin) || origin->forked ||
            !world_head(check->world, node, &origin->own, &record))
            continue;
        if (record.flags & REPLICA_FLAG_DISPUTED)
            check_violate(check, 6, "%s calls %s disputed, which published one chain",
                          check->world->nodes[node].name, origin->name);
    }
}

void check_all(struct check *check)
{
    for (uint32_t i = 0; i < check->world->node_count; i++) {
        charters_check(check, &check->world->nodes[i]);
        node_check(check, &check->world->nodes[i]);
        disputes_check(check, i);
    }
}

/* ---- begin and end ---- */

static void place_clear(struct place *place)
{
    free(place->committed.items);
    free(place->working.items);
    *place = (struct place){0};
}

void check_forget(struct check *check, uint32_t node)
{
    struct kv read;

    MUST(kv_mem_read_begin(check->world->nodes[node].store, &read));
    for (uint32_t i = 0; i < check->world->node_count; i++) {
        const struct world_node *origin = &check->world->nodes[i];
        struct place *place = &check->places[node][i];
        struct replica_origin record;

        place_clear(place);
        if (world_is_origin(origin) && !replica_origin_get(&read, &origin->own, &record))
            origin_check(check, &check->world->nodes[node], origin, &read, &record, NULL,
                         &place->committed);
    }
    kv_mem_read_end(&read);
}

struct check *check_new(struct world *world)
{
    struct check *check = calloc(1, sizeof(*check));

    if (!check)
        must(TORG_E_NOMEM, "calloc");
    check->world = world;
    world->watcher = (struct world_watcher){
        .context = check,
        .applied = on_applied,
        .ended = on_ended,
        .sending = on_sending,
        .started = on_started,
    };
    return check;
}

void check_free(struct check *check)
{
    for (uint32_t i = 0; i < check->world->node_count; i++) {
        for (uint32_t j = 0; j < check->world->node_count; j++)
            place_clear(&check->places[i][j]);
    }
    free(check);
}
