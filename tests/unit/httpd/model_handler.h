/* SPDX-License-Identifier: Apache-2.0
 *
 * The server's side of test_model.c; see model_handler.c.
 */
#ifndef SEALWAY_TESTS_UNIT_HTTPD_MODEL_HANDLER_H
#define SEALWAY_TESTS_UNIT_HTTPD_MODEL_HANDLER_H

#include <stdio.h>

#include "tests/unit/httpd/model.h"

extern struct handler_sums {
	unsigned seen, gone, aborted;
} handler_sums;

/* find_ask: the request of an id, or NULL; any_ask: one of the round, or NULL. */
void handler_reset(struct ask *(*find_ask)(unsigned id), struct ask *(*any_ask)(void));

/* For httpd_opts. */
void handler_request(void *arg, struct hreq *r);

/* Goes on with an answer, if there is one to go on with. */
void handler_step(struct ask *a);

#endif
