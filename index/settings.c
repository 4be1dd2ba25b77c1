/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/settings.h"

#include <string.h>

#define SETTINGS_OWN "own"

enum torg_err settings_own_get(const struct kv *kv, struct origin_id *ret_own)
{
    struct span value;
    enum torg_err err = kv_get(kv, KV_META, span_of_str(SETTINGS_OWN), &value);

    if (err)
        return err;
    if (value.size != sizeof(ret_own->bytes))
        return TORG_E_CORRUPT;
    memcpy(ret_own->bytes, value.data, sizeof(ret_own->bytes));
    return TORG_OK;
}

enum torg_err settings_own_set(struct kv *kv, const struct origin_id *own)
{
    struct origin_id before;
    enum torg_err err = settings_own_get(kv, &before);

    if (!err)
        return memcmp(&before, own, sizeof(before)) == 0 ? TORG_OK : TORG_E_KNOWN;
    if (err != TORG_E_NOT_FOUND)
        return err;
    return kv_put(kv, KV_META, span_of_str(SETTINGS_OWN), span_of(own->bytes, sizeof(own->bytes)));
}
