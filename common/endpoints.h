/* SPDX-License-Identifier: Apache-2.0
 *
 * Settings that name ZeroMQ endpoints of this or another process: ipc:// or tcp://, one,
 * or several with spaces between.
 */
#ifndef SEALWAY_COMMON_ENDPOINTS_H
#define SEALWAY_COMMON_ENDPOINTS_H

#include <stdbool.h>

#include "common/err.h"

/* Calls each with every endpoint of list, in order, until it fails; its error.  The text lasts for the call.
 */
enum err endpoints_each(const char *list, enum err (*each)(void *arg, const char *endpoint),
			void *arg) MUST_USE;

/* Whether the host of one of them is a name, which ZeroMQ looks up on its own thread at each connect. */
bool endpoints_named(const char *list);

/* Whether zsock_bind or zsock_connect could take every endpoint of list, with CURVE keys or without, and
 * there are 1 to most.  ERR_CONFIG after a log line for each that is not in order. */
enum err endpoints_check(const char *setting, const char *list, unsigned most, bool curve,
			 bool insecure) MUST_USE;

/* The same for a setting that is one endpoint, whose path may have spaces. */
enum err endpoints_check_one(const char *setting, const char *endpoint, bool curve, bool insecure) MUST_USE;

#endif
