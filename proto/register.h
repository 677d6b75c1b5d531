/* SPDX-License-Identifier: Apache-2.0
 *
 * POST /v1/nodes between gateway and broker (PROTOCOL section 8).  The broker
 * verifies both signatures; the gateway only checks the shape.
 */
#ifndef SEALWAY_PROTO_REGISTER_H
#define SEALWAY_PROTO_REGISTER_H

#include "proto/msg.h"

/* [v, REGISTER, rid, data, node, address, country, signature, registration | nil,
 *  registration_signature | nil, evidence | nil].  Answered by ANSWER (query.h) with an empty
 * body, or REFUSE. */
struct registration_msg {
	uint8_t rid[RID_BYTES];
	struct slice data; /* `data` serialised compactly: the bytes that signature covers */
	uint64_t node;
	struct slice address;                /* <= URL_BYTES_MAX */
	struct slice country;                /* <= 64 bytes */
	struct slice signature;              /* base64 text */
	struct slice registration;           /* msgpack bytes (registration.h), or empty */
	struct slice registration_signature; /* base64 text, or empty */
	struct slice evidence;               /* raw bytes <= EVIDENCE_BYTES_MAX, or empty */
};

/* Appends the message to out. */
void register_encode(const struct registration_msg *m, struct buf *out);
/* ERR_VERSION or ERR_FORMAT; slices borrow from bytes; *out is written only on success. */
enum err register_decode(struct slice bytes, struct registration_msg *out) MUST_USE;

#endif
