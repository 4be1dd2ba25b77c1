/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>
#include <string.h>

#include "protocol/charter.h"
#include "protocol/profile.h"

/*
 * A charter that parses can be packed again: to the same bytes, but for what
 * this version does not know in extra, at the end.
 */
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return seal_init();
}

/* The bytes before extra, the last of the charter's fields. */
static struct span before_extra(struct span bytes)
{
    struct profile_reader in = profile_reader_of(bytes);
    uint32_t fields = profile_array(&in);

    for (uint32_t i = 1; i < fields; i++)
        profile_skip(&in);
    assert(!in.in.err);
    return span_of(bytes.data, (size_t)(in.in.at - bytes.data));
}

static void check_charter(struct span bytes)
{
    struct charter charter;
    struct charter again;
    struct buffer out = {0};

    if (charter_parse(bytes, &charter))
        return;
    assert(!profile_check(bytes));
    assert(!charter_pack(&charter, &out));
    assert(span_equal(before_extra(buffer_span(&out)), before_extra(bytes)));
    assert(!charter_parse(buffer_span(&out), &again));
    assert(span_equal(again.country, charter.country));
    assert(span_equal(again.owner_kind, charter.owner_kind));
    assert(span_equal(again.national_code, charter.national_code));
    buffer_done(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct span bytes = span_of(data, size);
    struct charter_signed charter;
    struct buffer out = {0};

    check_charter(bytes);
    if (charter_signed_parse(bytes, &charter))
        return 0;
    charter_signed_pack(&charter, &out);
    assert(!out.err && span_equal(buffer_span(&out), bytes));
    buffer_done(&out);
    check_charter(charter.bytes);
    (void)!charter_check(NULL, &charter);
    (void)!charter_check(&charter, &charter);
    return 0;
}
