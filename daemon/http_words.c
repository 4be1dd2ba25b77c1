/* SPDX-License-Identifier: EUPL-1.2 */
#include "daemon/http_words.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const struct http_words_collection collections[] = {
    {COLLECTION_COMPANIES,
     {"Företag", "Companies"},
     {"Företag", "Company"},
     {"Företag och andra utgivare.", "Companies and other providers."}},
    {COLLECTION_OFFERS,
     {"Erbjudanden", "Offers"},
     {"Erbjudande", "Offer"},
     {"Det som kan köpas, bokas, hyras, lånas, skänkas eller som söks.",
      "What can be bought, booked, rented, borrowed, given away or is sought."}},
    {COLLECTION_EVENTS,
     {"Evenemang", "Events"},
     {"Evenemang", "Event"},
     {"Det som händer, var och när.", "What happens, where and when."}},
    {COLLECTION_JOBS, {"Jobb", "Jobs"}, {"Jobb", "Job"}, {"Lediga tjänster.", "Vacant positions."}},
    {COLLECTION_COURSES,
     {"Kurser och lärande", "Courses and learning"},
     {"Kurs", "Course"},
     {"Allt som ger kompetens: kurser, mentorer, studiebesök, webbinarier.",
      "Every supply of competence: courses, mentors, study visits, webinars."}},
    {COLLECTION_NEEDS,
     {"Kompetensbehov", "Competence needs"},
     {"Kompetensbehov", "Competence need"},
     {"Kompetens som företag, kommuner och föreningar säger att de behöver.",
      "Competence that companies, municipalities and associations say they need."}},
    {COLLECTION_SERVICE_POINTS,
     {"Servicepunkter", "Service points"},
     {"Servicepunkt", "Service point"},
     {"Där det finns service i närheten, också vid en störning.",
      "Where there is service close by, also in a disturbance."}},
    {COLLECTION_PLACES,
     {"Platser", "Places"},
     {"Plats", "Place"},
     {"Det som går att besöka, använda eller dela: fiskevatten, leder, lokaler, maskiner.",
      "What is there to visit, use or share: fishing waters, trails, premises, machines."}},
    {COLLECTION_NETWORKS,
     {"Nätverk", "Networks"},
     {"Nätverk", "Network"},
     {"Nätverk som företag och andra går med i.", "Networks that companies and others join."}},
};

const struct http_words_collection *http_words_collection(uint8_t collection)
{
    for (size_t i = 0; i < ARRAY_SIZE(collections); i++) {
        if (collections[i].collection == collection)
            return &collections[i];
    }
    return NULL;
}

enum http_language http_words_language(const char *tag)
{
    return strcmp(tag, "en") == 0 ? HTTP_ENGLISH : HTTP_SWEDISH;
}

const char *http_words_code(enum http_language language)
{
    return language == HTTP_ENGLISH ? "en" : "sv";
}

const char *http_words_tag(struct span tag)
{
    static const char *const tags[] = {"sv", "en", "fi", "fit", "se", "smj", "sma", "sje", "sju"};

    for (size_t i = 0; i < ARRAY_SIZE(tags); i++) {
        size_t size = strlen(tags[i]);

        if (tag.size >= size && strncasecmp((const char *)tag.data, tags[i], size) == 0 &&
            (tag.size == size || tag.data[size] == '-'))
            return tags[i];
    }
    return NULL;
}

static const char *const words[WORD_COUNT][2] = {
    [WORD_TAGLINE] = {"Det som finns nära, från varje kommun direkt",
                      "What is near, straight from each municipality"},
    [WORD_PLACE] = {"Plats", "Place"},
    [WORD_PLACE_HINT] = {"by, ort eller postnummer", "village, town or postal code"},
    [WORD_WHAT] = {"Vad", "What"},
    [WORD_EVERYTHING] = {"Allt", "Everything"},
    [WORD_THEME] = {"Tema", "Theme"},
    [WORD_ALL_THEMES] = {"Alla teman", "All themes"},
    [WORD_WITHIN] = {"Inom", "Within"},
    [WORD_ANY_DISTANCE] = {"hur långt som helst", "any distance"},
    [WORD_WORDS] = {"Sökord", "Words"},
    [WORD_SEARCH] = {"Sök", "Search"},
    [WORD_NEAR] = {"Närmast", "Nearest to"},
    [WORD_SHOWN_NOW] = {"Just nu", "Now"},
    [WORD_OF] = {"av", "of"},
    [WORD_NOTHING] = {"Här finns inget som passar.", "Nothing here fits."},
    [WORD_NOTHING_HELP] = {"Pröva ett större avstånd, ett annat tema eller andra ord.",
                           "Try a larger distance, another theme or other words."},
    [WORD_MORE] = {"Visa fler", "Show more"},
    [WORD_FIRST] = {"Tillbaka till början", "Back to the beginning"},
    [WORD_NO_SUCH_PLACE] = {"Vi känner ingen plats som heter", "We know no place called"},
    [WORD_NO_SUCH_PLACE_HELP] = {"Pröva närmaste större ort eller ett postnummer.",
                                 "Try the nearest larger place or a postal code."},
    [WORD_WHICH] = {"Vilken menar du?", "Which one do you mean?"},
    [WORD_OR_DID_YOU_MEAN] = {"Fler platser heter så:", "More places have this name:"},
    [WORD_FROM] = {"Från", "From"},
    [WORD_BY] = {"hos", "by"},
    [WORD_SOURCE_HERE] = {"direkt från källan", "straight from the source"},
    [WORD_AS_OF] = {"hämtat", "as known"},
    [WORD_STALE] = {"Kan vara inaktuellt", "May be out of date"},
    [WORD_EXPIRED] = {"Inaktuellt sedan länge", "Out of date for long"},
    [WORD_DISPUTED] = {"Ifrågasatt källa", "Disputed source"},
    [WORD_WHOSE] = {"Vems uppgifter du ser", "Whose data you see"},
    [WORD_LISTINGS] = {"uppgifter", "listings"},
    [WORD_CREDIT] = {"Platsnamn från GeoNames (CC BY 4.0) och Arbetsförmedlingen JobTech "
                     "(Apache 2.0).",
                     "Place names from GeoNames (CC BY 4.0) and Arbetsförmedlingen JobTech "
                     "(Apache 2.0)."},
    [WORD_FOR_PROGRAMS] = {"Öppet gränssnitt för program", "Open interface for programs"},
    [WORD_OTHER_LANGUAGE] = {"In English", "På svenska"},
    [WORD_BACK] = {"Till sökningen", "To the search"},
    [WORD_PROBLEM] = {"Det gick inte", "That did not work"},
    [WORD_WHERE] = {"Var", "Where"},
    [WORD_WHEN] = {"När", "When"},
    [WORD_HOURS] = {"Öppettider", "Opening hours"},
    [WORD_IN_DISTURBANCE] = {"Vid en störning", "In a disturbance"},
    [WORD_PRICE] = {"Pris", "Price"},
    [WORD_FREE] = {"Gratis", "Free"},
    [WORD_PROVIDER] = {"Av", "By"},
    [WORD_CONTACT] = {"Kontakt", "Contact"},
    [WORD_WEBSITE] = {"Webbplats", "Website"},
    [WORD_BOOK] = {"Boka", "Book"},
    [WORD_AREA] = {"Område", "Area"},
    [WORD_VALID_THROUGH] = {"Gäller till", "Valid through"},
    [WORD_MAP] = {"Visa på OpenStreetMap", "Show on OpenStreetMap"},
    [WORD_AS_DATA] = {"Samma uppgift som GeoJSON", "The same as GeoJSON"},
    [WORD_SKIP] = {"Hoppa till träffarna", "Skip to the results"},
    [WORD_EXAMPLE] = {"Exempel", "Example"},
};

const char *http_words(enum http_word word, enum http_language language)
{
    return words[word][language];
}

void http_words_put_age(struct buffer *out, enum http_language language, int64_t age_s)
{
    static const struct {
        int64_t seconds;
        const char *one[2];
        const char *many[2];
    } units[] = {
        {86400, {"dag", "day"}, {"dagar", "days"}},
        {3600, {"timme", "hour"}, {"timmar", "hours"}},
        {60, {"minut", "minute"}, {"minuter", "minutes"}},
    };

    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        int64_t count = age_s / units[i].seconds;
        const char *unit = count == 1 ? units[i].one[language] : units[i].many[language];

        if (count == 0)
            continue;
        if (language == HTTP_ENGLISH)
            buffer_printf(out, "%" PRId64 " %s ago", count, unit);
        else
            buffer_printf(out, "för %" PRId64 " %s sedan", count, unit);
        return;
    }
    buffer_put_str(out, language == HTTP_ENGLISH ? "just now" : "nyss");
}

void http_words_put_number(struct buffer *out, enum http_language language, double value)
{
    int64_t hundredths = llround(value * 100);
    int64_t whole = hundredths / 100;

    if (whole >= 1000)
        buffer_printf(out, "%" PRId64 "%s%03d", whole / 1000,
                      language == HTTP_ENGLISH ? "," : "\u00a0", (int)(whole % 1000));
    else
        buffer_printf(out, "%" PRId64, whole);
    if (hundredths % 100)
        buffer_printf(out, "%s%02d", language == HTTP_ENGLISH ? "." : ",",
                      (int)llabs(hundredths % 100));
}

void http_words_put_distance(struct buffer *out, enum http_language language, double distance_m)
{
    int64_t tenths = llround(distance_m / 100);

    if (distance_m < 995)
        buffer_printf(out, "%lld m", llround(distance_m / 10) * 10);
    else if (tenths < 100)
        buffer_printf(out, "%" PRId64 "%s%d km", tenths / 10, language == HTTP_ENGLISH ? "." : ",",
                      (int)(tenths % 10));
    else
        buffer_printf(out, "%lld km", llround(distance_m / 1000));
}
