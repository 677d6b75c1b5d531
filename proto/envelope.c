/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of a sealed request's members (envelope.h).
 */
#include "proto/envelope.h"

const char *const member_names[M_COUNT] = {
	[M_CIPHERTEXT] = "ciphertext",
	[M_NONCE] = "nonce",
	[M_SALT] = "salt",
	[M_CLIENT_KEY] = "client_dh_public_key",
	[M_NODE_KEY] = "node_dh_public_key",
	[M_PLAIN_HASH] = "plaintext_body_hash",
	[M_MODEL] = "model_name",
	[M_STACK] = "stack_small_id",
	[M_STREAM] = "stream",
	[M_UNITS] = "num_compute_units",
};
