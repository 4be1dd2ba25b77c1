/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_dcat.h"
#include "daemon/http_link.h"
#include "daemon/http_reply.h"

#include <stdio.h>

#include "daemon/html.h"
#include "daemon/http_words.h"

#define LANGUAGES "http://publications.europa.eu/resource/authority/language/"
#define MEDIA "https://www.iana.org/assignments/media-types/"

static const char *const tags[] = {"sv", "en"};

/* <name xml:lang="sv">text</name> in both languages. */
static void put_texts(struct buffer *out, const char *name, const char *const texts[2])
{
    for (size_t i = 0; i < ARRAY_SIZE(tags); i++) {
        buffer_printf(out, "<%s xml:lang=\"%s\">", name, tags[i]);
        html_text(out, texts[i]);
        buffer_printf(out, "</%s>\n", name);
    }
}

static void put_resource(struct buffer *out, const char *name, struct span base, const char *rest)
{
    buffer_printf(out, "<%s rdf:resource=\"", name);
    html_span(out, base);
    html_text(out, rest);
    buffer_put_str(out, "\"/>\n");
}

static void put_about(struct buffer *out, const char *name, struct span base, const char *rest)
{
    buffer_printf(out, "<%s rdf:about=\"", name);
    html_span(out, base);
    html_text(out, rest);
    buffer_put_str(out, "\">\n");
}

static void put_distribution(struct buffer *out, struct span base, const char *collection,
                             enum http_format format, const char *media)
{
    char rest[128];

    (void)snprintf(rest, sizeof(rest), "/collections/%s/items?f=%s&limit=10000", collection,
                   http_params_format_name(format));
    buffer_put_str(out, "<dcat:distribution>\n<dcat:Distribution>\n");
    put_resource(out, "dcat:accessURL", base, rest);
    put_resource(out, "dcat:mediaType", span_of_str(MEDIA), media);
    buffer_printf(out, "<dcterms:format>%s</dcterms:format>\n", media);
    put_resource(out, "dcat:accessService", base, "#service");
    buffer_put_str(out, "</dcat:Distribution>\n</dcat:distribution>\n");
}

static void put_dataset(struct buffer *out, struct span base, struct span root, uint8_t collection)
{
    const struct http_words_collection *words = http_words_collection(collection);
    const char *name = collection_name(collection);
    char rest[64];

    (void)snprintf(rest, sizeof(rest), "/collections/%s", name);
    put_about(out, "dcat:Dataset", base, rest);
    put_texts(out, "dcterms:title", words->title);
    put_texts(out, "dcterms:description", words->description);
    put_resource(out, "dcterms:publisher", root, "/#publisher");
    buffer_printf(out, "<dcterms:identifier>%s</dcterms:identifier>\n", name);
    put_resource(out, "dcterms:accessRights",
                 span_of_str("http://publications.europa.eu/resource/authority/access-right/"),
                 "PUBLIC");
    put_resource(out, "dcat:landingPage", base, rest);
    put_distribution(out, base, name, HTTP_FORMAT_GEOJSON, "application/geo+json");
    put_distribution(out, base, name, HTTP_FORMAT_CSV, "text/csv");
    buffer_put_str(out, "</dcat:Dataset>\n");
}

static void put_catalogue(struct buffer *out, struct span base, struct span root, const char *name)
{
    static const char *const description[] = {
        "Det som finns nära: uppgifter från förbundna kommuner, var och en från sin egen källa.",
        "What is near: listings of federated municipalities, each from its own origin.",
    };
    const char *const title[] = {name, name};
    char rest[64];

    put_about(out, "dcat:Catalog", root, "/datasets/dcat");
    put_texts(out, "dcterms:title", title);
    put_texts(out, "dcterms:description", description);
    put_resource(out, "dcterms:publisher", root, "/#publisher");
    put_resource(out, "dcterms:language", span_of_str(LANGUAGES), "SWE");
    put_resource(out, "dcterms:language", span_of_str(LANGUAGES), "ENG");
    put_resource(out, "foaf:homepage", root, "/");
    for (uint8_t i = 1; i < COLLECTIONS_MAX; i++) {
        (void)snprintf(rest, sizeof(rest), "/collections/%s",
                       COLLECTION_MASK_PUBLIC >> i & 1 ? collection_name(i) : "");
        if (COLLECTION_MASK_PUBLIC >> i & 1)
            put_resource(out, "dcat:dataset", base, rest);
    }
    put_resource(out, "dcat:service", base, "#service");
    buffer_put_str(out, "</dcat:Catalog>\n");
}

static void put_service(struct buffer *out, struct span base, struct span root, const char *name)
{
    static const char *const description[] = {
        "OGC API - Features med sökning efter det som är närmast.",
        "OGC API - Features, with search for what is nearest.",
    };
    const char *const title[] = {name, name};

    put_about(out, "foaf:Agent", root, "/#publisher");
    buffer_put_str(out, "<foaf:name>");
    html_text(out, name);
    buffer_put_str(out, "</foaf:name>\n</foaf:Agent>\n");
    put_about(out, "dcat:DataService", base, "#service");
    put_texts(out, "dcterms:title", title);
    put_texts(out, "dcterms:description", description);
    put_resource(out, "dcterms:publisher", root, "/#publisher");
    put_resource(out, "dcat:endpointURL", base, "");
    put_resource(out, "dcat:endpointDescription", base, "/api");
    for (uint8_t i = 1; i < COLLECTIONS_MAX; i++) {
        char rest[64];

        if (!(COLLECTION_MASK_PUBLIC >> i & 1))
            continue;
        (void)snprintf(rest, sizeof(rest), "/collections/%s", collection_name(i));
        put_resource(out, "dcat:servesDataset", base, rest);
    }
    buffer_put_str(out, "</dcat:DataService>\n");
}

enum torg_err http_dcat(struct http_exchange *exchange)
{
    struct buffer *out = &exchange->reply.body;
    const char *name = exchange->node->config->name;
    struct buffer base = {0}, root = {0};
    enum torg_err err;

    http_link_put_base(exchange, &base);
    http_link_put_root(exchange, &root);
    http_reply_begin(exchange, 200, "application/rdf+xml; charset=utf-8");
    exchange->reply.cache = "public, max-age=3600";
    buffer_put_str(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<rdf:RDF "
                        "xmlns:rdf=\"http://www.w3.org/1999/02/22-rdf-syntax-ns#\" "
                        "xmlns:dcat=\"http://www.w3.org/ns/dcat#\" "
                        "xmlns:dcterms=\"http://purl.org/dc/terms/\" "
                        "xmlns:foaf=\"http://xmlns.com/foaf/0.1/\">\n");
    put_catalogue(out, buffer_span(&base), buffer_span(&root), name);
    put_service(out, buffer_span(&base), buffer_span(&root), name);
    for (uint8_t i = 1; i < COLLECTIONS_MAX; i++) {
        if (COLLECTION_MASK_PUBLIC >> i & 1)
            put_dataset(out, buffer_span(&base), buffer_span(&root), i);
    }
    buffer_put_str(out, "</rdf:RDF>\n");
    err = base.err ? base.err : root.err ? root.err : out->err;
    buffer_done(&base);
    buffer_done(&root);
    return err;
}
