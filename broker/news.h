/* SPDX-License-Identifier: Apache-2.0
 *
 * What is worth a line in the log, of things that are tried over and over.
 */
#ifndef SEALWAY_BROKER_NEWS_H
#define SEALWAY_BROKER_NEWS_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/limits.h"

/* True for somebody (a key, say) who was not told of in the last ten seconds before now (ms).  Of more at a
 * time than there is room for, the rest is counted and not told. */
bool news(const uint8_t who[KEY_BYTES], uint64_t now);

#endif
