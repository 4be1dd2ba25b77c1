/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/num.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MS_PER_SECOND 1000
#define SECONDS_PER_DAY 86400
#define MS_PER_DAY ((int64_t)SECONDS_PER_DAY * MS_PER_SECOND)
#define DAY_FIRST INT64_C(-719162) /* 0001-01-01 */
#define DAY_LAST INT64_C(2932896)  /* 9999-12-31 */
#define TIME_MS_MIN (DAY_FIRST * MS_PER_DAY)
#define TIME_MS_MAX ((DAY_LAST + 1) * MS_PER_DAY - 1)

#define SCALE_MAX 9
#define DIGITS_MAX 24 /* of a 64-bit number */

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* ---- a cursor over text ---- */

static bool next_is(const struct reader *in, char c)
{
    return reader_left(in) && *in->at == (uint8_t)c;
}

static bool take(struct reader *in, char c)
{
    if (!next_is(in, c))
        return false;
    in->at++;
    return true;
}

/* The digits that follow, none or more. */
static struct span take_digits(struct reader *in)
{
    const uint8_t *from = in->at;

    while (reader_left(in) && is_digit(*in->at))
        in->at++;
    return span_of(from, (size_t)(in->at - from));
}

/* ---- whole numbers ---- */

enum torg_err num_parse_int(struct span text, int64_t min, int64_t max, int64_t *ret_value)
{
    struct reader in = reader_of(text);
    bool negative = take(&in, '-');
    struct span digits = take_digits(&in);
    int64_t value = 0; /* Counted downwards: INT64_MIN has no positive twin. */

    if (digits.size == 0 || reader_left(&in))
        return TORG_E_INVALID;
    for (size_t i = 0; i < digits.size; i++) {
        int digit = digits.data[i] - '0';

        if (value < (INT64_MIN + digit) / 10)
            return TORG_E_TOO_BIG;
        value = value * 10 - digit;
    }
    if (!negative && value == INT64_MIN)
        return TORG_E_TOO_BIG;
    value = negative ? value : -value;
    if (value < min || value > max)
        return TORG_E_TOO_BIG;
    *ret_value = value;
    return TORG_OK;
}

void num_put_int(struct buffer *out, int64_t value)
{
    num_put_fixed(out, value, 0);
}

/* ---- decimals ---- */

/* whole.fraction times 10^exponent, as written. */
struct decimal {
    bool negative;
    struct span whole;
    struct span fraction;
    int64_t exponent;
};

/* Beyond this no digit that fits in memory brings the value back into range. */
#define EXPONENT_MAX INT64_C(1000000000000000)

static enum torg_err exponent_read(struct reader *in, int64_t *ret_exponent)
{
    bool negative = take(in, '-');
    struct span digits;
    int64_t exponent = 0;

    if (!negative)
        take(in, '+');
    digits = take_digits(in);
    if (digits.size == 0)
        return TORG_E_INVALID;
    for (size_t i = 0; i < digits.size && exponent < EXPONENT_MAX; i++)
        exponent = exponent * 10 + (digits.data[i] - '0');
    *ret_exponent = negative ? -exponent : exponent;
    return TORG_OK;
}

static enum torg_err decimal_read(struct span text, bool allow_exponent, struct decimal *ret)
{
    struct reader in = reader_of(text);
    struct decimal decimal = {.negative = take(&in, '-')};

    decimal.whole = take_digits(&in);
    if (decimal.whole.size == 0)
        return TORG_E_INVALID;
    if (take(&in, '.')) {
        decimal.fraction = take_digits(&in);
        if (decimal.fraction.size == 0)
            return TORG_E_INVALID;
    }
    if (allow_exponent && (take(&in, 'e') || take(&in, 'E'))) {
        if (exponent_read(&in, &decimal.exponent))
            return TORG_E_INVALID;
    }
    if (reader_left(&in))
        return TORG_E_INVALID;
    *ret = decimal;
    return TORG_OK;
}

static unsigned decimal_digit(const struct decimal *decimal, size_t at)
{
    if (at < decimal->whole.size)
        return decimal->whole.data[at] - '0';
    return decimal->fraction.data[at - decimal->whole.size] - '0';
}

enum torg_err num_parse_fixed(struct span text, unsigned scale, bool allow_exponent,
                              int64_t *ret_value)
{
    struct decimal decimal;
    enum torg_err err = decimal_read(text, allow_exponent, &decimal);
    uint64_t value = 0;
    size_t written;
    int64_t kept; /* how many digits stand before the rounding */

    assert(scale <= SCALE_MAX);
    if (err)
        return err;
    written = decimal.whole.size + decimal.fraction.size;
    kept = (int64_t)decimal.whole.size + decimal.exponent + (int64_t)scale;
    for (int64_t i = 0; i < kept; i++) {
        unsigned digit = 0;

        if (i < (int64_t)written)
            digit = decimal_digit(&decimal, (size_t)i);
        else if (value == 0)
            break; /* Zero, however many zeros follow. */
        if (value > ((uint64_t)INT64_MAX - digit) / 10)
            return TORG_E_TOO_BIG;
        value = value * 10 + digit;
    }
    /* Half away from zero depends on the first digit that is dropped, on no other. */
    if (kept >= 0 && kept < (int64_t)written && decimal_digit(&decimal, (size_t)kept) >= 5)
        value++;
    if (value > INT64_MAX)
        return TORG_E_TOO_BIG;
    *ret_value = decimal.negative ? -(int64_t)value : (int64_t)value;
    return TORG_OK;
}

void num_put_fixed(struct buffer *out, int64_t value, unsigned scale)
{
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    char digits[DIGITS_MAX];
    size_t at = sizeof(digits);
    bool shown = false; /* a digit of the fraction that is not a trailing zero */

    assert(scale <= SCALE_MAX);
    for (unsigned i = 0; i < scale; i++) {
        unsigned digit = (unsigned)(rest % 10);

        rest /= 10;
        shown = shown || digit;
        if (shown)
            digits[--at] = (char)('0' + digit);
    }
    if (shown)
        digits[--at] = '.';
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (value < 0)
        digits[--at] = '-';
    buffer_put(out, digits + at, sizeof(digits) - at);
}

/*
 * A number of at most 15 digits that is divided by at most 10^22: both are exact in a
 * double, so the quotient is the nearest one (Clinger, "How to read floating point numbers
 * accurately", 1990). Coordinates are such, and strtod takes four times as long.
 */
static bool decimal_is_short(const struct decimal *decimal, double *ret_value)
{
    static const double powers[] = {1e0, 1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    uint64_t value = 0;

    if (decimal->exponent != 0 || decimal->whole.size + decimal->fraction.size > 15)
        return false;
    for (size_t i = 0; i < decimal->whole.size; i++)
        value = value * 10 + (decimal->whole.data[i] - '0');
    for (size_t i = 0; i < decimal->fraction.size; i++)
        value = value * 10 + (decimal->fraction.data[i] - '0');
    *ret_value = (double)value / powers[decimal->fraction.size];
    if (decimal->negative)
        *ret_value = -*ret_value;
    return true;
}

enum torg_err num_parse_double(struct span text, double *ret_value)
{
    char copy[NUM_DOUBLE_BYTES_MAX + 1];
    struct decimal decimal;
    enum torg_err err;
    double value;

    if (text.size > NUM_DOUBLE_BYTES_MAX)
        return TORG_E_TOO_BIG;
    err = decimal_read(text, true, &decimal);
    if (err)
        return err;
    if (decimal_is_short(&decimal, ret_value))
        return TORG_OK;
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    value = strtod(copy, NULL);
    if (!isfinite(value))
        return TORG_E_TOO_BIG;
    *ret_value = value;
    return TORG_OK;
}

/* ---- times ---- */

/* Exactly count digits as a number; the caller has bounded count to 4. */
static unsigned take_number(struct reader *in, size_t count)
{
    struct span digits = reader_bytes(in, count);
    unsigned value = 0;

    for (size_t i = 0; i < digits.size; i++) {
        if (!is_digit(digits.data[i])) {
            in->err = TORG_E_INVALID;
            return 0;
        }
        value = value * 10 + (digits.data[i] - '0');
    }
    return value;
}

static void expect(struct reader *in, char c)
{
    if (!take(in, c) && !in->err)
        in->err = TORG_E_INVALID;
}

/*
 * Days since 1970-01-01 in the Gregorian calendar, by counting years from
 * March, so that the leap day comes last (Richards, "Mapping time", 1998).
 */
static int64_t day_of_date(unsigned year, unsigned month, unsigned day)
{
    unsigned y = month <= 2 ? year - 1 : year;
    unsigned from_march = month <= 2 ? month + 9 : month - 3;
    unsigned day_of_year = (153 * from_march + 2) / 5 + day - 1;

    return (int64_t)365 * y + y / 4 - y / 100 + y / 400 + day_of_year - 719468;
}

static void date_of_day(int64_t day, unsigned *ret_year, unsigned *ret_month, unsigned *ret_day)
{
    unsigned days = (unsigned)(day + 719468); /* since 0000-03-01 */
    unsigned era = days / 146097;
    unsigned in_era = days % 146097;
    unsigned year = (in_era - in_era / 1460 + in_era / 36524 - in_era / 146096) / 365;
    unsigned in_year = in_era - (365 * year + year / 4 - year / 100);
    unsigned from_march = (5 * in_year + 2) / 153;

    *ret_day = in_year - (153 * from_march + 2) / 5 + 1;
    *ret_month = from_march < 10 ? from_march + 3 : from_march - 9;
    *ret_year = year + 400 * era + (*ret_month <= 2);
}

static unsigned days_in_month(unsigned year, unsigned month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

    return month == 2 && leap ? 29 : days[month - 1];
}

static int64_t take_date(struct reader *in)
{
    unsigned year;
    unsigned month;
    unsigned day;

    year = take_number(in, 4);
    expect(in, '-');
    month = take_number(in, 2);
    expect(in, '-');
    day = take_number(in, 2);
    if (in->err)
        return 0;
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month)) {
        in->err = TORG_E_INVALID;
        return 0;
    }
    return day_of_date(year, month, day);
}

/* "Z" or "+01:00", in minutes to be taken away. */
static int take_zone(struct reader *in)
{
    bool west;
    unsigned hours;
    unsigned minutes;

    if (take(in, 'Z') || take(in, 'z'))
        return 0;
    west = take(in, '-');
    if (!west)
        expect(in, '+');
    hours = take_number(in, 2);
    expect(in, ':');
    minutes = take_number(in, 2);
    if (hours > 23 || minutes > 59)
        in->err = TORG_E_INVALID;
    return (west ? -1 : 1) * (int)(hours * 60 + minutes);
}

/* ".25": whole milliseconds; what is finer is dropped. */
static unsigned take_fraction(struct reader *in)
{
    struct span digits;
    unsigned ms = 0;

    if (!take(in, '.'))
        return 0;
    digits = take_digits(in);
    if (digits.size == 0)
        in->err = TORG_E_INVALID;
    for (size_t i = 0; i < 3; i++)
        ms = ms * 10 + (i < digits.size ? (unsigned)digits.data[i] - '0' : 0);
    return ms;
}

enum torg_err num_parse_time(struct span text, int64_t *ret_ms)
{
    struct reader in = reader_of(text);
    int64_t seconds = take_date(&in) * SECONDS_PER_DAY;
    unsigned hour;
    unsigned minute;
    unsigned second;
    unsigned ms;

    if (!take(&in, 't'))
        expect(&in, 'T');
    hour = take_number(&in, 2);
    expect(&in, ':');
    minute = take_number(&in, 2);
    expect(&in, ':');
    second = take_number(&in, 2);
    ms = take_fraction(&in);
    seconds += (int64_t)hour * 3600 + (int64_t)minute * 60 + second;
    seconds -= (int64_t)take_zone(&in) * 60;
    if (in.err || reader_left(&in))
        return TORG_E_INVALID;
    if (hour > 23 || minute > 59 || second > 60)
        return TORG_E_INVALID;
    /* A leap second ends a day in UTC; it counts as the first of the next day. */
    if (second == 60 && seconds % SECONDS_PER_DAY != 0)
        return TORG_E_INVALID;
    if (seconds < TIME_MS_MIN / MS_PER_SECOND || seconds > TIME_MS_MAX / MS_PER_SECOND)
        return TORG_E_TOO_BIG;
    *ret_ms = seconds * MS_PER_SECOND + ms;
    return TORG_OK;
}

/* The last count digits of value and a sign: printf would take a tenth of an ingest's time. */
static void put_digits(struct buffer *out, unsigned value, size_t count, char after)
{
    char text[5];

    text[count] = after;
    for (size_t i = count; i > 0; i--) {
        text[i - 1] = (char)('0' + value % 10);
        value /= 10;
    }
    buffer_put(out, text, count + 1);
}

void num_put_time(struct buffer *out, int64_t ms)
{
    int64_t since_first = (ms < TIME_MS_MIN   ? TIME_MS_MIN
                           : ms > TIME_MS_MAX ? TIME_MS_MAX
                                              : ms) -
                          TIME_MS_MIN;
    unsigned in_day = (unsigned)(since_first % MS_PER_DAY);
    unsigned second = in_day / MS_PER_SECOND;
    unsigned year;
    unsigned month;
    unsigned day;

    date_of_day(since_first / MS_PER_DAY + DAY_FIRST, &year, &month, &day);
    put_digits(out, year, 4, '-');
    put_digits(out, month, 2, '-');
    put_digits(out, day, 2, 'T');
    put_digits(out, second / 3600, 2, ':');
    put_digits(out, second / 60 % 60, 2, ':');
    if (in_day % MS_PER_SECOND) {
        put_digits(out, second % 60, 2, '.');
        put_digits(out, in_day % MS_PER_SECOND, 3, 'Z');
    } else {
        put_digits(out, second % 60, 2, 'Z');
    }
}

enum torg_err num_parse_date(struct span text, int64_t *ret_from_ms, int64_t *ret_through_ms)
{
    struct reader in = reader_of(text);
    int64_t day = take_date(&in);

    if (in.err || reader_left(&in))
        return TORG_E_INVALID;
    *ret_from_ms = day * MS_PER_DAY;
    *ret_through_ms = (day + 1) * MS_PER_DAY - 1;
    return TORG_OK;
}
