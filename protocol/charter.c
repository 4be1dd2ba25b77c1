/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/charter.h"

#include <string.h>

#include "protocol/profile.h"

#define CHARTER_VERSION 1
#define CHARTER_FIELDS 15
#define PAIR_FIELDS 2 /* signing key, collection, signature, signed charter */

static bool key_equal(const struct public_key *a, const struct public_key *b)
{
    return memcmp(a, b, sizeof(*a)) == 0;
}

static bool keys_hold(const struct public_key *keys, size_t count, const struct public_key *key)
{
    for (size_t i = 0; i < count; i++) {
        if (key_equal(&keys[i], key))
            return true;
    }
    return false;
}

/* ---- packing ---- */

static void keys_pack(struct buffer *out, const struct public_key *keys, uint8_t count)
{
    pack_array(out, count);
    for (unsigned i = 0; i < count; i++)
        pack_bin(out, keys[i].bytes, sizeof(keys[i].bytes));
}

static void signing_keys_pack(struct buffer *out, const struct charter *charter)
{
    pack_array(out, charter->signing_key_count);
    for (unsigned i = 0; i < charter->signing_key_count; i++) {
        const struct charter_signing_key *key = &charter->signing_keys[i];

        pack_array(out, PAIR_FIELDS);
        pack_uint(out, key->key_no);
        pack_bin(out, key->key.bytes, sizeof(key->key.bytes));
    }
}

static void collections_pack(struct buffer *out, const struct charter *charter)
{
    uint32_t count = 0;

    for (unsigned i = 1; i < COLLECTIONS_MAX; i++)
        count += charter->visibility[i] != VISIBILITY_LOCAL;
    pack_array(out, count);
    for (unsigned i = 1; i < COLLECTIONS_MAX; i++) {
        if (charter->visibility[i] == VISIBILITY_LOCAL)
            continue;
        pack_array(out, PAIR_FIELDS);
        pack_uint(out, i);
        pack_uint(out, charter->visibility[i]);
    }
}

/* Names ascend by bytes: country, nationalCode, ownerKind. */
static void extra_pack(struct buffer *out, const struct charter *charter)
{
    const struct {
        const char *name;
        struct span text;
    } texts[] = {
        {"country", charter->country},
        {"nationalCode", charter->national_code},
        {"ownerKind", charter->owner_kind},
    };
    uint32_t count = 0;

    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        count += texts[i].text.size != 0;
    pack_map(out, count);
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        if (texts[i].text.size == 0)
            continue;
        pack_str(out, span_of_str(texts[i].name));
        pack_str(out, texts[i].text);
    }
}

/* What the arrays of struct charter can hold and the packer can write at all. */
static bool counts_fit(const struct charter *charter)
{
    bool fit = charter->root_key_count <= CHARTER_ROOT_KEYS_MAX &&
               charter->signing_key_count <= CHARTER_SIGNING_KEYS_MAX &&
               charter->node_key_count <= CHARTER_NODE_KEYS_MAX &&
               charter->endpoint_count <= CHARTER_ENDPOINTS_MAX &&
               charter->charter_no <= INTEGER_MAX && charter->epoch <= INTEGER_MAX &&
               charter->max_stale_s <= INTEGER_MAX;

    for (unsigned i = 0; fit && i < charter->signing_key_count; i++)
        fit = charter->signing_keys[i].key_no <= INTEGER_MAX;
    return fit;
}

enum torg_err charter_pack(const struct charter *charter, struct buffer *out)
{
    size_t before = out->size;
    struct charter parsed;
    enum torg_err err;

    if (!counts_fit(charter))
        return TORG_E_INVALID;
    pack_array(out, CHARTER_FIELDS);
    pack_uint(out, CHARTER_VERSION);
    pack_uint(out, charter->charter_no);
    pack_bin(out, charter->prev.bytes, sizeof(charter->prev.bytes));
    pack_uint(out, charter->epoch);
    pack_str(out, charter->name);
    pack_str(out, charter->municipality);
    keys_pack(out, charter->root_keys, charter->root_key_count);
    pack_uint(out, charter->threshold);
    signing_keys_pack(out, charter);
    keys_pack(out, charter->node_keys, charter->node_key_count);
    collections_pack(out, charter);
    if (charter->has_catalogue)
        pack_bin(out, charter->catalogue.bytes, sizeof(charter->catalogue.bytes));
    else
        pack_nil(out);
    pack_uint(out, charter->max_stale_s);
    pack_array(out, charter->endpoint_count);
    for (unsigned i = 0; i < charter->endpoint_count; i++)
        pack_str(out, charter->endpoints[i]);
    extra_pack(out, charter);
    if (out->err)
        return out->err;
    /* A charter lives for ever: nothing leaves that a peer would refuse. */
    err = charter_parse(span_of(out->data + before, out->size - before), &parsed);
    if (err)
        out->size = before;
    return err == TORG_E_PROFILE ? TORG_E_INVALID : err;
}

/* ---- parsing: each part leaves its error in the reader ---- */

static void fail(struct profile_reader *in, enum torg_err err)
{
    if (!in->in.err)
        in->in.err = err;
}

/* How many elements follow, 0 after an error: safe as the bound of a loop. */
static uint8_t count_read(struct profile_reader *in, uint32_t max)
{
    uint32_t count = profile_array(in);

    if (count > max)
        fail(in, TORG_E_TOO_BIG);
    return in->in.err ? 0 : (uint8_t)count;
}

static uint8_t keys_read(struct profile_reader *in, struct public_key *keys, uint32_t max)
{
    uint8_t count = count_read(in, max);

    for (unsigned i = 0; i < count; i++) {
        profile_bin_copy(in, keys[i].bytes, sizeof(keys[i].bytes));
        if (keys_hold(keys, i, &keys[i]))
            fail(in, TORG_E_INVALID);
    }
    return count;
}

static void signing_keys_read(struct profile_reader *in, struct charter *charter)
{
    charter->signing_key_count = count_read(in, CHARTER_SIGNING_KEYS_MAX);
    for (unsigned i = 0; i < charter->signing_key_count; i++) {
        struct charter_signing_key *key = &charter->signing_keys[i];

        profile_array_of(in, PAIR_FIELDS);
        key->key_no = profile_uint(in, INTEGER_MAX);
        profile_bin_copy(in, key->key.bytes, sizeof(key->key.bytes));
        if (i && key->key_no <= charter->signing_keys[i - 1].key_no)
            fail(in, TORG_E_INVALID);
    }
}

static void collections_read(struct profile_reader *in, struct charter *charter)
{
    uint8_t count = count_read(in, COLLECTIONS_MAX - 1);
    uint64_t last = 0;

    for (unsigned i = 0; i < count; i++) {
        uint64_t collection;
        uint64_t visibility;

        profile_array_of(in, PAIR_FIELDS);
        collection = profile_uint(in, COLLECTIONS_MAX - 1);
        visibility = profile_uint(in, VISIBILITY_MEMBERS);
        if (collection <= last || visibility == VISIBILITY_LOCAL)
            fail(in, TORG_E_INVALID);
        charter->visibility[collection] = (uint8_t)visibility;
        last = collection;
    }
}

static void extra_read(struct profile_reader *in, struct charter *charter)
{
    uint32_t count = profile_map(in);

    for (uint32_t i = 0; i < count && !in->in.err; i++) {
        struct span name = profile_str(in, CHARTER_BYTES_MAX);

        if (span_equal(name, span_of_str("country")))
            charter->country = profile_str(in, CHARTER_EXTRA_BYTES_MAX);
        else if (span_equal(name, span_of_str("nationalCode")))
            charter->national_code = profile_str(in, CHARTER_EXTRA_BYTES_MAX);
        else if (span_equal(name, span_of_str("ownerKind")))
            charter->owner_kind = profile_str(in, CHARTER_EXTRA_BYTES_MAX);
        else
            profile_skip(in); /* Of a later version: signed, kept, not understood. */
    }
}

static bool numbers_fit(const struct charter *charter)
{
    static const struct hash zero;

    if (charter->threshold < 1 || charter->threshold > charter->root_key_count)
        return false;
    if (charter->epoch < 1)
        return false;
    if (charter->charter_no == 0)
        return charter->epoch == 1 && memcmp(&charter->prev, &zero, sizeof(zero)) == 0;
    return true;
}

static void who_read(struct profile_reader *in, struct charter *charter)
{
    charter->charter_no = profile_uint(in, CHARTERS_MAX - 1);
    profile_bin_copy(in, charter->prev.bytes, sizeof(charter->prev.bytes));
    charter->epoch = profile_uint(in, INTEGER_MAX);
    charter->name = profile_str(in, CHARTER_NAME_BYTES_MAX);
    charter->municipality = profile_str(in, CHARTER_MUNICIPALITY_BYTES_MAX);
}

enum torg_err charter_parse(struct span bytes, struct charter *ret_charter)
{
    struct profile_reader in = profile_reader_of(bytes);
    struct charter charter = {0};
    enum torg_err err;

    if (bytes.size > CHARTER_BYTES_MAX)
        return TORG_E_TOO_BIG;
    err = profile_check(bytes);
    if (err)
        return err;
    profile_array_of(&in, CHARTER_FIELDS);
    if (profile_uint(&in, INTEGER_MAX) != CHARTER_VERSION)
        fail(&in, TORG_E_VERSION);
    who_read(&in, &charter);
    charter.root_key_count = keys_read(&in, charter.root_keys, CHARTER_ROOT_KEYS_MAX);
    charter.threshold = (uint32_t)profile_uint(&in, CHARTER_ROOT_KEYS_MAX);
    signing_keys_read(&in, &charter);
    charter.node_key_count = keys_read(&in, charter.node_keys, CHARTER_NODE_KEYS_MAX);
    collections_read(&in, &charter);
    charter.has_catalogue = profile_peek(&in) != PROFILE_NIL;
    if (charter.has_catalogue)
        profile_bin_copy(&in, charter.catalogue.bytes, sizeof(charter.catalogue.bytes));
    else
        profile_nil(&in);
    charter.max_stale_s = profile_uint(&in, CHARTER_STALE_S_MAX);
    charter.endpoint_count = count_read(&in, CHARTER_ENDPOINTS_MAX);
    for (unsigned i = 0; i < charter.endpoint_count; i++)
        charter.endpoints[i] = profile_str(&in, CHARTER_ENDPOINT_BYTES_MAX);
    extra_read(&in, &charter);
    err = profile_end(&in);
    if (err)
        return err;
    if (!numbers_fit(&charter))
        return TORG_E_INVALID;
    *ret_charter = charter;
    return TORG_OK;
}

struct hash charter_hash(struct span charter_bytes)
{
    return seal_hash(DOMAIN_CHARTER, charter_bytes);
}

struct origin_id charter_origin(struct span charter0_bytes)
{
    struct hash hash = charter_hash(charter0_bytes);
    struct origin_id origin;

    memcpy(origin.bytes, hash.bytes, sizeof(origin.bytes));
    return origin;
}

/* ---- the signed form ---- */

void charter_signed_pack(const struct charter_signed *charter, struct buffer *out)
{
    pack_array(out, PAIR_FIELDS);
    pack_bin(out, charter->bytes.data, charter->bytes.size);
    pack_array(out, charter->signature_count);
    for (unsigned i = 0; i < charter->signature_count; i++) {
        const struct charter_signature *by = &charter->signatures[i];

        pack_array(out, PAIR_FIELDS);
        pack_bin(out, by->key.bytes, sizeof(by->key.bytes));
        pack_bin(out, by->signature.bytes, sizeof(by->signature.bytes));
    }
}

enum torg_err charter_signed_parse(struct span bytes, struct charter_signed *ret_charter)
{
    struct profile_reader in = profile_reader_of(bytes);
    struct charter_signed charter = {0};
    struct charter parsed;
    enum torg_err err;

    profile_array_of(&in, PAIR_FIELDS);
    charter.bytes = profile_bin(&in, CHARTER_BYTES_MAX);
    charter.signature_count = count_read(&in, CHARTER_SIGNATURES_MAX);
    for (unsigned i = 0; i < charter.signature_count; i++) {
        struct charter_signature *by = &charter.signatures[i];

        profile_array_of(&in, PAIR_FIELDS);
        profile_bin_copy(&in, by->key.bytes, sizeof(by->key.bytes));
        profile_bin_copy(&in, by->signature.bytes, sizeof(by->signature.bytes));
        for (unsigned j = 0; j < i; j++) {
            if (key_equal(&charter.signatures[j].key, &by->key))
                fail(&in, TORG_E_INVALID);
        }
    }
    err = profile_end(&in);
    if (err)
        return err;
    err = charter_parse(charter.bytes, &parsed);
    if (err)
        return err;
    *ret_charter = charter;
    return TORG_OK;
}

/* ---- succession ---- */

/* How many of charter's root keys have signed; the signatures were verified. */
static unsigned signers_among(const struct charter *charter, const struct charter_signed *next)
{
    unsigned count = 0;

    for (unsigned i = 0; i < next->signature_count; i++)
        count += keys_hold(charter->root_keys, charter->root_key_count, &next->signatures[i].key);
    return count;
}

/*
 * Signers are distinct (charter_signed_parse, or the caller who built it: seen
 * again here, since the threshold hangs on it).
 */
static enum torg_err signatures_count(const struct charter *before, const struct charter *charter,
                                      const struct charter_signed *next,
                                      struct charter_support *ret_support)
{
    if (next->signature_count > CHARTER_SIGNATURES_MAX)
        return TORG_E_TOO_BIG;
    for (unsigned i = 0; i < next->signature_count; i++) {
        const struct charter_signature *by = &next->signatures[i];

        for (unsigned j = 0; j < i; j++) {
            if (key_equal(&next->signatures[j].key, &by->key))
                return TORG_E_INVALID;
        }
        if (!keys_hold(charter->root_keys, charter->root_key_count, &by->key) &&
            !(before && keys_hold(before->root_keys, before->root_key_count, &by->key)))
            return TORG_E_SIGNATURE;
        if (seal_verify(DOMAIN_CHARTER, next->bytes, &by->signature, &by->key))
            return TORG_E_SIGNATURE;
    }
    *ret_support = (struct charter_support){
        .by_before = before ? signers_among(before, next) : 0,
        .by_own = signers_among(charter, next),
    };
    return TORG_OK;
}

enum torg_err charter_key_numbers_check(const struct charter *older, const struct charter *next)
{
    for (unsigned i = 0; i < next->signing_key_count; i++) {
        const struct charter_signing_key *key = &next->signing_keys[i];

        for (unsigned j = 0; j < older->signing_key_count; j++) {
            if (older->signing_keys[j].key_no == key->key_no &&
                !key_equal(&older->signing_keys[j].key, &key->key))
                return TORG_E_INVALID;
        }
    }
    return TORG_OK;
}

static enum torg_err succession_check(const struct charter *before, struct span before_bytes,
                                      const struct charter *next)
{
    struct hash hash = charter_hash(before_bytes);

    if (next->charter_no <= before->charter_no)
        return TORG_E_STALE;
    if (next->charter_no != before->charter_no + 1)
        return TORG_E_GAP;
    if (memcmp(&next->prev, &hash, sizeof(hash)))
        return TORG_E_INVALID;
    if (next->epoch != before->epoch && next->epoch != before->epoch + 1)
        return TORG_E_INVALID;
    return charter_key_numbers_check(before, next);
}

/* Everything but the thresholds; *ret_before and *ret_next borrow from the bytes. */
static enum torg_err next_check(const struct charter_signed *before,
                                const struct charter_signed *next, struct charter *ret_before,
                                struct charter *ret_next, struct charter_support *ret_support)
{
    enum torg_err err = charter_parse(next->bytes, ret_next);

    if (err)
        return err;
    if (!before)
        return ret_next->charter_no ? TORG_E_GAP
                                    : signatures_count(NULL, ret_next, next, ret_support);
    err = charter_parse(before->bytes, ret_before);
    if (!err)
        err = succession_check(ret_before, before->bytes, ret_next);
    return err ? err : signatures_count(ret_before, ret_next, next, ret_support);
}

enum torg_err charter_support_count(const struct charter_signed *before,
                                    const struct charter_signed *next,
                                    struct charter_support *ret_support)
{
    struct charter old;
    struct charter new;

    return next_check(before, next, &old, &new, ret_support);
}

enum torg_err charter_check(const struct charter_signed *before, const struct charter_signed *next)
{
    struct charter_support support;
    struct charter old;
    struct charter new;
    enum torg_err err = next_check(before, next, &old, &new, &support);

    if (err)
        return err;
    if (support.by_own < new.threshold || (before && support.by_before < old.threshold))
        return TORG_E_SIGNATURE;
    return TORG_OK;
}

enum torg_err charter_signing_key(const struct charter *charter, uint64_t key_no,
                                  struct public_key *ret_key)
{
    for (unsigned i = 0; i < charter->signing_key_count; i++) {
        if (charter->signing_keys[i].key_no == key_no) {
            *ret_key = charter->signing_keys[i].key;
            return TORG_OK;
        }
    }
    return TORG_E_SIGNATURE;
}

bool charter_has_node_key(const struct charter *charter, const struct public_key *key)
{
    return keys_hold(charter->node_keys, charter->node_key_count, key);
}
