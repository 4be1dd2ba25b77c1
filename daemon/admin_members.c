/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/admin_members.h"

#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/http_reply.h"
#include "daemon/json_out.h"
#include "daemon/log.h"
#include "index/store.h"
#include "protocol/change.h"
#include "protocol/listing_geojson.h"
#include "protocol/member.h"

/* ---- reading ---- */

/* The entries of one page; key is where it ended. */
struct page {
    const struct origin_id *own;
    struct buffer *out;
    size_t count;
    bool more;
    struct listing_key next;
    enum torg_err err;
};

static enum torg_err put_entry(struct buffer *out, const struct origin_id *own,
                               const struct listing_id *id, struct span payload_bytes)
{
    struct listing_meta meta = {.collection = COLLECTION_MEMBERS, .origin = *own, .id = *id};
    struct buffer feature = {0};
    struct payload payload;
    enum torg_err err = payload_parse(payload_bytes, &payload);

    if (!err)
        err = listing_put_geojson(&meta, payload.body, &feature);
    if (!err)
        json_out_raw(out, NULL, buffer_span(&feature));
    buffer_done(&feature);
    return err ? err : out->err;
}

static bool page_visit(void *context, const struct listing_key *key, struct span header_bytes,
                       struct span payload)
{
    struct page *page = context;
    struct change_header header;
    struct member member;

    if (member_read(key, header_bytes, payload, &member) ||
        change_header_parse(header_bytes, &header))
        return true;
    if (page->count == ADMIN_MEMBERS_PAGE) {
        page->more = true;
        page->next = *key;
        return false;
    }
    page->count++;
    page->err = put_entry(page->out, page->own, &header.id, payload);
    return page->err == TORG_OK;
}

static enum torg_err put_page(struct http_exchange *exchange, const struct kv *kv,
                              const struct listing_key *from)
{
    struct buffer *out = &exchange->reply.body;
    struct page page = {.own = &exchange->node->own, .out = out};
    char after[2 * sizeof(page.next.bytes) + 1];
    struct replica_origin origin;
    enum torg_err err = replica_origin_get(kv, &exchange->node->own, &origin);

    http_reply_begin(exchange, 200, "application/json");
    exchange->reply.cache = "no-store";
    json_out_begin(out, NULL, '{');
    json_out_begin(out, "members", '[');
    if (!err)
        err = replica_listings(kv, origin.number, COLLECTION_MEMBERS, from, page_visit, &page);
    json_out_end(out, ']');
    if (page.more) {
        hex_encode(page.next.bytes, sizeof(page.next.bytes), after);
        json_out_text(out, "after", after);
    }
    json_out_end(out, '}');
    buffer_put_str(out, "\n");
    return err ? err : page.err ? page.err : out->err;
}

/* Hex digits of the path; false: a reply says that there is nothing. */
static bool read_hex(struct http_exchange *exchange, void *out, size_t size)
{
    char text[65];

    if (exchange->captures[0].size == 2 * size && 2 * size < sizeof(text)) {
        memcpy(text, exchange->captures[0].data, 2 * size);
        text[2 * size] = '\0';
        if (hex_decode(text, out, size) == TORG_OK)
            return true;
    }
    http_reply_problem(exchange, 404, NULL, "%zu hex digits are expected at the end of the path.",
                       2 * size);
    return false;
}

enum torg_err admin_members_get(struct http_exchange *exchange)
{
    struct listing_key from = {{0}};
    struct kv kv;
    enum torg_err err;

    if (exchange->captures[0].size && !read_hex(exchange, from.bytes, sizeof(from.bytes)))
        return TORG_OK;
    err = store_read_begin(exchange->node->store, &kv);
    if (err)
        return err;
    err = put_page(exchange, &kv, &from);
    store_read_end(&kv);
    return err;
}

static void reply_unknown(struct http_exchange *exchange)
{
    http_reply_problem(exchange, 404, NULL, "This municipality lists no such member.");
}

/* The payload of the entry as it stands, borrowed from kv. */
static enum torg_err entry_find(const struct http_exchange *exchange, const struct kv *kv,
                                const struct listing_id *id, struct span *ret_payload)
{
    struct listing_key key = listing_key_of(id);
    struct replica_origin origin;
    struct span header;
    enum torg_err err = replica_origin_get(kv, &exchange->node->own, &origin);

    if (!err)
        err =
            replica_listing_get(kv, origin.number, COLLECTION_MEMBERS, &key, &header, ret_payload);
    return !err && ret_payload->size == 0 ? TORG_E_NOT_FOUND : err;
}

static enum torg_err reply_entry(struct http_exchange *exchange, const struct listing_id *id)
{
    struct buffer *out = &exchange->reply.body;
    struct span payload;
    struct kv kv;
    enum torg_err err = store_read_begin(exchange->node->store, &kv);

    if (err)
        return err;
    err = entry_find(exchange, &kv, id, &payload);
    if (!err) {
        http_reply_begin(exchange, 200, "application/geo+json");
        exchange->reply.cache = "no-store";
        err = put_entry(out, &exchange->node->own, id, payload);
        buffer_put_str(out, "\n");
    }
    store_read_end(&kv);
    return err;
}

enum torg_err admin_members_get_one(struct http_exchange *exchange)
{
    struct origin_id member;
    struct listing_id id;
    enum torg_err err;

    if (!read_hex(exchange, member.bytes, sizeof(member.bytes)))
        return TORG_OK;
    id = member_listing_id(&member);
    err = reply_entry(exchange, &id);
    if (err == TORG_E_NOT_FOUND)
        reply_unknown(exchange);
    return err == TORG_E_NOT_FOUND ? TORG_OK : err;
}

/* ---- writing ---- */

/* One change while the writer has it; exchange->state. */
struct change {
    struct origin_id member;
    struct listing_id id;
    bool deletes;
};

static enum torg_err is_listed(void *context, const struct kv *kv)
{
    const struct http_exchange *exchange = context;
    const struct change *change = exchange->state;
    struct span payload;

    return change->deletes ? entry_find(exchange, kv, &change->id, &payload) : TORG_OK;
}

static void on_written(void *context, const struct writer_result *result)
{
    struct http_exchange *exchange = context;
    struct change *change = exchange->state;
    enum torg_err err = result->err;
    char hex[2 * sizeof(change->member.bytes) + 1];

    if (!err && change->deletes)
        exchange->reply.status = 204;
    else if (!err)
        err = reply_entry(exchange, &change->id);
    if (err == TORG_E_NOT_FOUND)
        reply_unknown(exchange);
    else if (err)
        http_reply_error(exchange, err);
    hex_encode(change->member.bytes, sizeof(change->member.bytes), hex);
    if (!result->err)
        log_event(LOG_INFO, change->deletes ? "member.removed" : "member.written",
                  "member=%s hno=%llu", hex, (unsigned long long)result->hno);
    exchange->state = NULL;
    free(change);
    http_exchange_finish(exchange);
}

static enum torg_err submit(struct http_exchange *exchange, const struct origin_id *member,
                            struct span payload)
{
    struct change *change = calloc(1, sizeof(*change));
    struct local_change local = {.collection = COLLECTION_MEMBERS, .payload = payload};
    enum torg_err err;

    if (!change)
        return TORG_E_NOMEM;
    change->member = *member;
    change->id = member_listing_id(member);
    change->deletes = payload.size == 0;
    local.id = change->id;
    exchange->state = change;
    exchange->pending = true;
    err = writer_submit_local(exchange->node->writer, &local, 1, is_listed,
                              http_exchange_loop(exchange), on_written, exchange);
    if (err) {
        exchange->pending = false;
        exchange->state = NULL;
        free(change);
    }
    return err;
}

/* Only what the charter names can be published, and when the entry was first made. */
static enum torg_err read_before(struct http_exchange *exchange, const struct listing_id *id,
                                 bool *ret_published, int64_t *ret_created_ms)
{
    struct replica_origin origin;
    struct listing_fields fields;
    struct charter charter;
    struct payload payload;
    struct span bytes;
    struct kv kv;
    enum torg_err err = store_read_begin(exchange->node->store, &kv);

    if (err)
        return err;
    err = replica_origin_get(&kv, &exchange->node->own, &origin);
    if (!err)
        err = replica_charter_load(&kv, origin.number, origin.charter_no, NULL, &charter);
    if (!err) {
        *ret_published = charter.visibility[COLLECTION_MEMBERS] != VISIBILITY_LOCAL;
        if (!entry_find(exchange, &kv, id, &bytes) && !payload_parse(bytes, &payload) &&
            !listing_fields_read(COLLECTION_MEMBERS, payload.body, &fields) && fields.created_ms)
            *ret_created_ms = fields.created_ms;
    }
    store_read_end(&kv);
    return err;
}

/* The path says whom it is about, whatever the body does. */
static enum torg_err pack_entry(struct http_exchange *exchange, json_t *feature, int64_t created_ms,
                                struct buffer *ret_payload)
{
    json_t *properties = json_object_get(feature, "properties");
    struct problems *problems = calloc(1, sizeof(*problems));
    struct buffer body = {0};
    uint8_t nonce[16];
    enum torg_err err = TORG_OK;

    if (!problems)
        return TORG_E_NOMEM;
    if (json_is_object(properties) &&
        json_object_set_new(
            properties, "member",
            json_stringn((const char *)exchange->captures[0].data, exchange->captures[0].size)))
        err = TORG_E_NOMEM;
    if (!err)
        err = listing_of_geojson(COLLECTION_MEMBERS, feature, NULL, created_ms, exchange->now_ms,
                                 &body, problems);
    if (err == TORG_E_INVALID)
        http_reply_problems(exchange, 422, "invalid-listing",
                            "The entry was not stored: errors names every field to mend.",
                            problems);
    if (!err) {
        randombytes_buf(nonce, sizeof(nonce));
        payload_pack(nonce, PAYLOAD_SCHEMA, buffer_span(&body), ret_payload);
        err = ret_payload->err;
    }
    buffer_done(&body);
    free(problems);
    return err;
}

static enum torg_err put_feature(struct http_exchange *exchange, const struct origin_id *member,
                                 json_t *feature)
{
    struct listing_id id = member_listing_id(member);
    int64_t created_ms = exchange->now_ms;
    struct buffer payload = {0};
    bool published = false;
    enum torg_err err = read_before(exchange, &id, &published, &created_ms);

    if (err)
        return err;
    if (!published) {
        http_reply_problem(exchange, 409, "not-published",
                           "The charter of this municipality does not publish members: torg "
                           "charter new --visibility members=public.");
        return TORG_OK;
    }
    err = pack_entry(exchange, feature, created_ms, &payload);
    if (!err)
        err = submit(exchange, member, buffer_span(&payload));
    buffer_done(&payload);
    return err == TORG_E_INVALID ? TORG_OK : err;
}

enum torg_err admin_members_put(struct http_exchange *exchange)
{
    char message[200] = "";
    struct origin_id member;
    json_t *feature;
    enum torg_err err;

    if (!read_hex(exchange, member.bytes, sizeof(member.bytes)))
        return TORG_OK;
    err = listing_json_parse(buffer_span(&exchange->body), &feature, message, sizeof(message));
    if (err == TORG_E_INVALID || err == TORG_E_TOO_BIG) {
        http_reply_problem(exchange, 400, "invalid-json", "The body is no JSON: %s", message);
        return TORG_OK;
    }
    if (err)
        return err;
    err = put_feature(exchange, &member, feature);
    json_decref(feature);
    return err;
}

enum torg_err admin_members_delete(struct http_exchange *exchange)
{
    struct origin_id member;

    if (!read_hex(exchange, member.bytes, sizeof(member.bytes)))
        return TORG_OK;
    return submit(exchange, &member, (struct span){0});
}
