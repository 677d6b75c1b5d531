/* SPDX-License-Identifier: Apache-2.0
 *
 * A request on its way from gateway to broker; the untouched body is a second
 * frame.  Shape by docs/PROTOCOL.md section 2; the gateway has checked it.
 */
#ifndef SEALWAY_PROTO_JOB_H
#define SEALWAY_PROTO_JOB_H

#include "proto/msg.h"
#include "proto/quota.h"

/* [v, JOB, rid, topic, token_hash, endpoint, stack, node_key, model, units | nil,
 *  stream, plain_hash, body_hash, deadline_ms, input_units, max_units | nil, show_usage] + body */
struct job {
	uint8_t rid[RID_BYTES];
	uint64_t topic;                /* gateway thread that wants the answer */
	uint8_t token_hash[KEY_BYTES]; /* H(bearer token) */
	enum endpoint endpoint;
	uint64_t stack;              /* stack_small_id; 0 on plain endpoints */
	uint8_t node_key[KEY_BYTES]; /* node_dh_public_key; zero on plain endpoints */
	struct slice model;          /* model_name, 1..256 bytes, unescaped */
	bool has_units;
	uint64_t units; /* num_compute_units */
	bool stream;
	uint8_t plain_hash[KEY_BYTES]; /* plaintext_body_hash; on plain endpoints H(body sent) */
	uint8_t body_hash[KEY_BYTES];  /* H(body) */
	uint32_t deadline_ms;          /* how long it may wait for dispatch */
	uint64_t input_units;          /* plain endpoints: estimate of the input; else 0 */
	bool has_max_units;            /* plain endpoints: max_tokens given */
	uint64_t max_units;
	bool show_usage; /* plain streams: the client itself asked for the usage object */
};

/* [v, REFUSE, rid, error, param | nil, retry_after_s, quota]: the request ends here. */
struct refuse {
	uint8_t rid[RID_BYTES];
	enum err error;         /* as its number; unknown ones read as ERR_INTERNAL */
	struct slice param;     /* member at fault, or empty */
	uint32_t retry_after_s; /* 0 = none */
	struct quota quota;
};

/* [v, CANCEL, rid, attempt]: the client is gone.  attempt 0: whichever runs. */
struct cancel {
	uint8_t rid[RID_BYTES];
	uint32_t attempt;
};

/* [v, WAITING, rid]: a client waits for it, and it was given to an earlier life of the broker, or nothing
 * was heard of it for a while.  Answered by REFUSE once it is clear that nobody works for it any more. */
struct waiting_job {
	uint8_t rid[RID_BYTES];
};

/* Appends the message to out. */
void job_encode(const struct job *m, struct buf *out);
/* ERR_VERSION or ERR_FORMAT; slices borrow from bytes; *out is written only on success. */
enum err job_decode(struct slice bytes, struct job *out) MUST_USE;
/* Appends the message to out. */
void refuse_encode(const struct refuse *m, struct buf *out);
/* ERR_VERSION or ERR_FORMAT; slices borrow from bytes; *out is written only on success. */
enum err refuse_decode(struct slice bytes, struct refuse *out) MUST_USE;
/* Appends the message to out. */
void cancel_encode(const struct cancel *m, struct buf *out);
/* ERR_VERSION or ERR_FORMAT; slices borrow from bytes; *out is written only on success. */
enum err cancel_decode(struct slice bytes, struct cancel *out) MUST_USE;

/* Appends the message to out. */
void waiting_encode(const struct waiting_job *m, struct buf *out);
/* ERR_VERSION or ERR_FORMAT; *out is written only on success. */
enum err waiting_decode(struct slice bytes, struct waiting_job *out) MUST_USE;

#endif
