/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_INDEX_PATH_H
#define TORG_INDEX_PATH_H

#include <stddef.h>

#include "protocol/err.h"

/* "directory/name" into out. TORG_E_IO with errno ENAMETOOLONG when it does not fit. Any thread. */
enum torg_err path_join(const char *directory, const char *name, char *out, size_t size);

#endif
