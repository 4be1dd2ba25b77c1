/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include <string.h>
#include <zlib.h>

#include "daemon/http_gzip.h"

/* Words, so that it can be compressed; another text for each number. */
static void text_of(uint64_t number, size_t size, struct buffer *out)
{
    uint64_t seed = number;

    buffer_clear(out);
    while (out->size < size)
        buffer_printf(out, "word %u, ", (unsigned)(test_random(&seed) % 100));
    out->size = size;
}

static void unpack(const struct buffer *packed, struct buffer *out)
{
    z_stream stream = {.next_in = packed->data, .avail_in = (uInt)packed->size};

    buffer_clear(out);
    assert_int_equal(buffer_reserve(out, 1 << 20), TORG_OK);
    stream.next_out = out->data;
    stream.avail_out = 1 << 20;
    assert_int_equal(inflateInit2(&stream, 15 + 16), Z_OK);
    assert_int_equal(inflate(&stream, Z_FINISH), Z_STREAM_END);
    assert_int_equal(stream.avail_in, 0);
    out->size = stream.total_out;
    assert_int_equal(inflateEnd(&stream), Z_OK);
}

/* What is kept may be handed out for another document, or one that was pushed out be garbled. */
static void test_what_is_kept_is_the_right_document(void **state)
{
    struct buffer text = {0}, body = {0}, back = {0};
    struct http_gzip *gzip;

    (void)state;
    assert_int_equal(http_gzip_new(&gzip), TORG_OK);
    for (uint64_t i = 0; i < 4 * HTTP_GZIP_KEPT_MAX; i++) {
        uint64_t number = i % 3 ? i % (HTTP_GZIP_KEPT_MAX + 5) : i;
        size_t size = 1024 + 100 * (size_t)(number % 50);

        text_of(number, size, &text);
        for (unsigned steady = 0; steady < 3; steady++) { /* not, compressed and as kept */
            buffer_clear(&body);
            buffer_put_span(&body, buffer_span(&text));
            assert_true(http_gzip_body(gzip, &body, steady > 0));
            assert_true(body.size < text.size);
            unpack(&body, &back);
            assert_int_equal(back.size, text.size);
            assert_memory_equal(back.data, text.data, text.size);
        }
    }
    http_gzip_free(gzip);
    buffer_done(&text);
    buffer_done(&body);
    buffer_done(&back);
}

static void test_what_gets_no_smaller_stays(void **state)
{
    struct buffer noise = {0}, body = {0};
    struct http_gzip *gzip;
    uint64_t seed = 7;

    (void)state;
    assert_int_equal(http_gzip_new(&gzip), TORG_OK);
    while (noise.size < HTTP_GZIP_KEPT_BYTES_MAX + 8)
        buffer_put_u64be(&noise, test_random(&seed));
    for (unsigned i = 0; i < 6; i++) {
        static const size_t sizes[] = {0, 1, 2000, HTTP_GZIP_KEPT_BYTES_MAX + 8};
        size_t size = sizes[i % ARRAY_SIZE(sizes)];

        buffer_clear(&body);
        buffer_put(&body, noise.data, size);
        assert_false(http_gzip_body(gzip, &body, i % 2 == 0));
        assert_int_equal(body.size, size);
        assert_true(size == 0 || memcmp(body.data, noise.data, size) == 0);
        text_of(i, 3000, &body); /* The state is sound afterwards. */
        assert_true(http_gzip_body(gzip, &body, false));
    }
    http_gzip_free(gzip);
    buffer_done(&noise);
    buffer_done(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_kept_is_the_right_document),
        cmocka_unit_test(test_what_gets_no_smaller_stays),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
