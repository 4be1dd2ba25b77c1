/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/listing_csv.h"
#include "protocol/listing_geojson.h"
#include "protocol/profile.h"
#include "tests/support/listing_random.h"
#include "tests/support/test.h"

#define CREATED_MS INT64_C(1790000000000)

static struct problems problems;

static void assert_record(struct csv_reader *csv, size_t line, size_t count,
                          const char *const *fields)
{
    assert_ok(csv_reader_next(csv));
    assert_int_equal(csv->line, line);
    assert_int_equal(csv->field_count, count);
    for (size_t i = 0; i < count; i++) {
        if (!span_equal(csv->fields[i], span_of_str(fields[i])))
            fail_msg("line %zu, cell %zu: \"%.*s\", expected \"%s\"", line, i,
                     (int)csv->fields[i].size, (const char *)csv->fields[i].data, fields[i]);
    }
}

#define ASSERT_RECORD(csv, line, ...)                                                              \
    do {                                                                                           \
        static const char *const fields[] = {__VA_ARGS__};                                         \
        assert_record(csv, line, ARRAY_SIZE(fields), fields);                                      \
    } while (0)

/* Spreadsheets of different makers and countries write all of these. */
static void test_reader_takes_what_spreadsheets_write(void **state)
{
    struct csv_reader csv;

    (void)state;
    csv_reader_init(&csv, span_of_str("\xef\xbb\xbf"
                                      "a,\"b, \"\"c\"\"\",\r\n"
                                      "\"två\nrader\",,x\n"
                                      "\n,,\r\n"
                                      "5\" pipe,\"\",y\r"
                                      "last,row,end"));
    assert_int_equal(csv.separator, ',');
    ASSERT_RECORD(&csv, 1, "a", "b, \"c\"", "");
    ASSERT_RECORD(&csv, 2, "två\nrader", "", "x");
    ASSERT_RECORD(&csv, 6, "5\" pipe", "", "y");
    ASSERT_RECORD(&csv, 7, "last", "row", "end");
    assert_err(csv_reader_next(&csv), TORG_E_NOT_FOUND);
    assert_err(csv_reader_next(&csv), TORG_E_NOT_FOUND);
    csv_reader_done(&csv);

    csv_reader_init(&csv, span_of_str("namn;\"a,b,c,d\";x\n1;2,5;3\n"));
    assert_int_equal(csv.separator, ';');
    ASSERT_RECORD(&csv, 1, "namn", "a,b,c,d", "x");
    ASSERT_RECORD(&csv, 2, "1", "2,5", "3");
    csv_reader_done(&csv);

    csv_reader_init(&csv, span_of_str("a\tb\n"));
    assert_int_equal(csv.separator, '\t');
    csv_reader_done(&csv);

    csv_reader_init(&csv, span_of_str(""));
    assert_err(csv_reader_next(&csv), TORG_E_NOT_FOUND);
    csv_reader_done(&csv);
}

/* One bad row must not hide the good ones behind it, nor be taken for good. */
static void test_reader_names_broken_quoting(void **state)
{
    struct csv_reader csv;
    struct buffer wide = {0};

    (void)state;
    csv_reader_init(&csv, span_of_str("a,b\n\"x\"y,1\nc,d\n\"open\n"));
    ASSERT_RECORD(&csv, 1, "a", "b");
    assert_err(csv_reader_next(&csv), TORG_E_INVALID);
    assert_non_null(strstr(csv.problem, "closing quote"));
    assert_int_equal(csv.line, 2);
    ASSERT_RECORD(&csv, 3, "c", "d");
    assert_err(csv_reader_next(&csv), TORG_E_INVALID);
    assert_non_null(strstr(csv.problem, "never closed"));
    assert_err(csv_reader_next(&csv), TORG_E_NOT_FOUND);
    csv_reader_done(&csv);

    for (int i = 0; i < CSV_COLUMNS_MAX; i++)
        buffer_put_u8(&wide, ',');
    buffer_put_str(&wide, "\nok,1\n");
    csv_reader_init(&csv, buffer_span(&wide));
    assert_err(csv_reader_next(&csv), TORG_E_INVALID);
    assert_non_null(strstr(csv.problem, "256"));
    ASSERT_RECORD(&csv, 2, "ok", "1");
    csv_reader_done(&csv);

    buffer_clear(&wide);
    for (int i = 0; i < CSV_FIELD_BYTES_MAX + 1; i++)
        buffer_put_u8(&wide, 'x');
    csv_reader_init(&csv, buffer_span(&wide));
    assert_err(csv_reader_next(&csv), TORG_E_INVALID);
    assert_non_null(strstr(csv.problem, "65536"));
    csv_reader_done(&csv);
    buffer_done(&wide);
}

/* Old Excel saves Latin-1: "Umeå" must be refused with a remedy, not stored as rubbish. */
static void test_reader_recognises_other_encodings(void **state)
{
    struct csv_reader csv;

    (void)state;
    csv_reader_init(&csv, span_of_str("name\nUme\xe5\n"));
    assert_err(csv_reader_next(&csv), TORG_E_INVALID);
    assert_non_null(strstr(csv.problem, "Latin-1"));
    assert_err(csv_reader_next(&csv), TORG_E_INVALID);
    csv_reader_done(&csv);
    csv_reader_init(&csv, span_of("\xff\xfen\0", 4));
    assert_err(csv_reader_next(&csv), TORG_E_INVALID);
    assert_non_null(strstr(csv.problem, "UTF-16"));
    csv_reader_done(&csv);
}

static void assert_cell(const char *text, const char *want)
{
    struct buffer out = {0};
    struct csv_reader csv;

    csv_put_cell(&out, span_of_str(text));
    if (!span_equal(buffer_span(&out), span_of_str(want)))
        fail_msg("%s is written %.*s", text, (int)out.size, (const char *)out.data);
    buffer_put_str(&out, ",x\r\n");
    csv_reader_init(&csv, buffer_span(&out));
    assert_ok(csv_reader_next(&csv));
    assert_true(span_equal(csv_cell_text(csv.fields[0]), span_of_str(text)));
    csv_reader_done(&csv);
    buffer_done(&out);
}

/* A listing's name must not run as a formula in the spreadsheet of whoever exports it. */
static void test_cells_are_neutral_and_come_back(void **state)
{
    (void)state;
    assert_cell("Umeå", "Umeå");
    assert_cell("=1+1", "'=1+1");
    assert_cell("+46 90", "'+46 90");
    assert_cell("-x", "'-x");
    assert_cell("@a,b", "\"'@a,b\"");
    assert_cell("'=x", "''=x");
    assert_cell("''", "''");
    assert_cell("'n Sill", "'n Sill");
    assert_cell("a \"b\"", "\"a \"\"b\"\"\"");
    assert_cell("a\nb", "\"a\nb\"");
    assert_cell("", "");
}

static enum torg_err import(uint8_t collection, const char *text, struct buffer *ret_body)
{
    struct csv_reader csv;
    struct csv_columns *columns = NULL;
    enum torg_err err;

    problems.count = 0;
    csv_reader_init(&csv, span_of_str(text));
    assert_ok(csv_reader_next(&csv));
    err = csv_columns_new(collection, &csv, &columns, &problems);
    if (!err) {
        assert_ok(csv_reader_next(&csv));
        err = listing_of_csv(columns, &csv, "sv", CREATED_MS, CREATED_MS, ret_body, &problems);
    }
    csv_columns_free(columns);
    csv_reader_done(&csv);
    return err;
}

static void assert_problem(uint8_t collection, const char *csv, const char *path, const char *text)
{
    struct buffer body = {0};

    assert_err(import(collection, csv, &body), TORG_E_INVALID);
    assert_int_equal(body.size, 0);
    for (size_t i = 0; i < problems.count && i < PROBLEMS_MAX; i++) {
        if (strcmp(problems.items[i].path, path) == 0 && strstr(problems.items[i].text, text)) {
            buffer_done(&body);
            return;
        }
    }
    fail_msg("%s: expected %s: %s; got %zu, the first %s: %s", csv, path, text, problems.count,
             problems.items[0].path, problems.items[0].text);
}

/* The same listing, written as a Swedish office's spreadsheet and as GeoJSON. */
static void test_a_swedish_spreadsheet(void **state)
{
    static const char csv[] =
        "name;description.en;themes;lon;lat;price.amount;price.currency;validThrough;example;"
        "address.locality;identifiers.source.system;identifiers.source.id;booking.capacity;id;;\n"
        "Fiske;Fish;\"nature/fishing; food/fish\";17,9;66,05;199,50;SEK;2026-08-31;SANT;Arjeplog;"
        "besök;7;12;x;;\n";
    static const char geojson[] =
        "{\"type\":\"Feature\",\"geometry\":{\"type\":\"Point\",\"coordinates\":[17.9,66.05]},"
        "\"properties\":{\"name\":{\"sv\":\"Fiske\"},\"description\":{\"en\":\"Fish\"},"
        "\"themes\":[\"nature/fishing\",\"food/fish\"],\"price\":{\"amount\":199.5,"
        "\"currency\":\"SEK\"},\"validThrough\":\"2026-08-31\",\"example\":true,"
        "\"address\":{\"locality\":\"Arjeplog\"},\"booking\":{\"capacity\":12},"
        "\"identifiers\":{\"source\":{\"system\":\"bes\u00f6k\",\"id\":\"7\"}}}}";
    struct buffer a = {0}, b = {0};
    json_t *feature = NULL;
    char message[160];

    (void)state;
    if (import(COLLECTION_OFFERS, csv, &a))
        fail_msg("%s: %s", problems.items[0].path, problems.items[0].text);
    assert_ok(listing_json_parse(span_of_str(geojson), &feature, message, sizeof(message)));
    assert_ok(listing_of_geojson(COLLECTION_OFFERS, feature, "sv", CREATED_MS, CREATED_MS, &b,
                                 &problems));
    assert_true(span_equal(buffer_span(&a), buffer_span(&b)));
    json_decref(feature);
    buffer_done(&a);
    buffer_done(&b);
}

static void test_mistakes_are_named_by_column(void **state)
{
    (void)state;
    assert_problem(COLLECTION_OFFERS, "naem,themes\nx,food\n", "naem", "did you mean name");
    assert_problem(COLLECTION_OFFERS, "name,themes,people\nx,food,1\n", "people",
                   "property of needs");
    assert_problem(COLLECTION_OFFERS, "name,themes,price\nx,food,1\n", "price",
                   "price.amount and price.currency");
    assert_problem(COLLECTION_OFFERS, "name,address\nx,y\n", "address", "address.street");
    assert_problem(COLLECTION_OFFERS, "name,address.town\nx,y\n", "address.town", "not known");
    assert_problem(COLLECTION_OFFERS, "name.SV,themes\nx,food\n", "name.SV", "language");
    assert_problem(COLLECTION_OFFERS, "name,themes,kind.x\nx,food,y\n", "kind.x", "no parts");
    assert_problem(COLLECTION_OFFERS, "name,name\nx,y\n", "name", "twice");
    assert_problem(COLLECTION_OFFERS, "name,name.sv,themes\nx,y,food\n", "name.sv", "twice");
    assert_problem(COLLECTION_OFFERS, "name,themes\nx,food,more\n", "record", "more cells");
    assert_problem(COLLECTION_OFFERS, "name,themes\nx,\n", "themes", "missing");
    assert_problem(COLLECTION_OFFERS, "name,themes\nx,Food\n", "themes[0]", "must be a theme");
    assert_problem(COLLECTION_OFFERS, "name,themes,lon\nx,food,1\n", "latitude", "missing");
    assert_problem(COLLECTION_OFFERS, "name,themes,lon,lat\nx,food,\"20,1\",63\n", "longitude",
                   "must be a number");
    assert_problem(COLLECTION_OFFERS, "name,themes,lon,lat\nx,food,758803,7088280\n",
                   "longitude, latitude", "SWEREF 99 TM");
    assert_problem(COLLECTION_OFFERS, "name,themes,lon,lat,geometry\nx,food,1,2,{}\n", "geometry",
                   "must be empty");
    assert_problem(COLLECTION_OFFERS, "name,themes,geometry\nx,food,{\n", "geometry",
                   "must be JSON");
    assert_problem(COLLECTION_OFFERS, "name,themes,example\nx,food,maybe\n", "example",
                   "true or false");
    assert_problem(COLLECTION_OFFERS,
                   "name,themes,price.amount,price.currency\nx,food,gratis,SEK\n", "price.amount",
                   "must be a number");
    assert_problem(COLLECTION_OFFERS, "name,themes,price.amount\nx,food,5\n", "price.currency",
                   "is missing");
    assert_problem(COLLECTION_RECEIPTS, "name\nx\n", "collection", "does not hold listings");
}

/* What is exported, looked through and imported again must not change by a byte. */
static bool header_passes(const char *text)
{
    for (uint8_t collection = 1; collection < COLLECTIONS_MAX; collection++) {
        struct csv_columns *columns = NULL;
        struct problems unused = {0};
        struct csv_reader csv;
        bool passes;

        csv_reader_init(&csv, span_of_str(text));
        assert_ok(csv_reader_next(&csv));
        passes = csv_columns_new(collection, &csv, &columns, &unused) == TORG_OK;
        csv_columns_free(passes ? columns : NULL);
        csv_reader_done(&csv);
        if (passes)
            return true;
    }
    return false;
}

/* A message that names a column which is refused in its turn sends people in a circle. */
static void test_swedish_headings_get_a_column_that_exists(void **state)
{
    static const struct {
        const char *heading, *column;
    } cases[] = {
        {"Namn", "name.sv"},
        {"FÖRETAG", "name.sv"},
        {"Beskrivning", "description.sv"},
        {"Kategori", "themes"},
        {"Tema", "themes"},
        {"Adress", "address.street"},
        {"Ort", "address.locality"},
        {"Postnummer", "address.postalCode"},
        {"Postnr.", "address.postalCode"},
        {"Kommun", "municipality"},
        {"Land", "countryCode"},
        {"Latitud", "latitude"},
        {"Longitud", "longitude"},
        {"Telefon", "contact.telephone"},
        {"E-post", "contact.email"},
        {"Kontaktperson", "contact.name"},
        {"Webbplats", "url"},
        {"Bild", "image.url"},
        {"Org.nr", "identifiers.organisationNumber"},
        {"OBJECTID", "identifiers.source.id"},
        {"Gäller från", "validFrom"},
        {"Gäller till", "validThrough"},
        {"Öppettider", "openingHours"},
        {"Pris", "price.amount"},
        {"Valuta", "price.currency"},
        {"Prisenhet", "priceUnit"},
        {"Startdatum", "start"},
        {"Slut", "end"},
        {"Arrangör", "provider"},
        {"Sök senast", "applyBy"},
        {"Anställningsform", "employmentType"},
        {"Yrke", "occupation.ssyk"},
        {"Språk", "language"},
        {"Poäng", "credits"},
        {"Antal", "people"},
        {"Tjänster", "services"},
        {"Exempel", "example"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        const char *meant = csv_column_meant(span_of_str(cases[i].heading));

        if (!meant || strcmp(meant, cases[i].column) != 0)
            fail_msg("%s: %s", cases[i].heading, meant ? meant : "nothing");
        if (!header_passes(meant))
            fail_msg("%s: there is no column %s", cases[i].heading, meant);
    }
    assert_null(csv_column_meant(span_of_str("Övrigt")));
    assert_null(csv_column_meant(span_of_str("")));
    assert_problem(COLLECTION_OFFERS, "Namn,themes\nx,food\n", "Namn", "did you mean name.sv");
    assert_problem(COLLECTION_OFFERS, "name;Latitud\nx;1\n", "Latitud", "did you mean latitude");
    /* A word for a column that the collection does not have helps nobody. */
    assert_problem(COLLECTION_COMPANIES, "name,themes,Pris\nx,food,1\n", "Pris", "not known");
}

static void test_random_listings_come_back(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 3000; seed++) {
        uint64_t random = seed;
        struct listing_meta meta = {.collection = listing_random_collection(&random)};
        struct buffer body = {0}, text = {0}, again = {0};
        struct csv_reader csv;
        struct csv_columns *columns = NULL;

        problems.count = 0;
        assert_ok(listing_random_body(&random, meta.collection, &body));
        csv_put_header(meta.collection, &text);
        assert_ok(listing_put_csv(&meta, buffer_span(&body), &text));
        csv_reader_init(&csv, buffer_span(&text));
        assert_ok(csv_reader_next(&csv));
        if (csv_columns_new(meta.collection, &csv, &columns, &problems))
            fail_msg("header: %s %s", problems.items[0].path, problems.items[0].text);
        assert_ok(csv_reader_next(&csv));
        if (listing_of_csv(columns, &csv, "en", CREATED_MS, CREATED_MS + 1, &again, &problems))
            fail_msg("seed %d: %s %s in %.*s", (int)seed, problems.items[0].path,
                     problems.items[0].text, (int)text.size, (const char *)text.data);
        if (!span_equal(buffer_span(&body), buffer_span(&again)))
            fail_msg("seed %d came back changed: %.*s", (int)seed, (int)text.size,
                     (const char *)text.data);
        assert_err(csv_reader_next(&csv), TORG_E_NOT_FOUND);
        csv_columns_free(columns);
        csv_reader_done(&csv);
        buffer_done(&body);
        buffer_done(&text);
        buffer_done(&again);
    }
}

/* Analysts' scripts count columns: every record has as many as the header, which is stable. */
static void test_header_is_stable(void **state)
{
    struct buffer header = {0};
    struct csv_reader csv;

    (void)state;
    csv_put_header(COLLECTION_NETWORKS, &header);
    buffer_put_u8(&header, 0);
    assert_string_equal(
        (const char *)header.data,
        "id,collection,origin,name.sv,name.en,name.fi,name.fit,name.se,name.smj,name.sma,name.sje,"
        "name.sju,description.sv,description.en,description.fi,description.fit,description.se,"
        "description.smj,description.sma,description.sje,description.sju,themes,longitude,latitude,"
        "geometry,address.street,address.postalCode,address.locality,municipality,countryCode,"
        "validFrom,validThrough,provider,networks,url,image.url,image.alt.sv,image.alt.en,"
        "image.alt.fi,image.alt.fit,image.alt.se,image.alt.smj,image.alt.sma,image.alt.sje,"
        "image.alt.sju,image.sha256,contact.name,contact.email,contact.telephone,contact.purpose,"
        "contact.expires,identifiers.organisationNumber,identifiers.jobtech,identifiers.ssyk,"
        "identifiers.sni.code,identifiers.sni.version,identifiers.geonames,identifiers.wikidata,"
        "identifiers.source.system,identifiers.source.id,example,movedTo,created,modified\r\n");
    buffer_done(&header);
    for (uint64_t seed = 1; seed <= 200; seed++) {
        uint64_t random = seed;
        struct listing_meta meta = {.collection = listing_random_collection(&random)};
        struct buffer body = {0};
        size_t columns;

        buffer_clear(&header);
        csv_put_header(meta.collection, &header);
        assert_ok(listing_random_body(&random, meta.collection, &body));
        assert_ok(listing_put_csv(&meta, buffer_span(&body), &header));
        csv_reader_init(&csv, buffer_span(&header));
        assert_ok(csv_reader_next(&csv));
        columns = csv.field_count;
        assert_ok(csv_reader_next(&csv));
        assert_int_equal(csv.field_count, columns);
        csv_reader_done(&csv);
        buffer_done(&body);
    }
    buffer_done(&header);
}

/* A body of a stranger with wrong types must still give a row of the right width. */
static void test_strange_bodies_leave_cells_empty(void **state)
{
    struct listing_meta meta = {.collection = COLLECTION_OFFERS};
    struct buffer body = {0}, text = {0};
    struct csv_reader csv;
    size_t columns;

    (void)state;
    pack_map(&body, 4);
    pack_str(&body, span_of_str("address"));
    pack_int(&body, 7);
    pack_str(&body, span_of_str("identifiers"));
    pack_map(&body, 1);
    pack_str(&body, span_of_str("sni"));
    pack_nil(&body);
    pack_str(&body, span_of_str("price"));
    pack_array(&body, 2);
    pack_int(&body, -5);
    pack_str(&body, span_of_str("kr"));
    pack_str(&body, span_of_str("x-unknown"));
    pack_bool(&body, true);
    csv_put_header(meta.collection, &text);
    assert_ok(listing_put_csv(&meta, buffer_span(&body), &text));
    csv_reader_init(&csv, buffer_span(&text));
    assert_ok(csv_reader_next(&csv));
    columns = csv.field_count;
    assert_ok(csv_reader_next(&csv));
    assert_int_equal(csv.field_count, columns);
    csv_reader_done(&csv);
    buffer_done(&body);
    buffer_done(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reader_takes_what_spreadsheets_write),
        cmocka_unit_test(test_reader_names_broken_quoting),
        cmocka_unit_test(test_reader_recognises_other_encodings),
        cmocka_unit_test(test_cells_are_neutral_and_come_back),
        cmocka_unit_test(test_a_swedish_spreadsheet),
        cmocka_unit_test(test_mistakes_are_named_by_column),
        cmocka_unit_test(test_swedish_headings_get_a_column_that_exists),
        cmocka_unit_test(test_random_listings_come_back),
        cmocka_unit_test(test_header_is_stable),
        cmocka_unit_test(test_strange_bodies_leave_cells_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
