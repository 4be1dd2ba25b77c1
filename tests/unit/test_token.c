/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "index/store.h"
#include "index/token.h"
#include "protocol/seal.h"

/* A token that another token's text, or a part of it, opens would let anybody publish. */

struct fixture {
    char directory[64];
    struct store *store;
    struct kv kv;
};

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct store_options options = store_options_default();

    assert_non_null(f);
    (void)snprintf(f->directory, sizeof(f->directory), "/tmp/test_token.XXXXXX");
    assert_non_null(mkdtemp(f->directory));
    assert_ok(seal_init());
    options.map_bytes = 16 << 20;
    assert_ok(store_open(f->directory, &options, &f->store));
    assert_ok(store_write_begin(f->store, &f->kv));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    static const char *const files[] = {"torg.mdb", "torg.mdb-lock", "torg.lock", "torg.journal"};
    char path[128];

    store_write_abort(&f->kv);
    store_close(f->store);
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", f->directory, files[i]);
        (void)unlink(path);
    }
    (void)rmdir(f->directory);
    free(f);
    return 0;
}

static struct token put(struct fixture *f, uint8_t seed, const char *label, char *text)
{
    uint8_t secret[TOKEN_SECRET_BYTES];
    struct token token;

    memset(secret, seed, sizeof(secret));
    token_text(secret, text);
    assert_int_equal(strlen(text), TOKEN_TEXT_SIZE);
    assert_ok(token_put(&f->kv, text, TOKEN_ROLE_EDITOR, NULL, span_of_str(label), 1790000000000,
                        &token));
    return token;
}

static void test_only_the_whole_text_opens(void **state)
{
    char text[TOKEN_TEXT_SIZE + 1];
    struct token made = put(*state, 7, "Näringslivskontoret", text);
    struct token found;
    struct fixture *f = *state;

    assert_ok(token_find(&f->kv, span_of_str(text), &found));
    assert_string_equal(found.label, "Näringslivskontoret");
    assert_string_equal(found.id, made.id);
    assert_int_equal(found.role, TOKEN_ROLE_EDITOR);
    assert_int_equal(found.created_ms, 1790000000000);
    for (size_t i = 0; i < TOKEN_TEXT_SIZE; i++) {
        text[i] ^= 1;
        assert_err(token_find(&f->kv, span_of_str(text), &found), TORG_E_NOT_FOUND);
        text[i] ^= 1;
    }
    assert_err(token_find(&f->kv, span_of(text, TOKEN_TEXT_SIZE - 1), &found), TORG_E_NOT_FOUND);
    assert_err(token_find(&f->kv, (struct span){0}, &found), TORG_E_NOT_FOUND);
    assert_err(token_find(&f->kv, span_of_str(made.id), &found), TORG_E_NOT_FOUND);
}

/* What the store holds must not be the token. */
static void test_the_text_is_not_stored(void **state)
{
    char text[TOKEN_TEXT_SIZE + 1];
    uint8_t secret[TOKEN_SECRET_BYTES];
    struct fixture *f = *state;
    struct kv_cursor *cursor;
    struct span key;
    struct span value;

    put(f, 9, "label", text);
    memset(secret, 9, sizeof(secret));
    assert_ok(kv_cursor_open(&f->kv, KV_TOKEN, &cursor));
    assert_ok(kv_cursor_seek(&f->kv, cursor, span_of("", 1), &key, &value));
    assert_null(memmem(key.data, key.size, secret, 4));
    assert_null(memmem(value.data, value.size, secret, 4));
    assert_null(memmem(value.data, value.size, text + 5, 8));
    kv_cursor_close(&f->kv, cursor);
}

static bool collect(void *context, const struct token *token)
{
    char *labels = context;

    labels[strlen(labels)] = token->label[0];
    return true;
}

static void test_delete_by_id(void **state)
{
    char text[3][TOKEN_TEXT_SIZE + 1];
    struct fixture *f = *state;
    struct token a = put(f, 1, "a", text[0]);
    struct token b = put(f, 2, "b", text[1]);
    struct token found;
    char labels[64] = "";

    put(f, 3, "c", text[2]);
    assert_string_not_equal(a.id, b.id);
    assert_ok(token_delete(&f->kv, span_of_str(b.id)));
    assert_err(token_delete(&f->kv, span_of_str(b.id)), TORG_E_NOT_FOUND);
    assert_err(token_delete(&f->kv, span_of_str("0000")), TORG_E_INVALID);
    assert_err(token_delete(&f->kv, span_of_str("zzzzzzzzzzzzzzzz")), TORG_E_INVALID);
    assert_err(token_find(&f->kv, span_of_str(text[1]), &found), TORG_E_NOT_FOUND);
    assert_ok(token_find(&f->kv, span_of_str(text[0]), &found));
    assert_ok(token_each(&f->kv, collect, labels));
    assert_int_equal(strlen(labels), 2);
    assert_non_null(strchr(labels, 'a'));
    assert_non_null(strchr(labels, 'c'));
}

static void test_labels_and_roles(void **state)
{
    static const struct span refused[] = {
        {(const uint8_t *)"", 0}, {(const uint8_t *)"a\nb", 3}, {(const uint8_t *)"\xff", 1}};
    struct fixture *f = *state;
    uint8_t secret[TOKEN_SECRET_BYTES] = {0};
    char text[TOKEN_TEXT_SIZE + 1];
    char longest[TOKEN_LABEL_BYTES_MAX + 2];
    enum token_role role;
    struct token token;

    token_text(secret, text);
    memset(longest, 'x', sizeof(longest));
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
        assert_err(token_put(&f->kv, text, TOKEN_ROLE_ADMIN, NULL, refused[i], 0, &token),
                   TORG_E_INVALID);
    assert_err(token_put(&f->kv, text, TOKEN_ROLE_ADMIN, NULL,
                         span_of(longest, TOKEN_LABEL_BYTES_MAX + 1), 0, &token),
               TORG_E_INVALID);
    assert_ok(token_put(&f->kv, text, TOKEN_ROLE_ADMIN, NULL,
                        span_of(longest, TOKEN_LABEL_BYTES_MAX), 0, &token));
    assert_ok(token_role_parse(span_of_str("admin"), &role));
    assert_int_equal(role, TOKEN_ROLE_ADMIN);
    assert_err(token_role_parse(span_of_str("root"), &role), TORG_E_INVALID);
    assert_string_equal(token_role_name(TOKEN_ROLE_EDITOR), "editor");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_only_the_whole_text_opens, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_the_text_is_not_stored, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_delete_by_id, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_labels_and_roles, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
