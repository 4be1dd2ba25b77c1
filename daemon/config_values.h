/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_DAEMON_CONFIG_VALUES_H
#define TORG_DAEMON_CONFIG_VALUES_H

#include "daemon/config.h"

/*
 * How the values of federation.conf are read; for config.c. Each returns false when the
 * text is not one, and sets its outputs only otherwise. size: of out, with its end.
 */

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define TIB (1024 * GIB)

/* Decimal digits alone, no sign, no space; *ret_rest is what follows them. */
bool config_read_digits(const char *text, uint64_t *ret_value, const char **ret_rest);
bool config_read_bytes(const char *text, uint64_t *ret_value);
bool config_read_seconds(const char *text, uint64_t *ret_value);
/* A host, by name or number, and a port. */
bool config_read_dialable(const char *text, struct config_address *ret_address);
/* Numeric addresses with ports, at most CONFIG_LISTEN_MAX; or "none". */
bool config_read_listen(const char *text, struct config_address *out, size_t *ret_count);
/* Numeric addresses, each with or without "/bits", at most CONFIG_NETWORKS_MAX; or "none". */
bool config_read_networks(const char *text, struct config_network *out, size_t *ret_count);
bool config_read_text(const char *text, char *out, size_t size);
/* A relative path starts where file is, so that a directory can be moved as a whole. */
bool config_read_path(const char *file, const char *text, char *out, size_t size);
bool config_read_base_path(const char *text, char *out, size_t size);
bool config_read_base_url(const char *text, char *out, size_t size);
/* "all", or names (numbers for those without one) of collections; never none. */
bool config_read_collections(const char *text, uint32_t *ret_mask);
bool config_read_yes_no(const char *text, uint32_t *ret_yes);
bool config_read_level(const char *text, uint32_t *ret_level);

#endif
