/* SPDX-License-Identifier: Apache-2.0
 *
 * The full form of a registration: what must hold, and what it changes.
 */
#ifndef SEALWAY_BROKER_ENROL_H
#define SEALWAY_BROKER_ENROL_H

#include "broker/broker.h"
#include "proto/register.h"
#include "proto/registration.h"

/* Decodes the signed part into *r and checks everything but signatures.  n: the
 * node on record, NULL for a newcomer.  ERR_BODY with *param (static). */
enum err enrol_check(const struct broker *b, const struct registration_msg *m, struct registration *r,
		     const struct node *n, const char **param) MUST_USE;

/* Applies a checked and verified registration (enrol_check in the same turn).
 * Submits all of its ops but the last, which is *op.  ERR_BODY with *param when
 * a newcomer's id is taken. */
enum err enrol_apply(struct broker *b, const struct registration_msg *m, const struct registration *r,
		     const uint8_t sign_key[KEY_BYTES], struct node *n, struct store_op **op,
		     const char **param) MUST_USE;

#endif
