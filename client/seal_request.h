/* SPDX-License-Identifier: Apache-2.0
 *
 * From a plaintext request to the body of PROTOCOL section 2.
 */
#ifndef SEALWAY_CLIENT_SEAL_REQUEST_H
#define SEALWAY_CLIENT_SEAL_REQUEST_H

#include "client/lock.h"
#include "common/seal/seal.h"

/* What has to be remembered of a sealed request to open its answer. */
struct sealed {
	uint8_t key[SEAL_KEY];         /* secret; wiped by sealed_wipe */
	uint8_t nonce[SEAL_NONCE];     /* the request's own */
	uint8_t plain_hash[KEY_BYTES]; /* H(padded plaintext) */
};

/* Whether r can be sealed: USAGE when its model is not UTF-8, or the plaintext no JSON object or at odds with
 * r. */
bool seal_request_check(const struct sealway_request *r, struct fault *f);

/* Seals r for the node of l with a key pair, salt, nonce and blinding member of
 * this call only, and appends the body to out.  USAGE when the plaintext is not
 * a JSON object or disagrees with r; VERIFY when the node's key is unusable. */
bool seal_request(const struct sealway_request *r, const struct node_lock *l, struct buf *out,
		  struct sealed *s, struct fault *f);

/* The plaintext as it is sealed: model, stream and sealway_blind put in front
 * of the caller's members, padded.  out should be secret. */
bool seal_request_plain(const struct sealway_request *r, struct buf *out, struct fault *f);

/* Wipes the key. */
void sealed_wipe(struct sealed *s);

#endif
