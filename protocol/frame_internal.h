/* SPDX-License-Identifier: EUPL-1.2 */
#ifndef TORG_PROTOCOL_FRAME_INTERNAL_H
#define TORG_PROTOCOL_FRAME_INTERNAL_H

#include "protocol/frame.h"

/* What frame.c, which reads, and frame_encode.c, which writes, share. Nobody else includes this. */

#define FRAME_MAGIC "torg"

/* How many fields this version knows of each type; 0 for an unknown one. */
uint32_t frame_field_count(uint8_t type);

#endif
