/* SPDX-License-Identifier: Apache-2.0
 *
 * Every message of proto/ in one table, for tests and fuzz targets that treat
 * all of them alike: samples, and decoding followed by encoding.
 */
#ifndef SEALWAY_TESTS_PROTO_FAMILIES_H
#define SEALWAY_TESTS_PROTO_FAMILIES_H

#include <string.h>

#include "proto/admin.h"
#include "proto/chunk.h"
#include "proto/hello.h"
#include "proto/job.h"
#include "proto/lock.h"
#include "proto/peer.h"
#include "proto/probe.h"
#include "proto/query.h"
#include "proto/register.h"
#include "proto/registration.h"
#include "proto/settle.h"
#include "proto/work.h"

struct family {
	const char *name;
	int type; /* 0: no message of its own (registration) */
	bool rid; /* carries a request id; else nil */
	/* Appends a message with every member there, or with all that may be missing missing. */
	void (*sample)(bool full, struct buf *out);
	/* Decodes bytes and appends the encoding of what was read. */
	enum err (*recode)(struct slice bytes, struct buf *out);
};

#define FILL_RID                                                                                             \
	{                                                                                                    \
		1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16                                        \
	}
#define FILL_KEY                                                                                             \
	{                                                                                                    \
		0xaa, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24,    \
			25, 26, 27, 28, 29, 30, 31, 0xbb                                                     \
	}

static const uint8_t FILLER[256] = FILL_KEY;
static const char LETTERS[] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
			      "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB";

#define QUOTA(full)                                                                                          \
	{                                                                                                    \
		(full) ? ID_MAX : 0, (full) ? 3 : 0, (full) ? UINT32_MAX : 0                                 \
	}
#define BYTES(n) slice_of(FILLER, (n))
#define TEXT(n) slice_of(LETTERS, (n))
#define NONE slice_of(NULL, 0)

#define SIMPLE(what, strct)                                                                                  \
	static inline enum err what##_recode(struct slice bytes, struct buf *out)                            \
	{                                                                                                    \
		struct strct m;                                                                              \
		enum err e = what##_decode(bytes, &m);                                                       \
                                                                                                             \
		if (e == ERR_OK)                                                                             \
			what##_encode(&m, out);                                                              \
		return e;                                                                                    \
	}

SIMPLE(hello, hello)
SIMPLE(welcome, welcome)
SIMPLE(ping, ping)
SIMPLE(pong, ping)
SIMPLE(bye, bye)
SIMPLE(peer, peer)
SIMPLE(heard, heard)
SIMPLE(intro, intro)
SIMPLE(job, job)
SIMPLE(refuse, refuse)
SIMPLE(cancel, cancel)
SIMPLE(waiting, waiting_job)
SIMPLE(work, work)
SIMPLE(posted, work_ref)
SIMPLE(answering, work_ref)
SIMPLE(return, work_return)
SIMPLE(inflight, inflight)
SIMPLE(receipt_wanted, receipt_wanted)
SIMPLE(probe, probe)
SIMPLE(probed, probed)
SIMPLE(chunk, chunk)
SIMPLE(credit, credit)
SIMPLE(settle, settle)
SIMPLE(settled, settled)
SIMPLE(lock_ask, lock_ask)
SIMPLE(locked, locked)
SIMPLE(register, registration_msg)
SIMPLE(query, query)
SIMPLE(answer, answer)
SIMPLE(admin, admin)
SIMPLE(admin_reply, admin_reply)
SIMPLE(registration, registration)

static inline enum err peer_ok_recode(struct slice bytes, struct buf *out)
{
	uint64_t topic;
	enum err e = peer_ok_decode(bytes, &topic);

	if (e == ERR_OK)
		peer_ok_encode(topic, out);
	return e;
}

static inline void hello_sample(bool full, struct buf *out)
{
	hello_encode(&(struct hello){ .role = full ? ROLE_WORKER : ROLE_GATEWAY,
				      .instance = UINT64_MAX,
				      .name = full ? TEXT(64) : NONE,
				      .version = full ? TEXT(32) : NONE,
				      .endpoint = full ? TEXT(100) : NONE,
				      .key = full ? BYTES(32) : NONE,
				      .capacity = full ? UINT32_MAX : 0,
				      .inflight = full ? 3 : 0 },
		     out);
}

static inline void welcome_sample(bool full, struct buf *out)
{
	welcome_encode(&(struct welcome){ .epoch = full ? UINT64_MAX : 0,
					  .instance = 1,
					  .interval_ms = 1000,
					  .member = full ? UINT64_MAX : 1 },
		       out);
}

static inline void ping_sample(bool full, struct buf *out)
{
	ping_encode(
		&(struct ping){ .instance = 1, .epoch = 7, .load = full ? UINT32_MAX : 0, .draining = full },
		out);
}

static inline void pong_sample(bool full, struct buf *out)
{
	pong_encode(&(struct ping){ .instance = 1, .epoch = 7, .load = full ? 9 : 0, .draining = full }, out);
}

static inline void bye_sample(bool full, struct buf *out)
{
	bye_encode(&(struct bye){ .instance = full ? UINT64_MAX : 0 }, out);
}

static inline void peer_sample(bool full, struct buf *out)
{
	peer_encode(&(struct peer){ .topic = 5, .key = full ? BYTES(32) : NONE, .present = full }, out);
}

static inline void peer_ok_sample(bool full, struct buf *out)
{
	peer_ok_encode(full ? UINT64_MAX : 1, out);
}

static inline void heard_sample(bool full, struct buf *out)
{
	heard_encode(&(struct heard){ .topic = 5, .present = full }, out);
}

static inline void intro_sample(bool full, struct buf *out)
{
	intro_encode(&(struct intro){ .worker = 5,
				      .endpoint = full ? TEXT(100) : NONE,
				      .key = full ? BYTES(32) : NONE,
				      .present = full },
		     out);
}

static inline void job_sample(bool full, struct buf *out)
{
	job_encode(&(struct job){ .rid = FILL_RID,
				  .topic = UINT64_MAX,
				  .token_hash = FILL_KEY,
				  .endpoint = full ? EP_CHAT : EP_PLAIN_IMAGES,
				  .stack = full ? ID_MAX : 0,
				  .node_key = FILL_KEY,
				  .model = TEXT(full ? 144 : 1),
				  .has_units = full,
				  .units = full ? ID_MAX : 0,
				  .stream = full,
				  .plain_hash = FILL_KEY,
				  .body_hash = FILL_KEY,
				  .deadline_ms = 30000,
				  .input_units = full ? ID_MAX : 0,
				  .has_max_units = full,
				  .max_units = full ? 16 : 0,
				  .show_usage = full },
		   out);
}

static inline void refuse_sample(bool full, struct buf *out)
{
	refuse_encode(&(struct refuse){ .rid = FILL_RID,
					.error = full ? ERR_BODY : ERR_NO_WORKER,
					.param = full ? TEXT(10) : NONE,
					.retry_after_s = full ? 0 : 1,
					.quota = QUOTA(full) },
		      out);
}

static inline void waiting_sample(bool full, struct buf *out)
{
	(void)full;
	waiting_encode(&(struct waiting_job){ .rid = FILL_RID }, out);
}

static inline void cancel_sample(bool full, struct buf *out)
{
	cancel_encode(&(struct cancel){ .rid = FILL_RID, .attempt = full ? UINT32_MAX : 0 }, out);
}

static inline void work_sample(bool full, struct buf *out)
{
	work_encode(&(struct work){ .rid = FILL_RID,
				    .epoch = 3,
				    .attempt = full ? 2 : 1,
				    .topic = UINT64_MAX,
				    .endpoint = full ? EP_COMPLETIONS : EP_EMBEDDINGS,
				    .stream = full,
				    .user = 1,
				    .stack = 2,
				    .units = full ? ID_MAX : 0,
				    .model = TEXT(20),
				    .node = 3,
				    .address = TEXT(full ? 144 : 1),
				    .sign_key = FILL_KEY,
				    .node_key = FILL_KEY,
				    .plain_hash = FILL_KEY,
				    .body_hash = FILL_KEY,
				    .receipt_required = full,
				    .show_usage = full,
				    .quota = QUOTA(full) },
		    out);
}

static inline void posted_sample(bool full, struct buf *out)
{
	posted_encode(&(struct work_ref){ .rid = FILL_RID, .epoch = 1, .attempt = full ? UINT32_MAX : 1 },
		      out);
}

static inline void answering_sample(bool full, struct buf *out)
{
	answering_encode(&(struct work_ref){ .rid = FILL_RID, .epoch = 1, .attempt = full ? UINT32_MAX : 1 },
			 out);
}

static inline void return_sample(bool full, struct buf *out)
{
	return_encode(&(struct work_return){ .ref = { .rid = FILL_RID, .epoch = 1, .attempt = 1 },
					     .error = full ? ERR_LIMIT : ERR_OK },
		      out);
}

static inline void inflight_sample(bool full, struct buf *out)
{
	inflight_encode(&(struct inflight){ .ref = { .rid = FILL_RID, .epoch = 1, .attempt = 1 },
					    .node = ID_MAX,
					    .stack = 2,
					    .user = 3,
					    .units = full ? ID_MAX : 0,
					    .topic = UINT64_MAX,
					    .posted = full },
			out);
}

static inline void receipt_wanted_sample(bool full, struct buf *out)
{
	receipt_wanted_encode(&(struct receipt_wanted){ .ref = { .rid = FILL_RID, .epoch = 1, .attempt = 1 },
							.node = ID_MAX,
							.stack = 2,
							.units = full ? ID_MAX : 0,
							.address = TEXT(full ? 144 : 1),
							.sign_key = FILL_KEY },
			      out);
}

static inline void probe_sample(bool full, struct buf *out)
{
	probe_encode(&(struct probe){ .rid = FILL_RID,
				      .epoch = full ? UINT64_MAX : 0,
				      .node = ID_MAX,
				      .address = TEXT(full ? 144 : 1),
				      .timeout_ms = full ? PROBE_MS_MAX : 1 },
		     out);
}

static inline void probed_sample(bool full, struct buf *out)
{
	probed_encode(&(struct probed){ .rid = FILL_RID,
					.epoch = 1,
					.node = full ? ID_MAX : 1,
					.result = full ? PROBE_NOT_TRIED : PROBE_REACHED,
					.latency_us = full ? UINT32_MAX : 0 },
		      out);
}

static inline void chunk_sample(bool full, struct buf *out)
{
	chunk_encode(&(struct chunk){ .topic = UINT64_MAX - 1,
				      .rid = FILL_RID,
				      .epoch = 1,
				      .attempt = 1,
				      .seq = full ? UINT32_MAX : 0,
				      .kind = full ? CHUNK_DATA : CHUNK_HEAD,
				      .worker = UINT64_MAX,
				      .length = full ? 0 : 1000,
				      .payload = full ? BYTES(200) : NONE },
		     out);
}

static inline void chunk_error_sample(bool full, struct buf *out)
{
	chunk_encode(&(struct chunk){ .topic = 1,
				      .rid = FILL_RID,
				      .kind = full ? CHUNK_ERROR : CHUNK_END,
				      .error = full ? ERR_RATE : ERR_OK,
				      .retry_after_s = full ? 30 : 0,
				      .quota = QUOTA(full) },
		     out);
}

static inline void credit_sample(bool full, struct buf *out)
{
	credit_encode(&(struct credit){ .rid = FILL_RID, .attempt = 1, .bytes = full ? UINT32_MAX : 0 }, out);
}

static inline void settle_sample(bool full, struct buf *out)
{
	settle_encode(&(struct settle){ .rid = FILL_RID,
					.epoch = 1,
					.attempt = 1,
					.node = 3,
					.outcome = full ? SETTLE_COMPLETE : SETTLE_LOST,
					.error = full ? ERR_OK : ERR_TIMEOUT,
					.receipt = full ? BYTES(183) : NONE,
					.signature = full ? TEXT(132) : NONE,
					.transcript = full ? BYTES(32) : NONE,
					.has_usage = full,
					.prompt = full ? ID_MAX : 0,
					.completion = full ? 4 : 0,
					.key_unknown = full,
					.chunks = full ? UINT32_MAX : 0,
					.bytes = full ? ID_MAX : 0,
					.untold = false },
		      out);
}

static inline void settled_sample(bool full, struct buf *out)
{
	settled_encode(&(struct settled){ .rid = FILL_RID, .attempt = full ? UINT32_MAX : 0 }, out);
}

static inline void lock_ask_sample(bool full, struct buf *out)
{
	lock_ask_encode(&(struct lock_ask){ .rid = FILL_RID,
					    .token_hash = FILL_KEY,
					    .model = TEXT(full ? 144 : 1),
					    .has_units = full,
					    .units = full ? 100 : 0,
					    .timeout_s = full ? 600 : 1 },
			out);
}

static inline void locked_sample(bool full, struct buf *out)
{
	locked_encode(&(struct locked){ .rid = FILL_RID,
					.node = ID_MAX,
					.stack = 1,
					.node_key = FILL_KEY,
					.sign_key = BYTES(32),
					.statement = full ? BYTES(65) : NONE,
					.signature = full ? TEXT(132) : NONE,
					.digest = full ? TEXT(64) : NONE,
					.quota = QUOTA(full) },
		      out);
}

static inline void register_sample(bool full, struct buf *out)
{
	register_encode(&(struct registration_msg){ .rid = FILL_RID,
						    .data = BYTES(100),
						    .node = ID_MAX,
						    .address = TEXT(40),
						    .country = full ? TEXT(2) : NONE,
						    .signature = TEXT(132),
						    .registration = full ? BYTES(256) : NONE,
						    .registration_signature = full ? TEXT(132) : NONE,
						    .evidence = full ? BYTES(200) : NONE },
			out);
}

static inline void query_sample(bool full, struct buf *out)
{
	struct query m = { .rid = FILL_RID,
			   .kind = full ? QUERY_MODEL : QUERY_ATTESTATION,
			   .has_token = full,
			   .number = full ? 0 : ID_MAX,
			   .model = full ? TEXT(144) : NONE };

	if (full)
		memcpy(m.token_hash, FILLER, KEY_BYTES);
	query_encode(&m, out);
}

static inline void answer_sample(bool full, struct buf *out)
{
	answer_encode(
		&(struct answer){ .rid = FILL_RID, .body = full ? TEXT(144) : NONE, .quota = QUOTA(full) },
		out);
}

static inline void admin_sample(bool full, struct buf *out)
{
	admin_encode(&(struct admin){ .rid = FILL_RID,
				      .verb = TEXT(full ? 64 : 1),
				      .args = full ? TEXT(144) : NONE },
		     out);
}

static inline void admin_reply_sample(bool full, struct buf *out)
{
	admin_reply_encode(&(struct admin_reply){ .rid = FILL_RID,
						  .error = full ? ERR_OK : ERR_NOT_FOUND,
						  .body = full ? TEXT(144) : NONE },
			   out);
}

static inline void registration_sample(bool full, struct buf *out)
{
	struct registration m = { .node = ID_MAX,
				  .address = TEXT(30),
				  .counter = full ? ID_MAX : 0,
				  .statement = BYTES(65),
				  .statement_signature = TEXT(132),
				  .n_models = full ? MODELS_PER_NODE_MAX : 0,
				  .validity_s = 60,
				  .version = full ? TEXT(32) : NONE,
				  .evidence_hash = FILL_KEY };

	for (unsigned i = 0; i < m.n_models; i++)
		m.models[i] = (struct registration_model){ .name = TEXT(1 + i),
							   .price = i,
							   .max_concurrent = 64,
							   .max_units = ID_MAX,
							   .lock_units = 8192 };
	registration_encode(&m, out);
}

#define FAMILY(what, number, has_rid)                                                                        \
	{                                                                                                    \
#what, number, has_rid, what##_sample, what##_recode                                         \
	}

static const struct family FAMILIES[] = {
	FAMILY(hello, MSG_HELLO, false),
	FAMILY(welcome, MSG_WELCOME, false),
	FAMILY(ping, MSG_PING, false),
	FAMILY(pong, MSG_PONG, false),
	FAMILY(bye, MSG_BYE, false),
	FAMILY(peer, MSG_PEER, false),
	FAMILY(peer_ok, MSG_PEER_OK, false),
	FAMILY(intro, MSG_INTRO, false),
	FAMILY(heard, MSG_HEARD, false),
	FAMILY(job, MSG_JOB, true),
	FAMILY(refuse, MSG_REFUSE, true),
	FAMILY(cancel, MSG_CANCEL, true),
	FAMILY(waiting, MSG_WAITING, true),
	FAMILY(work, MSG_WORK, true),
	FAMILY(posted, MSG_POSTED, true),
	FAMILY(answering, MSG_ANSWERING, true),
	FAMILY(return, MSG_RETURN, true),
	FAMILY(inflight, MSG_INFLIGHT, true),
	FAMILY(receipt_wanted, MSG_RECEIPT_WANTED, true),
	FAMILY(probe, MSG_PROBE, true),
	FAMILY(probed, MSG_PROBED, true),
	FAMILY(credit, MSG_CREDIT, true),
	FAMILY(settle, MSG_SETTLE, true),
	FAMILY(settled, MSG_SETTLED, true),
	FAMILY(lock_ask, MSG_LOCK, true),
	FAMILY(locked, MSG_LOCKED, true),
	FAMILY(register, MSG_REGISTER, true),
	FAMILY(query, MSG_QUERY, true),
	FAMILY(answer, MSG_ANSWER, true),
	FAMILY(admin, MSG_ADMIN, true),
	FAMILY(admin_reply, MSG_ADMIN_REPLY, true),
	FAMILY(chunk, MSG_CHUNK, true),
	{ "chunk_error", MSG_CHUNK, true, chunk_error_sample, chunk_recode },
	FAMILY(registration, 0, false),
};

#define N_FAMILIES (sizeof(FAMILIES) / sizeof(FAMILIES[0]))

/* Where the msgpack part of a family's messages begins. */
static inline size_t family_head(const struct family *f)
{
	return f->type == MSG_CHUNK ? CHUNK_PREFIX_BYTES : 0;
}

#endif
