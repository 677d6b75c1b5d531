/* SPDX-License-Identifier: Apache-2.0
 *
 * The members of a sealed request (docs/PROTOCOL.md, A sealed request), named
 * once for the gateway, which checks their shape, and the node, which checks
 * them again because it trusts no proxy.  Pure names: what each must be is the
 * checker's own.
 */
#ifndef SEALWAY_PROTO_ENVELOPE_H
#define SEALWAY_PROTO_ENVELOPE_H

enum member {
	M_CIPHERTEXT,
	M_NONCE,
	M_SALT,
	M_CLIENT_KEY,
	M_NODE_KEY,
	M_PLAIN_HASH,
	M_MODEL,
	M_STACK,
	M_STREAM,
	M_UNITS,
	M_COUNT
};

/* The name of each member as it stands in the JSON object. */
extern const char *const member_names[M_COUNT];

#endif
