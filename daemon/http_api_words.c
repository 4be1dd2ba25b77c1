/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_api_words.h"

#include <string.h>

/* Goes into every collection. */
#define LISTING_EXAMPLE                                                                            \
    "{\"type\":\"Feature\",\"geometry\":{\"type\":\"Point\",\"coordinates\":[20.263,63.8258]},"    \
    "\"properties\":{\"name\":{\"sv\":\"Bastu vid älven\",\"en\":\"Sauna by the river\"},"        \
    "\"themes\":[\"bathing/sauna\"],\"municipality\":\"2480\"}}"

static const struct http_api_words words[] = {
    /* operations */
    {"getLandingPage", "Var allting finns", NULL},
    {"getConformance", "Standarderna som gäller här", NULL},
    {"getApi", "Det här gränssnittet som OpenAPI 3.0", NULL},
    {"getApiInfo", "Gränssnittets namn, version och status", NULL},
    {"getCollections", "Samlingarna av uppgifter", NULL},
    {"getCollection", "En samling", NULL},
    {"getQueryables", "Vad en samling kan frågas efter, som JSON Schema", NULL},
    {"getSchema", "Egenskaperna i en samling, som JSON Schema", NULL},
    {"getItems", "Uppgifter i en samling", NULL},
    {"createItem", "En ny uppgift från nodens egen utgivare", LISTING_EXAMPLE},
    {"getItem", "En uppgift", NULL},
    {"replaceItem", "Ersätt en uppgift från nodens egen utgivare", LISTING_EXAMPLE},
    {"updateItem", "Ändra delar av en uppgift från nodens egen utgivare",
     "{\"properties\":{\"url\":\"https://example.org/bastu\",\"name\":{\"en\":null}}}"},
    {"deleteItem", "Ta bort en uppgift från nodens egen utgivare, överallt", NULL},
    {"search", "Uppgifter ur flera samlingar på en gång", NULL},
    {"getThemes", "Trädet av teman, med antal", NULL},
    {"getSuggestions", "Teman, platser och namn som börjar som q", NULL},
    {"getFederation", "Vems uppgifter som finns här, hur gamla och hur fullständiga", NULL},
    {"getCompetenceNeeds", "Öppna kompetensbehov, räknade", NULL},
    /* parameters */
    {"near",
     "Longitud och latitud i grader (CRS84). Svaret kommer med det närmaste först och med "
     "avståndet i meter längs ellipsoiden i egenskapen distance; uppgifter utan geometri är inte "
     "med.",
     "[20.263,63.8258]"},
    {"radius",
     "Tillsammans med near: hur långt bort, i meter. Utan: det närmaste, hur långt det än är.",
     "25000"},
    {"bbox",
     "Väst, syd, öst, nord i grader (CRS84), eller i ordningen för bbox-crs; väst får vara större "
     "än öst, över datumgränsen. Det som har en punkt gemensam med rutan passar; uppgifter "
     "utan geometri passar i varje ruta.",
     "[20,63.7,20.6,64]"},
    {"bbox-crs",
     "Koordinatsystemet för bbox, med dess axelordning; utan: CRS84. /collections räknar upp "
     "systemen.",
     "\"http://www.opengis.net/def/crs/OGC/1.3/CRS84\""},
    {"crs",
     "Koordinatsystemet för svarets geometrier, med dess axelordning; utan: CRS84. /collections "
     "räknar upp systemen.",
     "\"http://www.opengis.net/def/crs/EPSG/0/3006\""},
    {"intersects",
     "En geometri i grader (CRS84), som well-known text eller som GeoJSON: uppgifter som har en "
     "punkt gemensam med den, enligt sin exakta geometri. Kanterna är raka i longitud och latitud; "
     "över datumgränsen delas en geometri i två. Uppgifter utan geometri är inte med.",
     "\"POLYGON((17 65,18 65,18 66,17 65))\""},
    {"reaches",
     "Longitud och latitud i grader (CRS84), och kanske meter (0 till 100000): vem som kommer dit. "
     "Uppgifter vars område (serves) omfattar platsen, eller är högst så långt bort, eller som "
     "stannar där (itinerary) inom tiden i datetime; utan den nu eller senare.",
     "[20.263,63.8258]"},
    {"openAt",
     "Ett ögonblick enligt RFC 3339: uppgifter vars öppettider (openingHours) säger att det är "
     "öppet "
     "då, efter klockan på platsen. Uppgifter utan öppettider är inte med, och inte de vars "
     "tidszon "
     "torg inte räknar med.",
     "\"2026-11-21T09:00:00Z\""},
    {"theme",
     "Ett tema, med de smalare under det. Upprepat: något av dem. Med komma i ett värde: alla.",
     "[\"food/cafe\"]"},
    {"q",
     "Ord som alla måste passa något ord i namn, plats, utgivare eller beskrivning: ordet självt, "
     "utan accenter, dess stam eller dess början. Utan near kommer de bästa träffarna först.",
     "\"fiske\""},
    {"datetime",
     "Ett datum, en tid enligt RFC 3339 eller ett intervall start/slut med .. för en öppen ände; "
     "upprepade värden skärs. Utan: det som visas nu.",
     "\"2026-06-01/2026-08-31\""},
    {"origin",
     "Bara uppgifter från den här utgivaren: dess id, eller minst de första 16 siffrorna. "
     "Upprepat: någon av dem.",
     "[\"0123456789abcdef\"]"},
    {"municipality",
     "SCB:s kod för kommunen där uppgiften finns. Upprepat eller med komma: någon av dem.",
     "[\"2480\"]"},
    {"network",
     "Bara uppgifter som har anmält sig till nätverket: id för en uppgift i samlingen networks. "
     "Upprepat: något av dem.",
     "[\"aaaaaaaaaaaaa-aaaaaaaaaaaaaaaaaaaaaaaaaa\"]"},
    {"collections", "Bara de här samlingarna. Upprepat eller med komma: någon av dem.",
     "[\"companies\",\"offers\"]"},
    {"limit", "Högst så många; fler än 10000 blir 10000. 0 räknar bara.", "20"},
    {"offset",
     "Hoppa över så många. Länkarna next är bättre: de stämmer också medan uppgifter ändras.", "0"},
    {"cursor", "Där sidan börjar; bara så som länken next har det.", NULL},
    {"facets",
     "Räkna också hur allt som passar fördelar sig; bara med f=geojson. Upprepat eller med komma: "
     "flera.",
     "[\"theme\"]"},
    {"order",
     "Med near och q: distance (om inget sägs), eller rank, som väger ihop hur väl orden passar, "
     "hur "
     "nära det är och hur nytt.",
     "\"distance\""},
    {"all",
     "Allt som passar i ett enda svar, utan sidor; bara med f=geojsonseq, f=geojson eller f=csv, "
     "och utan limit.",
     "false"},
    {"explain", "Säg också hur svaret hittades; kräver en administratörs nyckel, och f=geojson.",
     "false"},
    {"by",
     "Vad tabellens rader står för. Upprepat eller med komma: varje kombination. Utan: theme.",
     "[\"theme\"]"},
    {"place", "Ett ortnamn eller ett postnummer.", "\"Umeå\""},
    {"lang",
     "Språket för titlar, beskrivningar, sidor och fel (sv eller en), och för uppgifternas texter "
     "där "
     "ett väljs. Utan: som Accept-Language vill, annars svenska, och fel på engelska.",
     "\"sv\""},
    {"f", "Svarets format; går före fältet Accept.", "\"json\""},
    {"filter", "Ett villkor i CQL2, som text eller JSON enligt filter-lang.", "\"name = 'Bastu'\""},
    {"filter-lang", "Hur filter är skrivet: cql2-text (utan värde) eller cql2-json.",
     "\"cql2-text\""},
    {"getQueryables", "Vad ett filter får nämna, som JSON Schema", NULL},
    {"getSchema", "Vad samlingens uppgifter har, som JSON Schema", NULL},
    {"filter-crs", "Koordinatsystemet för geometrierna i filter; utan: CRS84.",
     "\"http://www.opengis.net/def/crs/OGC/1.3/CRS84\""},
    {"sortby", "Egenskaper att ordna efter, med - framför för fallande ordning.", "[\"name\"]"},
    {"properties", "Bara de här egenskaperna i svaret.", "[\"name\"]"},
    {"all", "Hela samlingen i ett enda svar, som ström.", "true"},
    /* parts of paths */
    {"collectionId", "Samlingens namn; /collections räknar upp dem.", "\"offers\""},
    {"featureId", "Uppgiftens id.", "\"aaaaaaaaaaaaa-aaaaaaaaaaaaaaaaaaaaaaaaaa\""},
    /* fields of a request */
    {"If-Match", "ETag för den version som avses, eller *.",
     "\"\\\"0123456789abcdef0123456789abcdef\\\"\""},
    {"Content-Crs",
     "Koordinatsystemet för geometrierna i kroppen, inom vinkelparenteser; utan: CRS84.",
     "\"<http://www.opengis.net/def/crs/EPSG/0/3006>\""},
    {"Idempotency-Key",
     "Klientens eget namn på denna begäran: sänds den igen så utförs den en enda gång.",
     "\"bokning-2026-11-30-17\""},
    {"304", "Det som If-None-Match anger gäller fortfarande.", NULL},
    {"If-None-Match", "ETag för svar som klienten har: 304 om något av dem fortfarande gäller.",
     "\"W/\\\"0123456789abcdef0123456789abcdef\\\"\""},
    /* fields of an answer */
    {"Content-Crs of an answer",
     "Koordinatsystemet för geometrierna i svaret, inom vinkelparenteser.",
     "\"<http://www.opengis.net/def/crs/OGC/1.3/CRS84>\""},
    {"ETag", "Namn på den här versionen; för If-None-Match, och en uppgifts för If-Match.",
     "\"\\\"0123456789abcdef0123456789abcdef\\\"\""},
    {"Last-Modified", "När uppgiften senast ändrades.", "\"Sat, 21 Nov 2026 09:00:00 GMT\""},
    {"Location", "Den nya uppgiftens URL.",
     "\"https://torg.example/torg/v1/collections/offers/items/"
     "aaaaaaaaaaaaa-aaaaaaaaaaaaaaaaaaaaaaaaaa\""},
};

const struct http_api_words *http_api_words(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (strcmp(words[i].name, name) == 0)
            return &words[i];
    }
    return NULL;
}

static const struct http_api_status statuses[] = {
    {400,
     {"Begäran är fel; errors nämner varje fel och vad som går bra.",
      "The request is wrong; errors names every mistake and what is allowed."},
     "invalid-parameter"},
    {401, {"Det saknas en nyckel som är känd här.", "There is no token that is known here."}, NULL},
    {403,
     {"Nyckeln räcker inte till detta, eller uppgiften hör till en annan nod.",
      "The token does not allow this, or the listing is another node's."},
     "foreign-listing"},
    {404, {"Det finns inte.", "There is no such thing."}, NULL},
    {406,
     {"Inget av formaten passar fältet Accept.", "No format that the Accept field takes."},
     NULL},
    {410,
     {"Begäran var redan utförd, och uppgiften har tagits bort sedan dess.",
      "The request had been carried out, and its listing was deleted since."},
     NULL},
    {412,
     {"Uppgiften har ändrats sedan den lästes.", "The listing has changed since it was read."},
     NULL},
    {413, {"Innehållet är för stort.", "The body is too large."}, NULL},
    {415, {"Innehållet har fel typ.", "The body has the wrong type."}, NULL},
    {422,
     {"Uppgiften är fel; errors nämner varje fält att rätta.",
      "The listing is wrong; errors names every field to mend."},
     "invalid-listing"},
    {428, {"Fältet If-Match saknas.", "The field If-Match is missing."}, NULL},
    {429,
     {"För många begäran; försök igen efter Retry-After sekunder.",
      "Too many requests; try again after Retry-After seconds."},
     NULL},
    {503,
     {"Noden hinner inte just nu; försök igen efter Retry-After sekunder.",
      "The node is busy; try again after Retry-After seconds."},
     "busy"},
    {0, {NULL, NULL}, NULL},
};

const struct http_api_status *http_api_statuses(void)
{
    return statuses;
}
