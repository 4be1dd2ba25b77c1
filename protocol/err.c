/* SPDX-License-Identifier: EUPL-1.2 */
#include "protocol/err.h"

static const char *const err_texts[TORG_E_COUNT] = {
    [TORG_OK] = "ok",
    [TORG_E_NOMEM] = "out of memory",
    [TORG_E_TRUNCATED] = "ends too early",
    [TORG_E_TOO_BIG] = "too big",
    [TORG_E_PROFILE] = "not in the strict msgpack profile",
    [TORG_E_INVALID] = "invalid",
    [TORG_E_SIGNATURE] = "bad signature",
    [TORG_E_MISMATCH] = "hash mismatch",
    [TORG_E_KNOWN] = "already known",
    [TORG_E_STALE] = "older than what is held",
    [TORG_E_GAP] = "something in between is missing",
    [TORG_E_NOT_FOUND] = "not found",
    [TORG_E_NOT_TRUSTED] = "not trusted",
    [TORG_E_UNEXPECTED] = "unexpected",
    [TORG_E_VERSION] = "no common version",
    [TORG_E_CORRUPT] = "corrupt",
    [TORG_E_FULL] = "full",
    [TORG_E_IO] = "input/output error",
    [TORG_E_LOCKED] = "locked by another process",
    [TORG_E_BUSY] = "busy",
    [TORG_E_EXPENSIVE] = "query too expensive",
    [TORG_E_CONFIG] = "wrong configuration",
    [TORG_E_RECOVERING] = "recovering",
    [TORG_E_INTERNAL] = "internal error",
};

const char *torg_err_text(enum torg_err err)
{
    if ((unsigned)err >= TORG_E_COUNT)
        return "unknown error";
    return err_texts[err];
}
