/* SPDX-License-Identifier: EUPL-1.2 */
#include <string.h>

#include "index/filter_internal.h"
#include "protocol/num.h"
#include "protocol/zone.h"

/* A day of a local calendar, from its midnight to before the next. */
static bool local_day(struct span day, struct span zone, struct cql2_instant *ret_instant)
{
    struct zone_local local;

    if (!zone_known(zone))
        return num_parse_date(day, &ret_instant->from_ms, &ret_instant->through_ms) == TORG_OK;
    if (zone_local_parse(day, &local))
        return false;
    ret_instant->from_ms = zone_utc_ms(zone, local.local_ms, NULL);
    ret_instant->through_ms = zone_utc_ms(zone, local.local_ms + ZONE_DAY_MS, NULL) - 1;
    return true;
}

/* RFC 3339, with a zone behind it (RFC 9557) or not; a day as well. Without an offset: UTC. */
bool filter_time(enum cql2_type type, struct span text, struct cql2_instant *ret_instant)
{
    const uint8_t *bracket = text.size ? memchr(text.data, '[', text.size) : NULL;
    struct span zone = {0};
    struct zone_local local;

    if (bracket && text.data[text.size - 1] == ']') {
        zone = span_of(bracket + 1, (size_t)(text.data + text.size - bracket) - 2);
        text.size = (size_t)(bracket - text.data);
    }
    if (type == CQL2_DATE)
        return num_parse_date(text, &ret_instant->from_ms, &ret_instant->through_ms) == TORG_OK;
    if (text.size == 10)
        return local_day(text, zone, ret_instant);
    if (num_parse_time(text, &ret_instant->from_ms)) {
        if (zone_local_parse(text, &local))
            return false;
        ret_instant->from_ms =
            zone_known(zone) ? zone_utc_ms(zone, local.local_ms, NULL) : local.local_ms;
    }
    ret_instant->through_ms = ret_instant->from_ms;
    return true;
}

int filter_time_compare(struct cql2_instant a, struct cql2_instant b)
{
    return a.through_ms < b.from_ms ? -1 : a.from_ms > b.through_ms ? 1 : 0;
}

/* One flat switch: the relations of OGC 21-065, table 13, which are Allen's (1983). */
bool filter_time_related(enum cql2_op op, const struct filter_period *a,
                         const struct filter_period *b)
{
    int starts = filter_time_compare(a->from, b->from);
    int ends = filter_time_compare(a->through, b->through);
    int end_start = filter_time_compare(a->through, b->from);
    int start_end = filter_time_compare(a->from, b->through);

    switch (op) {
    case CQL2_OP_T_AFTER:
        return start_end > 0;
    case CQL2_OP_T_BEFORE:
        return end_start < 0;
    case CQL2_OP_T_CONTAINS:
        return starts < 0 && ends > 0;
    case CQL2_OP_T_DISJOINT:
        return start_end > 0 || end_start < 0;
    case CQL2_OP_T_DURING:
        return starts > 0 && ends < 0;
    case CQL2_OP_T_EQUALS:
        return starts == 0 && ends == 0;
    case CQL2_OP_T_FINISHED_BY:
        return starts < 0 && ends == 0;
    case CQL2_OP_T_FINISHES:
        return starts > 0 && ends == 0;
    case CQL2_OP_T_INTERSECTS:
        return start_end <= 0 && end_start >= 0;
    case CQL2_OP_T_MEETS:
        return end_start == 0;
    case CQL2_OP_T_MET_BY:
        return start_end == 0;
    case CQL2_OP_T_OVERLAPPED_BY:
        return starts > 0 && start_end < 0 && ends > 0;
    case CQL2_OP_T_OVERLAPS:
        return starts < 0 && end_start > 0 && ends < 0;
    case CQL2_OP_T_STARTED_BY:
        return starts == 0 && ends > 0;
    case CQL2_OP_T_STARTS:
        return starts == 0 && ends < 0;
    default:
        return false;
    }
}
