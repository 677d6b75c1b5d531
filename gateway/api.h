/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP bodies to messages and back (PROTOCOL sections 2, 6 and 8).  Pure:
 * bytes and structs, no sockets, no clock.
 */
#ifndef SEALWAY_GATEWAY_API_H
#define SEALWAY_GATEWAY_API_H

#include "gateway/scan_plain.h"
#include "proto/job.h"
#include "proto/lock.h"
#include "proto/register.h"

/* Fills *job from a checked body, apart from rid, topic, token_hash and
 * deadline_ms.  job->model borrows from s. */
void api_job(struct job *job, enum endpoint ep, const struct scan *s, struct slice body);

/* The same from a plain body; body is the one sent. */
void api_job_plain(struct job *job, enum endpoint ep, const struct scan_plain *s, struct slice body);

/* A lock's body -> *out without rid and token_hash.  out->model borrows from
 * model, which the caller frees.  ERR_BODY with *fault filled. */
enum err api_lock(struct slice body, struct lock_ask *out, struct buf *model,
		  struct scan_fault *fault) MUST_USE;

/* Appends the answer to a lock (section 6). */
void api_locked(struct buf *out, const struct locked *m);

/* Owned pieces of a registration that its message borrows from. */
struct api_register {
	struct buf data, address, country, signature, registration, registration_signature, evidence;
};

/* A registration's body (original or full form) -> *out without rid, borrowing
 * from *own.  ERR_BODY with *fault filled.  Free own with api_register_free in
 * any case. */
enum err api_register(struct slice body, struct registration_msg *out, struct api_register *own,
		      struct scan_fault *fault) MUST_USE;

/* Frees what api_register made. */
void api_register_free(struct api_register *own);

#endif
