/* SPDX-License-Identifier: EUPL-1.2 */
#include <assert.h>

#include "protocol/seal.h"
#include "tests/support/hostile.h"

/*
 * An origin that signs whatever the input tells it to, and one node: see
 * hostile.h for what must hold after each step.
 */
#define INPUT_BYTES_MAX 512 /* Everything is verified after each step: short stories find more. */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    assert(!seal_init());
    hostile_run(data, size < INPUT_BYTES_MAX ? size : INPUT_BYTES_MAX);
    return 0;
}
