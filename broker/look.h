/* SPDX-License-Identifier: Apache-2.0
 *
 * What a start of the broker would find wrong with its settings, for --check-config.
 */
#ifndef SEALWAY_BROKER_LOOK_H
#define SEALWAY_BROKER_LOOK_H

#include "broker/conf.h"

/* Looks at user, keys, allow-list and admin_listen, says of each in the log what is wrong with it, and leaves
 * nothing behind.  Not at the ledger: that is check_ledger's.  ERR_CONFIG if anything is wrong. */
enum err broker_look(const struct broker_conf *c) MUST_USE;

#endif
