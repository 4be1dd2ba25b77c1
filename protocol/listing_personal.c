/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/listing_personal.h"

#include "protocol/listing.h"
#include "protocol/profile.h"

static bool is_personal(struct span name)
{
    const struct listing_property *property = listing_property_find(name);

    return property && property->personal;
}

enum torg_err listing_hide_personal(struct span body, struct buffer *out)
{
    struct profile_reader in = profile_reader_of(body);
    uint32_t count = profile_map(&in), kept = 0;
    struct buffer members = {0};
    enum torg_err err;

    for (uint32_t i = 0; i < count && !in.in.err; i++) {
        struct profile_reader at = in;
        struct span name = profile_str(&in, body.size);
        struct span value = profile_skip(&in);

        if (in.in.err || is_personal(name))
            continue;
        buffer_put_span(&members, profile_skip(&at));
        buffer_put_span(&members, value);
        kept++;
    }
    err = in.in.err ? TORG_E_INVALID : members.err;
    if (!err) {
        pack_map(out, kept);
        buffer_put_span(out, buffer_span(&members));
        err = out->err;
    }
    buffer_done(&members);
    return err;
}
