/* SPDX-License-Identifier: Apache-2.0
 *
 * Forgetting settled requests after their time (remember_days).
 */
#ifndef SEALWAY_BROKER_PURGE_H
#define SEALWAY_BROKER_PURGE_H

#include "broker/broker.h"

/* Starts forgetting, a little at a time, for as long as the broker lives. */
void purge_start(struct broker *b);

#endif
