/* SPDX-License-Identifier: Apache-2.0
 *
 * The node's signing key, for all tests of a program.
 */
#ifndef SEALWAY_TESTS_NODE_SIGNER_H
#define SEALWAY_TESTS_NODE_SIGNER_H

#include "tests/unit/node/unit.h"

#include "common/sign.h"

static struct sign_key *sign;

/* For cmocka_run_group_tests. */
static inline int signer_setup(void **state)
{
	static const uint8_t seed[32] = { 4 };

	(void)state;
	sign = sign_key_new(seed);
	return 0;
}

static inline int signer_teardown(void **state)
{
	(void)state;
	sign_key_free(sign);
	return 0;
}

#endif
