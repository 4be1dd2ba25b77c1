/* SPDX-License-Identifier: EUPL-1.2 */
#include "tests/support/world_hours.h"

#include <string.h>

#include "protocol/profile.h"

#define MINUTE_MS INT64_C(60000)
#define WEEK_MINUTES (7 * 24 * 60)
/* 2026-03-29 and 2026-10-25, 01:00 UTC: the world's times lie from the one to after the other. */
#define SUMMER_FROM_MS INT64_C(1774746000000)
#define SUMMER_UNTIL_MS INT64_C(1792890000000)
#define MONDAY_MS INT64_C(345600000) /* 1970-01-05 */

struct hours {
    const char *days, *opens, *closes, *zone;
    unsigned weekdays;   /* bits, from Monday */
    int open_m, close_m; /* minutes of the day; over 24 hours: the next one */
    int winter_m;        /* minutes before UTC */
    bool summer;         /* and an hour more */
};
/* None opens or closes between one and four, when clocks are changed. */
static const struct hours table[WORLD_HOURS] = {
    [1] = {"MO,TU,WE,TH,FR", "09:00", "17:00", "Europe/Stockholm", 0x1f, 540, 1020, 60, true},
    [2] = {"SA,SU", "10:00", "14:00", "Europe/Helsinki", 0x60, 600, 840, 120, true},
    [3] = {"MO,TU,WE,TH,FR,SA,SU", "00:00", "24:00", "UTC", 0x7f, 0, 1440, 0, false},
    [4] = {"FR,SA", "22:00", "04:30", "Europe/Oslo", 0x30, 1320, 1710, 60, true},
    [5] = {"SU", "23:30", "23:30", "Europe/Copenhagen", 0x40, 1410, 2850, 60, true},
    [6] = {"MO", "06:00", "06:01", "UTC", 0x01, 360, 361, 0, false},
    [7] = {"FREQ=WEEKLY;BYDAY=TU,TH", "12:00", "20:00", "Europe/Stockholm", 0x0a, 720, 1200, 60,
           true},
    [8] = {"MO,TU,WE,TH,FR,SA,SU", "00:00", "24:00", "Asia/Tokyo", 0, 0, 1440, 540, false},
};

void world_hours_put(struct buffer *out, unsigned kind)
{
    const struct hours *hours = &table[kind];

    if (kind == 0)
        return;
    pack_str(out, span_of_str("openingHours"));
    pack_array(out, 1);
    pack_array(out, 6);
    pack_str(out, span_of_str(hours->days));
    pack_str(out, span_of_str(hours->opens));
    pack_str(out, span_of_str(hours->closes));
    pack_str(out, span_of_str(hours->zone));
    pack_nil(out);
    pack_nil(out);
}

bool world_hours_open(unsigned kind, int64_t utc_ms)
{
    const struct hours *hours = &table[kind];
    bool summer = hours->summer && utc_ms >= SUMMER_FROM_MS && utc_ms < SUMMER_UNTIL_MS;
    int64_t local_ms = utc_ms + (hours->winter_m + (summer ? 60 : 0)) * MINUTE_MS;
    int64_t minute = (local_ms - MONDAY_MS) / MINUTE_MS % WEEK_MINUTES;

    for (int day = 0; day < 7; day++) {
        int64_t since = (minute - day * 1440 - hours->open_m + 2 * WEEK_MINUTES) % WEEK_MINUTES;

        if (hours->weekdays >> day & 1 && since < hours->close_m - hours->open_m)
            return true;
    }
    return false;
}
