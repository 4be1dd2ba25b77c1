/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_LOCAL_INTERNAL_H
#define TORG_INDEX_LOCAL_INTERNAL_H

#include "index/local.h"

/* The keys of KV_LOCAL, for local*.c only. docs/storage.md shows them. */
enum { LOCAL_ROW_COLLECTION = 1, LOCAL_ROW_FEATURE = 2, LOCAL_ROW_ID = 3 };
#define LOCAL_FEATURE_KEY_BYTES 9 /* kind, collection, feature */
#define LOCAL_ID_KEY_BYTES 21     /* kind, collection, hash of the id */
#define LOCAL_NAME_KEY_BYTES_MAX (LOCAL_NAME_BYTES_MAX + 1)

struct local_feature_key {
    uint8_t bytes[LOCAL_FEATURE_KEY_BYTES];
};
struct local_feature_key local_feature_key(uint32_t collection, uint32_t feature);
struct span local_id_key(uint32_t collection, struct span id, uint8_t bytes[LOCAL_ID_KEY_BYTES]);
struct span local_name_key(struct span name, uint8_t bytes[LOCAL_NAME_KEY_BYTES_MAX]);

#endif
