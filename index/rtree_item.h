/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_RTREE_ITEM_H
#define TORG_INDEX_RTREE_ITEM_H

#include "index/rtree_node.h"

/*
 * An item as a leaf entry of 22 bytes, without losing anything.
 *
 * Times are words: bit 31 a flag, the rest whole minutes from the beginning of
 * year 1, from rounded down and through rounded up; 0 and RTREE_MINUTE_OPEN
 * are open ends. Themes are numbers of combinations: below 256 the one theme
 * of that bit, 256 none, above them entries of a dictionary of the database
 * (KV_THEME), and RTREE_THEME_RECORD when that is full.
 *
 * What does not fit is in the item's record, under its document number: times
 * that are not whole minutes, boxes of areas, themes beyond the dictionary. A
 * query reads it only where the answer could differ.
 */
#define RTREE_MINUTE_OPEN 0x7fffffffu
#define RTREE_MINUTE_MASK 0x7fffffffu
#define RTREE_FLAG_RECORD 0x80000000u /* of from: the item has a record */
#define RTREE_FLAG_AREA 0x80000000u   /* of through: its box is not its point */
#define RTREE_THEME_NONE 256
#define RTREE_THEME_RECORD 65535

/* Minutes as words, without flags: of a beginning or of a query's end, and the other two. */
uint32_t rtree_item_minute_down(int64_t ms);
uint32_t rtree_item_minute_up(int64_t ms);
/* Days of rtree_node.h. */
uint16_t rtree_item_day_down(int64_t ms);
uint16_t rtree_item_day_up(int64_t ms);

/*
 * What was looked up in the dictionary, for the length of one transaction:
 * most listings have a theme and the broader ones, and so a combination. All
 * zero at first.
 */
struct rtree_combinations {
    struct rtree_combination *slots; /* owned; NULL until the first */
    size_t slot_count;               /* of each half */
    size_t missed;                   /* lookups that found nothing here */
};
void rtree_combinations_done(struct rtree_combinations *combinations);
/* The themes of a combination number but RTREE_THEME_RECORD. */
enum torg_err rtree_combinations_themes(struct rtree_combinations *combinations,
                                        const struct kv *kv, uint16_t number,
                                        struct theme_set *ret_set);

/* Does item keep the rules of rtree.h? */
bool rtree_item_valid(const struct rtree_item *item);

/* Is a leaf entry all of it, but for a combination of themes that the dictionary has no room for?
 */
bool rtree_item_plain(const struct rtree_item *item);

/* Will packing it write a record? May put its themes into the dictionary. */
enum torg_err rtree_item_recorded(struct kv *kv, struct rtree_combinations *combinations,
                                  const struct rtree_item *item, bool *ret_recorded);
/* The leaf entry of a valid item; writes its record and the dictionary where needed. */
enum torg_err rtree_item_pack(struct kv *kv, uint8_t collection,
                              struct rtree_combinations *combinations,
                              const struct rtree_item *item, struct rtree_entry *ret_entry);
/* Forget the record of an entry that was removed. */
enum torg_err rtree_item_drop(struct kv *kv, uint8_t collection, const struct rtree_entry *entry);

/* The exact fields of the i-th item of a leaf. */
enum torg_err rtree_item_get(const struct kv *kv, uint8_t collection, const struct rtree_node *leaf,
                             unsigned i, struct rtree_item *ret_item);
/* As it stands in the leaf, and with what a parent needs. */
enum torg_err rtree_item_entry(const struct kv *kv, uint8_t collection,
                               struct rtree_combinations *combinations,
                               const struct rtree_node *leaf, unsigned i,
                               struct rtree_entry *ret_entry);
/*
 * What a parent says of a leaf. Its box, items and themes are exact; its days
 * follow from the items' words, which are a minute wide where there is a
 * record, so that they are found without it.
 */
enum torg_err rtree_item_sum(const struct kv *kv, uint8_t collection,
                             struct rtree_combinations *combinations, const struct rtree_node *leaf,
                             struct rtree_entry *ret_sum);

/* The exact fields that are not in the leaf. TORG_E_CORRUPT when absent. */
enum torg_err rtree_item_record(const struct kv *kv, uint8_t collection, uint32_t document,
                                struct rtree_item *ret_item);
/* The themes of a combination number but RTREE_THEME_RECORD. */
enum torg_err rtree_item_themes(const struct kv *kv, uint16_t number, struct theme_set *ret_set);

#endif
