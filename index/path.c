/* SPDX-License-Identifier: EUPL-1.2 */
#include "index/path.h"

#include <errno.h>
#include <stdio.h>

enum torg_err path_join(const char *directory, const char *name, char *out, size_t size)
{
    int length = snprintf(out, size, "%s/%s", directory, name);

    if (length < 0 || (size_t)length >= size) {
        errno = ENAMETOOLONG;
        return TORG_E_IO;
    }
    return TORG_OK;
}
