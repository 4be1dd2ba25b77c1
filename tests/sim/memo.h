/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_TESTS_SIM_MEMO_H
#define TORG_TESTS_SIM_MEMO_H

#include "protocol/seal.h"

/* --break: from now on every signature is believed, or none any more without looking. */
void memo_gullible(bool is_gullible);

#endif
