/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/change.h"

#include "protocol/profile.h"
#include "protocol/seal.h"
#include "tests/support/test.h"
#include "tests/support/vectors.h"

static struct change_header example_header(void)
{
    struct change_header header = {
        .seq = 1,
        .collection = COLLECTION_OFFERS,
        .op = CHANGE_UPSERT,
        .ts_ms = INT64_C(1790000000000),
        .payload_size = 65,
    };

    for (uint8_t i = 0; i < 16; i++)
        header.id.bytes[i] = (uint8_t)(16 + i);
    return header;
}

static void example_body(struct buffer *out)
{
    pack_map(out, 2);
    pack_str(out, span_of_str("geometry"));
    pack_array(out, 2);
    pack_str(out, span_of_str("Point"));
    pack_array(out, 2);
    pack_int(out, 179000000);
    pack_int(out, 660500000);
    pack_str(out, span_of_str("name"));
    pack_map(out, 1);
    pack_str(out, span_of_str("sv"));
    pack_str(out, span_of_str("Röding"));
}

/* A byte that differs here makes this program the only one that speaks its language. */
static void test_vectors(void **state)
{
    static const uint8_t nonce[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    struct change_header header = example_header();
    struct change_header parsed_header;
    struct payload parsed_payload;
    struct buffer body = {0};
    struct buffer payload = {0};
    struct buffer bytes = {0};
    struct listing_key key = listing_key_of(&header.id);
    struct hash hash;

    (void)state;
    example_body(&body);
    payload_pack(nonce, PAYLOAD_SCHEMA, buffer_span(&body), &payload);
    assert_vector(buffer_span(&payload), "payload");
    header.payload_hash = payload_hash(buffer_span(&payload));
    assert_vector(span_of(&header.payload_hash, 32), "payload-hash");
    change_header_pack(&header, &bytes);
    assert_vector(buffer_span(&bytes), "header");
    hash = change_header_hash(buffer_span(&bytes));
    assert_vector(span_of(&hash, 32), "header-hash");
    assert_vector(span_of(&key, 16), "listing-key");

    assert_ok(payload_parse(buffer_span(&payload), &parsed_payload));
    assert_memory_equal(parsed_payload.nonce, nonce, sizeof(nonce));
    assert_true(span_equal(parsed_payload.body, buffer_span(&body)));
    assert_ok(change_header_parse(buffer_span(&bytes), &parsed_header));
    assert_memory_equal(&parsed_header.id, &header.id, sizeof(header.id));
    assert_true(parsed_header.ts_ms == header.ts_ms);
    assert_ok(change_payload_check(&parsed_header, buffer_span(&payload)));
    buffer_done(&body);
    buffer_done(&payload);
    buffer_done(&bytes);
}

static void test_vector_of_a_delete(void **state)
{
    struct change_header header = example_header();
    struct change_header parsed;
    struct buffer bytes = {0};
    struct hash hash;

    (void)state;
    header.seq = 2;
    header.op = CHANGE_DELETE;
    header.ts_ms++;
    header.payload_size = 0;
    change_header_pack(&header, &bytes);
    assert_vector(buffer_span(&bytes), "header-of-delete");
    hash = change_header_hash(buffer_span(&bytes));
    assert_vector(span_of(&hash, 32), "header-of-delete-hash");
    assert_ok(change_header_parse(buffer_span(&bytes), &parsed));
    assert_ok(change_payload_check(&parsed, (struct span){0}));
    assert_err(change_payload_check(&parsed, span_of_str("x")), TORG_E_MISMATCH);
    buffer_done(&bytes);
}

/* The fields of a header as numbers, to write what the packer would refuse. */
struct raw_header {
    int64_t fields, seq, collection, id_size, op, ts_ms, flags, payload_size, hash_byte;
};

static enum torg_err raw_parse(const struct raw_header *raw, struct change_header *ret_header)
{
    uint8_t bytes[64];
    struct buffer out = {0};
    enum torg_err err;

    pack_array(&out, (uint32_t)raw->fields);
    pack_int(&out, raw->seq);
    pack_int(&out, raw->collection);
    memset(bytes, 1, sizeof(bytes));
    pack_bin(&out, bytes, (size_t)raw->id_size);
    pack_int(&out, raw->op);
    pack_int(&out, raw->ts_ms);
    pack_int(&out, raw->flags);
    pack_int(&out, raw->payload_size);
    memset(bytes, (int)raw->hash_byte, sizeof(bytes));
    pack_bin(&out, bytes, 32);
    err = change_header_parse(buffer_span(&out), ret_header);
    buffer_done(&out);
    return err;
}

static void test_header_rules(void **state)
{
    static const struct {
        struct raw_header raw;
        enum torg_err err;
    } cases[] = {
        {{8, 1, 2, 16, 1, 0, 0, 1, 5}, TORG_OK},
        {{8, INTEGER_MAX, 31, 16, 1, INTEGER_MAX, 255, 65536, 5}, TORG_OK},
        {{8, 1, 2, 16, 1, -INTEGER_MAX, 0, 1, 5}, TORG_OK},
        {{8, 1, 2, 16, 1, 0, 0, 1, 0}, TORG_OK}, /* a hash may be anything */
        {{8, 1, 2, 16, 2, 0, 0, 0, 0}, TORG_OK},
        {{8, 0, 2, 16, 1, 0, 0, 1, 5}, TORG_E_INVALID},     /* seq 0 */
        {{8, -1, 2, 16, 1, 0, 0, 1, 5}, TORG_E_INVALID},    /* seq negative */
        {{8, 1, 0, 16, 1, 0, 0, 1, 5}, TORG_E_INVALID},     /* collection 0 */
        {{8, 1, 32, 16, 1, 0, 0, 1, 5}, TORG_E_INVALID},    /* collection 32 */
        {{8, 1, 2, 15, 1, 0, 0, 1, 5}, TORG_E_INVALID},     /* short id */
        {{8, 1, 2, 17, 1, 0, 0, 1, 5}, TORG_E_INVALID},     /* long id */
        {{8, 1, 2, 16, 0, 0, 0, 1, 5}, TORG_E_INVALID},     /* op 0 */
        {{8, 1, 2, 16, 3, 0, 0, 1, 5}, TORG_E_INVALID},     /* op 3 */
        {{8, 1, 2, 16, 1, 0, 256, 1, 5}, TORG_E_INVALID},   /* flags */
        {{8, 1, 2, 16, 1, 0, 0, 0, 5}, TORG_E_INVALID},     /* an upsert of nothing */
        {{8, 1, 2, 16, 1, 0, 0, 65537, 5}, TORG_E_INVALID}, /* too long a payload */
        {{8, 1, 2, 16, 2, 0, 0, 1, 0}, TORG_E_INVALID},     /* a delete with a payload */
        {{8, 1, 2, 16, 2, 0, 0, 0, 5}, TORG_E_INVALID},     /* or with a hash */
        {{7, 1, 2, 16, 1, 0, 0, 1, 5}, TORG_E_INVALID},     /* a field less */
    };
    struct change_header header;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        enum torg_err err = raw_parse(&cases[i].raw, &header);

        if (err != cases[i].err)
            fail_msg("case %zu: %s", i, torg_err_text(err));
    }
}

/* A stranger's bytes, cut anywhere or with something behind them. */
static void test_header_is_all_of_its_bytes(void **state)
{
    struct buffer bytes = {0};
    struct change_header header;
    uint8_t big[HEADER_BYTES_MAX + 1] = {0x98};

    (void)state;
    vector_read("header", &bytes);
    for (size_t size = 0; size < bytes.size; size++)
        assert_true(change_header_parse(span_of(bytes.data, size), &header) != TORG_OK);
    buffer_put_u8(&bytes, 0);
    assert_err(change_header_parse(buffer_span(&bytes), &header), TORG_E_PROFILE);
    assert_err(change_header_parse(span_of(big, sizeof(big)), &header), TORG_E_TOO_BIG);
    buffer_done(&bytes);
}

static void test_longest_header_fits(void **state)
{
    struct change_header header = {
        .seq = INTEGER_MAX,
        .collection = 31,
        .op = CHANGE_UPSERT,
        .ts_ms = -INTEGER_MAX,
        .flags = 255,
        .payload_size = PAYLOAD_BYTES_MAX,
    };
    struct buffer bytes = {0};

    (void)state;
    change_header_pack(&header, &bytes);
    assert_int_equal(bytes.size, 80);
    assert_ok(change_header_parse(buffer_span(&bytes), &header));
    buffer_done(&bytes);
}

static void test_payload_rules(void **state)
{
    static uint8_t big[PAYLOAD_BYTES_MAX + 1];
    struct buffer payload = {0};
    struct payload parsed;
    uint8_t nonce[16] = {0};

    (void)state;
    assert_err(payload_parse((struct span){0}, &parsed), TORG_E_TRUNCATED);
    assert_err(payload_parse(span_of(big, sizeof(big)), &parsed), TORG_E_TOO_BIG);
    payload_pack(nonce, 0, span_of("\x80", 1), &payload);
    assert_ok(payload_parse(buffer_span(&payload), &parsed));
    assert_int_equal(parsed.schema, 0);
    buffer_clear(&payload);
    payload_pack(nonce, 1, span_of("\x90", 1), &payload); /* the body is no map */
    assert_err(payload_parse(buffer_span(&payload), &parsed), TORG_E_INVALID);
    buffer_clear(&payload);
    payload_pack(nonce, 1, span_of("\x82\xa1z\x01\xa1\x61\x01", 7), &payload); /* unsorted */
    assert_err(payload_parse(buffer_span(&payload), &parsed), TORG_E_PROFILE);
    buffer_clear(&payload);
    payload_pack(nonce, 1, span_of("\x80\x80", 2), &payload);
    assert_err(payload_parse(buffer_span(&payload), &parsed), TORG_E_PROFILE);
    buffer_clear(&payload);
    pack_array(&payload, 3);
    pack_bin(&payload, nonce, 15);
    pack_uint(&payload, 1);
    pack_map(&payload, 0);
    assert_err(payload_parse(buffer_span(&payload), &parsed), TORG_E_INVALID);
    buffer_done(&payload);
}

static void test_payload_check_compares_length_and_hash(void **state)
{
    struct buffer payload = {0};
    struct buffer bytes = {0};
    struct change_header header;

    (void)state;
    vector_read("header", &bytes);
    vector_read("payload", &payload);
    assert_ok(change_header_parse(buffer_span(&bytes), &header));
    assert_err(change_payload_check(&header, (struct span){0}), TORG_E_MISMATCH);
    assert_err(change_payload_check(&header, span_of(payload.data, 64)), TORG_E_MISMATCH);
    payload.data[64] ^= 1;
    assert_err(change_payload_check(&header, buffer_span(&payload)), TORG_E_MISMATCH);
    payload.data[64] ^= 1;
    assert_ok(change_payload_check(&header, buffer_span(&payload)));
    buffer_done(&payload);
    buffer_done(&bytes);
}

static int setup(void **state)
{
    (void)state;
    return seal_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_vector_of_a_delete),
        cmocka_unit_test(test_header_rules),
        cmocka_unit_test(test_header_is_all_of_its_bytes),
        cmocka_unit_test(test_longest_header_fits),
        cmocka_unit_test(test_payload_rules),
        cmocka_unit_test(test_payload_check_compares_length_and_hash),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
