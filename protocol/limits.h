/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_LIMITS_H
#define TORG_PROTOCOL_LIMITS_H

/*
 * The maxima of torg/1 that both ends of a connection rely on. What is signed
 * obeys them for ever; see docs/format-log.md and docs/protocol.md. Limits of
 * one module only stand in that module's header.
 */
#define PAYLOAD_BYTES_MAX 65536
#define HEADER_BYTES_MAX 96
#define HEAD_BYTES_MAX 1536
#define BEAT_BYTES_MAX 160
#define CHARTER_BYTES_MAX 16384
#define CHARTERS_MAX 1024
#define FRAME_BYTES_MAX 262144 /* what follows the length field */
#define DELTA_HEADERS_MAX 2048
#define DELTA_PAYLOAD_BYTES_MAX 8388608
#define FETCH_ENTRIES_MAX 512
#define TRIE_PREFIXES_MAX 64
#define ANCESTRY_HEADS_MAX 160
#define ORIGINS_MAX 131072
#define COMMIT_CHANGES_MAX 1024 /* local commits; a received one may be larger */

#define INTEGER_MAX 9007199254740991LL /* 2^53 - 1, either sign */
#define PROFILE_DEPTH_MAX 12

#define COLLECTIONS_MAX 32 /* collection numbers are 1..31, a mask has 32 bits */

#endif
