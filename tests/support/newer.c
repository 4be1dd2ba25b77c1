/* SPDX-License-Identifier: EUPL-1.2 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/clock.h"
#include "daemon/keyfile.h"
#include "index/settings.h"
#include "index/store.h"
#include "protocol/replica.h"

/*
 * What a later version of torg will do, at a node that is stopped: publish in a
 * collection that has no name yet.
 *   newer write DIR KEYS SEED   its charter names the collection, if it does not
 *                               yet; then one commit: new listings, others
 *                               changed, and one deleted
 *   newer show DIR              header and payload of all of them, in hex, a
 *                               line each, of all origins
 */
#define COLLECTION 27
#define LISTINGS 12
#define BYTES_MAX 3000

static void must(enum torg_err err, const char *what)
{
    if (!err)
        return;
    fprintf(stderr, "newer: %s: %s\n", what, torg_err_text(err));
    exit(1);
}

static uint32_t next_random(uint64_t *seed)
{
    *seed = *seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)(*seed >> 33);
}

/* ---- writing ---- */

static void name_collection(struct kv *kv, const struct replica_origin *origin, const char *keys,
                            struct charter *charter)
{
    char message[KEYFILE_MESSAGE_BYTES_MAX];
    struct charter_signed before, next = {.signature_count = 1};
    struct replica_write write = {.kind = REPLICA_WRITE_CHARTERS,
                                  .origin = origin->id,
                                  .charters = &next,
                                  .charter_count = 1,
                                  .now_ms = clock_wall_ms()};
    struct buffer bytes = {0};
    struct secret_key root;

    must(replica_charter_load(kv, origin->number, origin->charter_no, &before, charter), "charter");
    if (charter->visibility[COLLECTION] == VISIBILITY_PUBLIC)
        return;
    charter->charter_no++;
    charter->prev = charter_hash(before.bytes);
    charter->visibility[COLLECTION] = VISIBILITY_PUBLIC;
    must(charter_pack(charter, &bytes), "charter_pack");
    must(keyfile_read(keys, KEYFILE_ROOT, &root, &next.signatures[0].key, message), message);
    next.bytes = buffer_span(&bytes);
    next.signatures[0].signature = seal_sign(DOMAIN_CHARTER, next.bytes, &root);
    must(replica_apply(kv, &write, NULL), "replica_apply");
    buffer_done(&bytes);
}

/* Ids are the same for every seed: what one run has made, another changes. */
static struct local_change change_draw(uint32_t i, uint64_t *seed, uint8_t *payload)
{
    struct local_change change = {.collection = COLLECTION, .flags = (uint8_t)next_random(seed)};
    size_t size = 1 + next_random(seed) % BYTES_MAX;

    memset(change.id.bytes, (int)i + 1, sizeof(change.id.bytes));
    for (size_t at = 0; at < size; at++)
        payload[at] = (uint8_t)next_random(seed);
    change.payload = span_of(payload, next_random(seed) % LISTINGS ? size : 0);
    return change;
}

static void commit(struct kv *kv, const char *keys, uint64_t seed)
{
    static uint8_t payloads[LISTINGS][BYTES_MAX];
    char message[KEYFILE_MESSAGE_BYTES_MAX];
    struct local_change changes[LISTINGS];
    struct replica_signer signer;
    struct replica_origin origin;
    struct public_key public;
    struct charter charter;
    struct origin_id own;
    struct buffer head = {0};

    must(settings_own_get(kv, &own), "settings_own_get");
    must(replica_origin_get(kv, &own, &origin), "replica_origin_get");
    name_collection(kv, &origin, keys, &charter);
    must(keyfile_read(keys, KEYFILE_SIGNING, &signer.key, &public, message), message);
    signer.key_no = charter.signing_keys[0].key_no;
    for (uint32_t i = 0; i < LISTINGS; i++)
        changes[i] = change_draw(i, &seed, payloads[i]);
    must(replica_commit_local(kv, &own, &signer, changes, LISTINGS, clock_wall_ms(), NULL, &head),
         "replica_commit_local");
    buffer_done(&head);
}

/* ---- showing ---- */

static void put_hex(struct span bytes)
{
    putchar(' ');
    for (size_t i = 0; i < bytes.size; i++)
        printf("%02x", bytes.data[i]);
}

static bool show_listing(void *context, const struct listing_key *key, struct span header,
                         struct span payload)
{
    const struct replica_origin *origin = context;

    (void)key;
    put_hex(span_of(origin->id.bytes, sizeof(origin->id.bytes)));
    put_hex(header);
    put_hex(payload);
    putchar('\n');
    return true;
}

static void show(const struct kv *kv)
{
    static struct replica_origin origin;
    struct origin_id after;
    enum torg_err err = replica_origin_next(kv, NULL, &origin);

    while (!err) {
        must(replica_listings(kv, origin.number, COLLECTION, NULL, show_listing, &origin),
             "replica_listings");
        after = origin.id;
        err = replica_origin_next(kv, &after, &origin);
    }
    if (err != TORG_E_NOT_FOUND)
        must(err, "replica_origin_next");
}

int main(int argc, char **argv)
{
    struct store_options options = store_options_default();
    bool write = argc == 5 && strcmp(argv[1], "write") == 0;
    struct store *store = NULL;
    struct kv kv;

    if (!write && !(argc == 3 && strcmp(argv[1], "show") == 0)) {
        fputs("usage: newer write DIR KEYS SEED | newer show DIR\n", stderr);
        return 2;
    }
    must(seal_init(), "seal_init");
    must(store_open(argv[2], &options, &store), argv[2]);
    if (write) {
        must(store_write_begin(store, &kv), "store_write_begin");
        commit(&kv, argv[3], strtoull(argv[4], NULL, 10));
        must(store_write_commit(&kv), "store_write_commit");
    } else {
        must(store_read_begin(store, &kv), "store_read_begin");
        show(&kv);
        store_read_end(&kv);
    }
    store_close(store);
    return 0;
}
