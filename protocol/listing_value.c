/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/listing_value.h"

#include <string.h>

#include "protocol/num.h"
#include "protocol/theme.h"
#include "protocol/zone.h"

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_upper(uint8_t c)
{
    return c >= 'A' && c <= 'Z';
}

static bool is_lower(uint8_t c)
{
    return c >= 'a' && c <= 'z';
}

static bool is_letter(uint8_t c)
{
    return is_upper(c) || is_lower(c);
}

static bool is_hex(uint8_t c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f');
}

typedef bool is_kind(uint8_t c);

static bool all(struct span text, is_kind *kind)
{
    for (size_t i = 0; i < text.size; i++) {
        if (!kind(text.data[i]))
            return false;
    }
    return true;
}

static bool sized(struct span text, size_t min, size_t max, is_kind *kind)
{
    return text.size >= min && text.size <= max && all(text, kind);
}

/* Up to the next separator; *at moves behind it. Call while *at <= text.size. */
static struct span next_part(struct span text, size_t *at, uint8_t separator)
{
    size_t start = *at;
    size_t stop = start;

    while (stop < text.size && text.data[stop] != separator)
        stop++;
    *at = stop + 1;
    return span_of(text.data + start, stop - start);
}

const char *listing_value_text_fault(struct span text, bool paragraphs)
{
    bool blank = true;

    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];

        if (paragraphs && (c == '\n' || c == '\t'))
            continue;
        /* C0, DEL, and in UTF-8 C1. */
        if (c < 0x20 || c == 0x7f || (c == 0xc2 && i + 1 < text.size && text.data[i + 1] < 0xa0))
            return paragraphs ? "must not contain control characters other than line break and tab"
                              : "must be one line without control characters";
        blank = blank && c == ' ';
    }
    return blank ? "must not be empty; leave it out instead" : NULL;
}

/* One mark of the sets of RFC 3986, or a percent sign with two hex digits. */
static bool uri_mark(struct span text, size_t i)
{
    uint8_t c = text.data[i];

    if (c == '%') {
        char hex[3] = {0};
        uint8_t byte;

        if (text.size - i < 3)
            return false;
        memcpy(hex, text.data + i + 1, 2);
        return hex_decode(hex, &byte, 1) == TORG_OK;
    }
    return is_letter(c) || is_digit(c) || (c && strchr("-._~:/?#[]@!$&'()*+,;=", c));
}

static bool host_valid(struct span host)
{
    for (size_t i = 0; i < host.size; i++) {
        uint8_t c = host.data[i];
        bool inner = c == '-' || c == '.';

        if (!is_letter(c) && !is_digit(c) && !inner)
            return false;
        if (inner && (i == 0 || i + 1 == host.size || host.data[i - 1] == '.'))
            return false;
    }
    return host.size > 0 && host.size <= 253;
}

static bool authority_valid(struct span authority)
{
    size_t colon = 0;

    if (authority.size && authority.data[0] == '[') {
        size_t close = 1;

        while (close < authority.size &&
               (is_hex(authority.data[close] | 0x20) || authority.data[close] == ':' ||
                authority.data[close] == '.'))
            close++;
        if (close < 4 || close >= authority.size || authority.data[close] != ']')
            return false;
        colon = close + 1;
        if (colon < authority.size && authority.data[colon] != ':')
            return false;
    } else {
        while (colon < authority.size && authority.data[colon] != ':')
            colon++;
        if (!host_valid(span_of(authority.data, colon)))
            return false;
    }
    if (colon < authority.size) {
        int64_t port;

        return num_parse_int(span_of(authority.data + colon + 1, authority.size - colon - 1), 1,
                             65535, &port) == TORG_OK;
    }
    return true;
}

const char *listing_value_uri_fault(struct span text)
{
    size_t start, stop;

    if (text.size > 8 && memcmp(text.data, "https://", 8) == 0)
        start = 8;
    else if (text.size > 7 && memcmp(text.data, "http://", 7) == 0)
        start = 7;
    else
        return "must be a web address that begins with http:// or https:// and names a host";
    for (size_t i = start; i < text.size; i++) {
        if (!uri_mark(text, i))
            return "must hold only the characters of a web address; write others as %XX, and a "
                   "host name such as \xc3\xa5re.se as xn--re-xia.se";
    }
    for (stop = start; stop < text.size && !strchr("/?#", text.data[stop]);)
        stop++;
    if (memchr(text.data + start, '@', stop - start))
        return "must not contain a user name";
    if (!authority_valid(span_of(text.data + start, stop - start)))
        return "must name a host after http:// or https://";
    return NULL;
}

static const char *country_fault(struct span text)
{
    return sized(text, 2, 2, is_upper) ? NULL : "must be two capital letters (ISO 3166-1), as SE";
}

const char *listing_value_municipality_fault(struct span code, struct span country)
{
    if (country.size == 0 || span_equal(country, span_of_str("SE")))
        return sized(code, 4, 4, is_digit)
                   ? NULL
                   : "must be the municipality's code of four digits, as 2480";
    for (size_t i = 0; i < code.size; i++) {
        if (!is_digit(code.data[i]) && !is_upper(code.data[i]))
            return "must be the country's code of a municipality: 1 to 7 digits or capitals";
    }
    return code.size >= 1 && code.size <= 7
               ? NULL
               : "must be the country's code of a municipality: 1 to 7 digits or capitals";
}

/* Control digit by the Luhn formula (Skatteverket, SKV 709). */
static const char *organisation_fault(struct span text)
{
    unsigned sum = 0;
    unsigned n = 0;

    if (text.size != 11 || text.data[6] != '-')
        return "must be written NNNNNN-NNNN";
    for (size_t i = 0; i < text.size; i++) {
        unsigned digit = text.data[i] - '0';

        if (i == 6)
            continue;
        if (digit > 9)
            return "must be written NNNNNN-NNNN";
        digit <<= n++ % 2 == 0;
        sum += digit / 10 + digit % 10;
    }
    if (text.data[2] < '2')
        return "must be a legal person's (third digit 2 or more): a sole trader's number is a "
               "personal identity number and must not be published";
    return sum % 10 ? "has a wrong control digit; check it for a typing mistake" : NULL;
}

static bool email_part(struct span part, bool domain)
{
    for (size_t i = 0; i < part.size; i++) {
        uint8_t c = part.data[i];

        if (c <= ' ' || c == 0x7f || c == '@' || c == '"' || c == ',' || c == ';' || c == '<' ||
            c == '>' || c == '\\' ||
            (domain && !is_letter(c) && !is_digit(c) && c != '-' && c != '.'))
            return false;
        if (c == '.' && (i == 0 || i + 1 == part.size || part.data[i - 1] == '.'))
            return false;
    }
    return part.size > 0;
}

static const char *email_fault(struct span text)
{
    const uint8_t *at = text.size ? memchr(text.data, '@', text.size) : NULL;
    struct span local, domain;

    if (!at)
        return "must be an e-mail address, as namn@example.se";
    local = span_of(text.data, (size_t)(at - text.data));
    domain = span_of(at + 1, text.size - local.size - 1);
    if (local.size > 64 || !email_part(local, false) || !email_part(domain, true) ||
        !memchr(domain.data, '.', domain.size))
        return "must be an e-mail address, as namn@example.se";
    return NULL;
}

static const char *telephone_fault(struct span text)
{
    unsigned digits = 0;

    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];

        digits += is_digit(c);
        if (!is_digit(c) && !(c == '+' && i == 0) && (c == 0 || !strchr(" -()/", c)))
            digits = 100;
    }
    return digits >= 3 && digits <= 20
               ? NULL
               : "must be a telephone number: digits, spaces, hyphens, a plus sign first";
}

/* language[-Script][-REGION], RFC 5646 without extensions and private use. */
static const char *language_fault(struct span text)
{
    size_t at = 0;
    struct span part;

    if (text.size == 0 || text.size > LISTING_LANGUAGE_BYTES_MAX)
        goto fault;
    part = next_part(text, &at, '-');
    if (!sized(part, 2, 3, is_lower))
        goto fault;
    if (at > text.size)
        return NULL;
    part = next_part(text, &at, '-');
    if (part.size == 4 && is_upper(part.data[0]) && all(span_of(part.data + 1, 3), is_lower)) {
        if (at > text.size)
            return NULL;
        part = next_part(text, &at, '-');
    }
    if ((sized(part, 2, 2, is_upper) || sized(part, 3, 3, is_digit)) && at > text.size)
        return NULL;
fault:
    return "must be a language tag (BCP 47), as sv, en, fi, se, smj, sma or fi-SE";
}

static const char *date_fault(struct span text)
{
    struct zone_local local;

    return text.size == 10 && !zone_local_parse(text, &local) ? NULL
                                                              : "must be a date, as 2026-11-21";
}

static const char *local_fault(struct span text)
{
    struct zone_local local;

    if ((text.size == 10 || (text.size == 19 && text.data[10] == 'T')) &&
        !zone_local_parse(text, &local))
        return NULL;
    return "must be a local date or time, as 2026-11-21 or 2026-11-21T18:00:00";
}

static const char *clock_fault(struct span text)
{
    int64_t hour, minute;

    if (text.size == 5 && text.data[2] == ':' && all(span_of(text.data, 2), is_digit) &&
        all(span_of(text.data + 3, 2), is_digit) &&
        num_parse_int(span_of(text.data, 2), 0, 24, &hour) == TORG_OK &&
        num_parse_int(span_of(text.data + 3, 2), 0, 59, &minute) == TORG_OK &&
        (hour < 24 || minute == 0))
        return NULL;
    return "must be a time of day from 00:00 to 24:00, as 09:30";
}

static bool weekday(struct span text)
{
    static const char days[] = "MOTUWETHFRSASU";

    for (size_t i = 0; i + 1 < sizeof(days) - 1; i += 2) {
        if (text.size == 2 && memcmp(text.data, days + i, 2) == 0)
            return true;
    }
    return false;
}

/* [+|-][1-53]MO */
static bool rule_day(struct span text)
{
    size_t at = text.size && (text.data[0] == '+' || text.data[0] == '-');
    size_t first = at;
    int64_t week;

    while (at < text.size && is_digit(text.data[at]))
        at++;
    if (at > first || first) {
        if (num_parse_int(span_of(text.data + first, at - first), 1, 53, &week))
            return false;
    }
    return weekday(span_of(text.data + at, text.size - at));
}

static bool rule_number(struct span text, int64_t min, int64_t max)
{
    size_t sign = text.size && (text.data[0] == '+' || text.data[0] == '-');
    int64_t value;

    if (sign && min >= 0)
        return false;
    return !num_parse_int(span_of(text.data + sign, text.size - sign), min < 0 ? 1 : min, max,
                          &value);
}

static bool rule_until(struct span text)
{
    return (text.size == 8 && all(text, is_digit)) ||
           ((text.size == 15 || (text.size == 16 && text.data[15] == 'Z')) && text.data[8] == 'T' &&
            all(span_of(text.data, 8), is_digit) && all(span_of(text.data + 9, 6), is_digit));
}

static bool rule_frequency(struct span text)
{
    static const char *const names[] = {"DAILY", "WEEKLY", "MONTHLY", "YEARLY"};

    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        if (span_equal(text, span_of_str(names[i])))
            return true;
    }
    return false;
}

/* A list of the values that BY... takes; days when max is 0. */
static bool rule_list(struct span text, int64_t min, int64_t max)
{
    size_t at = 0;

    while (at <= text.size) {
        struct span item = next_part(text, &at, ',');

        if (max == 0 ? !rule_day(item) : !rule_number(item, min, max))
            return false;
    }
    return true;
}

/* The parts of RFC 5545, 3.3.10. Events by the hour or second are nobody's need here. */
static const struct {
    const char *name;
    bool list;
    int64_t min, max; /* a negative min also allows counting from the end */
} rule_parts[] = {
    {"FREQ", false, 0, 0},         {"UNTIL", false, 0, 0},         {"COUNT", false, 1, 10000},
    {"INTERVAL", false, 1, 1000},  {"WKST", false, 0, 0},          {"BYDAY", true, 0, 0},
    {"BYMONTHDAY", true, -31, 31}, {"BYYEARDAY", true, -366, 366}, {"BYWEEKNO", true, -53, 53},
    {"BYMONTH", true, 1, 12},      {"BYSETPOS", true, -366, 366},  {"BYHOUR", true, 0, 23},
    {"BYMINUTE", true, 0, 59},
};

/* Which part it is, ARRAY_SIZE(rule_parts) if it is wrong. */
static size_t rule_part(struct span part)
{
    const uint8_t *equals = part.size ? memchr(part.data, '=', part.size) : NULL;
    struct span name, value;
    size_t i;
    bool right;

    if (!equals)
        return ARRAY_SIZE(rule_parts);
    name = span_of(part.data, (size_t)(equals - part.data));
    value = span_of(equals + 1, part.size - name.size - 1);
    for (i = 0; i < ARRAY_SIZE(rule_parts); i++) {
        if (span_equal(name, span_of_str(rule_parts[i].name)))
            break;
    }
    if (i == ARRAY_SIZE(rule_parts))
        return i;
    if (rule_parts[i].list)
        right = rule_list(value, rule_parts[i].min, rule_parts[i].max);
    else if (i == 0)
        right = rule_frequency(value);
    else if (i == 1)
        right = rule_until(value);
    else if (rule_parts[i].max)
        right = rule_number(value, rule_parts[i].min, rule_parts[i].max);
    else
        right = weekday(value);
    return right ? i : ARRAY_SIZE(rule_parts);
}

static const char *rrule_fault(struct span text)
{
    static const char fault[] = "must be a recurrence rule (RFC 5545), as FREQ=WEEKLY;BYDAY=SA";
    uint32_t seen = 0;
    size_t at = 0;

    while (at <= text.size) {
        size_t i = rule_part(next_part(text, &at, ';'));

        if (i == ARRAY_SIZE(rule_parts) || seen >> i & 1)
            return fault;
        seen |= 1u << i;
    }
    if (!(seen & 1))
        return fault;
    return (seen & 6) == 6 ? "must not have both UNTIL and COUNT" : NULL;
}

static const char *days_fault(struct span text)
{
    unsigned seen = 0;
    size_t at = 0;

    if (text.size > 5 && memcmp(text.data, "FREQ=", 5) == 0)
        return rrule_fault(text);
    while (at <= text.size) {
        static const char days[] = "MOTUWETHFRSASU";
        struct span day = next_part(text, &at, ',');
        unsigned bit = 1;

        if (!weekday(day))
            return "must be weekdays, as MO,TU,WE,TH,FR,SA,SU, or a recurrence rule (FREQ=...)";
        for (size_t i = 0; memcmp(day.data, days + i, 2) != 0; i += 2)
            bit <<= 1;
        if (seen & bit)
            return "must name each weekday once";
        seen |= bit;
    }
    return NULL;
}

static bool is_alnum(uint8_t c)
{
    return is_digit(c) || is_letter(c);
}

static bool concept_valid(struct span text)
{
    return text.size == 12 && text.data[4] == '_' && text.data[8] == '_' &&
           all(span_of(text.data, 4), is_alnum) && all(span_of(text.data + 5, 3), is_alnum) &&
           all(span_of(text.data + 9, 3), is_alnum);
}

/* torg.example.se:8490, [2001:db8::1]:8490: an authority whose port is not left out. */
static bool endpoint_valid(struct span text)
{
    size_t digits = 0;

    while (digits < text.size && is_digit(text.data[text.size - 1 - digits]))
        digits++;
    return digits > 0 && digits + 1 < text.size && text.data[text.size - 1 - digits] == ':' &&
           authority_valid(text);
}

/* 56, 56.1, 56.10, 56.100 or the same without the point. */
static bool sni_valid(struct span text)
{
    if (text.size > 3 && text.data[2] == '.')
        return text.size <= 6 && all(span_of(text.data, 2), is_digit) &&
               all(span_of(text.data + 3, text.size - 3), is_digit);
    return sized(text, 2, 5, is_digit);
}

/* One flat switch: each format and what it accepts. */
const char *listing_value_fault(enum listing_format format, struct span text)
{
    switch (format) {
    case LISTING_FORMAT_NONE:
    case LISTING_FORMAT_PARAGRAPHS:
    case LISTING_FORMAT_DAY_END:
    case LISTING_FORMAT_MUNICIPALITY: /* needs the country: see its own function */
        return NULL;
    case LISTING_FORMAT_COUNTRY:
        return country_fault(text);
    case LISTING_FORMAT_ORGANISATION:
        return organisation_fault(text);
    case LISTING_FORMAT_EMAIL:
        return email_fault(text);
    case LISTING_FORMAT_TELEPHONE:
        return telephone_fault(text);
    case LISTING_FORMAT_LANGUAGE:
        return language_fault(text);
    case LISTING_FORMAT_ZONE:
        return zone_name_valid(text) ? NULL : "must be an IANA time zone, as Europe/Stockholm";
    case LISTING_FORMAT_DATE:
        return date_fault(text);
    case LISTING_FORMAT_LOCAL:
        return local_fault(text);
    case LISTING_FORMAT_CLOCK:
        return clock_fault(text);
    case LISTING_FORMAT_RRULE:
        return rrule_fault(text);
    case LISTING_FORMAT_DAYS:
        return days_fault(text);
    case LISTING_FORMAT_SHA256:
        return sized(text, 64, 64, is_hex) ? NULL : "must be 64 lower-case hex digits";
    case LISTING_FORMAT_CONCEPT:
        return concept_valid(text) ? NULL : "must be a JobTech concept id, as fg7B_yov_smw";
    case LISTING_FORMAT_QUALIFICATION:
        return concept_valid(text) || theme_slug_valid(text)
                   ? NULL
                   : "must be a slug (a-z, 0-9 and hyphens) or a JobTech concept id";
    case LISTING_FORMAT_SSYK:
        return sized(text, 1, 4, is_digit) ? NULL : "must be an SSYK 2012 code of 1 to 4 digits";
    case LISTING_FORMAT_SUN:
        return sized(text, 1, 6, is_alnum) ? NULL : "must be a SUN code, as 480b";
    case LISTING_FORMAT_SNI:
        return sni_valid(text) ? NULL : "must be an SNI code, as 56.100";
    case LISTING_FORMAT_DIGITS:
        return sized(text, 1, 12, is_digit) ? NULL : "must be digits";
    case LISTING_FORMAT_WIKIDATA:
        return text.size > 1 && text.data[0] == 'Q' &&
                       sized(span_of(text.data + 1, text.size - 1), 1, 12, is_digit)
                   ? NULL
                   : "must be a Wikidata item, as Q25579";
    case LISTING_FORMAT_ORIGIN:
        return sized(text, 64, 64, is_hex) ? NULL
                                           : "must be an origin id: 64 lower-case hex digits";
    case LISTING_FORMAT_SLUG:
        return theme_slug_valid(text) ? NULL : "must be a slug: a-z, 0-9 and hyphens";
    case LISTING_FORMAT_ENDPOINT:
        return endpoint_valid(text) ? NULL : "must be HOST:PORT, as torg.example.se:8490";
    }
    return NULL;
}

/* ISO 4217: those in which a price is not counted in hundredths. */
unsigned listing_value_currency_decimals(struct span currency)
{
    static const char none[] = "BIFCLPDJFGNFISKJPYKMFKRWPYGRWFUGXUYIVNDVUVXAFXOFXPF";
    static const char three[] = "BHDIQDJODKWDLYDOMRTND";

    for (size_t i = 0; currency.size == 3 && i + 3 < sizeof(none); i += 3) {
        if (memcmp(none + i, currency.data, 3) == 0)
            return 0;
    }
    for (size_t i = 0; currency.size == 3 && i + 3 < sizeof(three); i += 3) {
        if (memcmp(three + i, currency.data, 3) == 0)
            return 3;
    }
    return 2;
}

const char *listing_value_currency_fault(struct span currency)
{
    return sized(currency, 3, 3, is_upper) ? NULL
                                           : "must be three capital letters (ISO 4217), as SEK";
}
