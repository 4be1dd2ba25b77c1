/* SPDX-License-Identifier: EUPL-1.2 */
#include <string.h>

#include "tools/charter_internal.h"

/* Above every number that any charter ever gave: a number is never used again. */
static enum torg_err signing_no_next(const struct kv *kv, const struct charter_own *own,
                                     uint64_t *ret_no)
{
    uint64_t newest = 0;

    for (uint64_t no = 0; no <= own->origin.charter_no; no++) {
        struct charter_signed charter_signed;
        struct charter charter;
        struct span bytes;
        enum torg_err err = replica_charter_get(kv, own->origin.number, no, &bytes);

        if (!err)
            err = charter_signed_parse(bytes, &charter_signed);
        if (!err)
            err = charter_parse(charter_signed.bytes, &charter);
        if (err)
            return err;
        for (size_t i = 0; i < charter.signing_key_count; i++) {
            if (charter.signing_keys[i].key_no > newest)
                newest = charter.signing_keys[i].key_no;
        }
    }
    *ret_no = newest + 1;
    return TORG_OK;
}

/* ---- root keys ---- */

static size_t root_find(const struct charter *charter, const struct public_key *key)
{
    size_t at = 0;

    while (at < charter->root_key_count && memcmp(&charter->root_keys[at], key, sizeof(*key)) != 0)
        at++;
    return at;
}

static enum torg_err root_remove(struct charter_change *change, const char *hex)
{
    struct charter *next = &change->next;
    struct public_key key;
    size_t at = next->root_key_count;

    if (hex_decode(hex, key.bytes, sizeof(key.bytes)) == TORG_OK)
        at = root_find(next, &key);
    if (at == next->root_key_count)
        return charter_refuse(change, TORG_E_INVALID,
                              "--remove-root-key %s: is not a root key of this municipality, as "
                              "\"torg charter show\" prints it",
                              hex);
    next->root_key_count--;
    memmove(&next->root_keys[at], &next->root_keys[at + 1],
            (next->root_key_count - at) * sizeof(next->root_keys[0]));
    return TORG_OK;
}

static enum torg_err root_add(struct charter_change *change, const struct public_key *key)
{
    struct charter *next = &change->next;

    if (charter_lists_root(next, key))
        return charter_refuse(change, TORG_E_KNOWN, "--add-root-key: is a root key already");
    if (next->root_key_count == CHARTER_ROOT_KEYS_MAX)
        return charter_refuse(change, TORG_E_TOO_BIG, "a charter has at most %d root keys",
                              CHARTER_ROOT_KEYS_MAX);
    next->root_keys[next->root_key_count++] = *key;
    return TORG_OK;
}

/* The first that was brought gives way to a new one; then some go, and some come. */
static enum torg_err roots_fill(struct charter_change *change)
{
    const struct charter_wish *wish = change->wish;
    struct charter *next = &change->next;
    size_t added = 0;
    enum torg_err err = TORG_OK;

    if (wish->new_root_key)
        next->root_keys[root_find(next, &change->roots[0].public)] =
            change->new_roots[added++].public;
    for (size_t i = 0; i < wish->remove_root_count && !err; i++)
        err = root_remove(change, wish->remove_roots[i]);
    for (; added < change->new_root_count && !err; added++)
        err = root_add(change, &change->new_roots[added].public);
    if (err)
        return err;
    if (wish->threshold)
        next->threshold = wish->threshold;
    if (next->threshold > next->root_key_count)
        return charter_refuse(change, TORG_E_INVALID,
                              "the charter would ask for %u root keys and have %u; give "
                              "--threshold or --add-root-key",
                              next->threshold, next->root_key_count);
    return TORG_OK;
}

/* ---- who gets what ---- */

/*
 * The next head would carry out what the charter does not name; and nothing here takes back what
 * the API has been showing.
 */
static enum torg_err visibility_check(struct charter_change *change)
{
    for (uint8_t c = 1; c < COLLECTIONS_MAX; c++) {
        const char *name = collection_name(c) ? collection_name(c) : "the collection";

        if (change->next.visibility[c] == VISIBILITY_LOCAL && change->own.origin.held[c].count > 0)
            return charter_refuse(change, TORG_E_INVALID,
                                  "%s has listings, which are published; delete them before it "
                                  "becomes local",
                                  name);
        if (change->next.visibility[c] == VISIBILITY_MEMBERS && COLLECTION_MASK_PUBLIC >> c & 1)
            return charter_refuse(
                change, TORG_E_INVALID,
                "%s is what the API shows to everybody, and cannot be for members", name);
    }
    return TORG_OK;
}

static enum torg_err visibility_take(struct charter_change *change)
{
    const struct charter_wish *wish = change->wish;

    for (uint8_t c = 1; c < COLLECTIONS_MAX; c++) {
        if (wish->visible >> c & 1)
            change->next.visibility[c] = wish->visibility[c];
    }
    if (wish->new_catalogue) {
        change->next.has_catalogue = wish->has_catalogue;
        change->next.catalogue = wish->catalogue;
    }
    return visibility_check(change);
}

/* ---- all of it ---- */

/* Texts point into the store and the wish, keys are drawn. */
static enum torg_err next_fill(struct charter_change *change, const struct kv *kv)
{
    const struct charter_wish *wish = change->wish;
    struct charter *next = &change->next;
    enum torg_err err = TORG_OK;

    *next = change->own.charter;
    next->charter_no++;
    next->prev = charter_hash(change->own.charter_signed.bytes);
    next->epoch += wish->new_epoch;
    if (wish->name)
        next->name = span_of_str(wish->name);
    if (wish->address) {
        next->endpoint_count = *wish->address != '\0';
        next->endpoints[0] = span_of_str(wish->address);
    }
    if (wish->new_signing_key) {
        next->signing_key_count = 1;
        next->signing_keys[0].key = change->signing.public;
        err = signing_no_next(kv, &change->own, &next->signing_keys[0].key_no);
    }
    if (wish->new_node_key) {
        next->node_key_count = 1;
        next->node_keys[0] = change->node.public;
    }
    if (!err)
        err = visibility_take(change);
    return err ? err : roots_fill(change);
}

static void sign(struct charter_change *change, const struct charter_key *root)
{
    struct charter_signed *next = &change->next_signed;

    next->signatures[next->signature_count++] = (struct charter_signature){
        .key = root->public,
        .signature = seal_sign(DOMAIN_CHARTER, next->bytes, &root->secret),
    };
}

enum torg_err charter_next_make(struct charter_change *change, const struct kv *kv)
{
    enum torg_err err = next_fill(change, kv);

    if (!err)
        err = charter_pack(&change->next, &change->next_bytes);
    if (err)
        return err;
    change->next_signed = (struct charter_signed){.bytes = buffer_span(&change->next_bytes)};
    for (size_t i = 0; i < change->root_count; i++)
        sign(change, &change->roots[i]);
    for (size_t i = 0; i < change->new_root_count; i++) {
        if (change->new_roots[i].made)
            sign(change, &change->new_roots[i]);
    }
    return TORG_OK;
}

enum torg_err charter_next_check(struct charter_change *change)
{
    struct charter_support support;
    enum torg_err err = visibility_check(change); /* a draft may be older than a listing */

    if (!err)
        err = charter_support_count(&change->own.charter_signed, &change->next_signed, &support);
    if (err)
        return err;
    if (support.by_before >= change->own.charter.threshold &&
        support.by_own >= change->next.threshold)
        return TORG_OK;
    return charter_refuse(change, TORG_E_SIGNATURE,
                          "%u root keys have signed of the %u that charter %u asks for, and %u of "
                          "the %u that the new one does; bring them all (--root-key), or have a "
                          "draft signed in turn (--draft, torg charter sign)",
                          support.by_before, change->own.charter.threshold,
                          (unsigned)change->own.charter.charter_no, support.by_own,
                          change->next.threshold);
}
