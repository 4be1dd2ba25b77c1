/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_ERR_H
#define TORG_PROTOCOL_ERR_H

/*
 * The one error type of torg. A function that can fail returns it and nothing
 * else; its results go out through ret_ parameters, written on success only.
 */
enum torg_err {
    TORG_OK = 0,
    TORG_E_NOMEM,       /* an allocation failed */
    TORG_E_TRUNCATED,   /* the bytes end too early; on a stream, wait for more */
    TORG_E_TOO_BIG,     /* longer, deeper or more than its named limit */
    TORG_E_PROFILE,     /* not in the strict msgpack profile */
    TORG_E_INVALID,     /* well formed, but a field breaks its rule */
    TORG_E_SIGNATURE,   /* a signature does not verify, or its key is not listed */
    TORG_E_MISMATCH,    /* a hash or root differs from the one that was promised */
    TORG_E_KNOWN,       /* already held; the caller goes on quietly */
    TORG_E_STALE,       /* older than what is held */
    TORG_E_GAP,         /* something in between is missing; ask for it first */
    TORG_E_NOT_FOUND,   /* no such thing here */
    TORG_E_NOT_TRUSTED, /* an origin, peer or key that no configuration names */
    TORG_E_UNEXPECTED,  /* right in itself, wrong in this state */
    TORG_E_VERSION,     /* no common protocol version, or a newer file format */
    TORG_E_CORRUPT,     /* what is stored fails its own checks */
    TORG_E_FULL,        /* the map or the disk is full; nothing was changed */
    TORG_E_IO,          /* the operating system refused; errno tells */
    TORG_E_LOCKED,      /* another process holds it */
    TORG_E_BUSY,        /* a bounded queue is full; try again later */
    TORG_E_EXPENSIVE,   /* past the query's work limit; narrow it */
    TORG_E_CONFIG,      /* the configuration is wrong; a message says where */
    TORG_E_RECOVERING,  /* no writes: this origin is still asking its peers */
    TORG_E_INTERNAL,    /* a library failed in a way that it does not explain */
    TORG_E_COUNT
};

/* A short English text for err, never NULL; static storage. Any thread. */
const char *torg_err_text(enum torg_err err);

#endif
