/* SPDX-License-Identifier: Apache-2.0
 *
 * A world for tasks: a scripted node on TCP, a gateway on a real XSUB socket, and
 * a broker that only listens.  One struct side per test.
 */
#ifndef SEALWAY_TESTS_UNIT_WORKER_TASK_SIDE_H
#define SEALWAY_TESTS_UNIT_WORKER_TASK_SIDE_H

#include "tests/unit/net/fake_server.h"
#include "tests/unit/tempdir.h"
#include "tests/unit/worker/node_side.h"
#include "worker/task.h"

#define TOPIC 77
#define PATIENCE_MS 8000
#define SSE_HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
#define JSON_HEAD "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
#define LAST "0\r\n\r\n"

/* What the gateway got of one request. */
struct task_got {
	unsigned heads, datas, seq;
	uint64_t length;
	struct buf body;
	bool ended;
	enum err error;
	uint32_t retry_after;
};

struct side {
	uv_loop_t uv;
	char dir[TEMPDIR_ROOM];
	struct zctx *zctx;
	struct zsock *gateway;
	struct worker_conf conf;
	struct headers_keys keys;
	struct upstream *up;
	struct publish *pub;
	struct receipts *receipts;
	struct settle_book *settles;
	struct tasks *tasks;
	struct fake_server *server;
	struct node_side node;
	struct work w;
	char address[64];
	bool allow;

	struct task_got got;
	uint8_t before[RID_BYTES]; /* a request that w is not about any more */
	enum err before_error;     /* how it ended, ERR_OK until then */
	bool auto_credit;
	bool heard;

	/* messages to the broker */
	bool broker_gone;
	unsigned posted, answering, returned, inflight, settled;
	enum err return_error;
	uint32_t return_attempt;
	unsigned settled_before_return;
	bool is_settled;
	struct settle settle;
	struct buf settle_bytes;

	/* the node */
	unsigned posts, stops, fetches;
	struct fake_conn *conn;
	struct buf post, stop;
	bool has_conn, has_stop;
	const char *reply; /* to the POST, or NULL: the test speaks */
	char reply_text[512];
	bool has_receipt; /* /v1/receipts answers */
	bool has_none;    /* it says so; else it is not done */
	bool conn_gone;
};

/* The gateway grants bytes / cancels the request. */
void side_grant(struct side *s, uint32_t bytes);
void side_cancel_from_gateway(struct side *s);

/* cmocka fixtures: *state is a struct side with everything open. */
int side_setup(void **state);
int side_teardown(void **state);

/* Gives the WORK to the tasks; post also waits until the node has it. */
void side_work(struct side *s);
void side_post(struct side *s);

/* The next request is another, nothing is left of the one before, and the node will reply with that status
 * ("400 Bad") and body. */
void side_next(struct side *s, const char *status, const char *body);

/* Waits for END or ERROR / for exactly one settlement. */
void side_wait_end(struct side *s);
void side_wait_settled(struct side *s);

/* Lets the loop turn for a moment. */
void side_pass(struct side *s);

/* The node says one event as a chunk of its own (sealed: with n->receipt); appended to want, if given. */
void side_event(struct side *s, const char *extra, bool sealed, struct buf *want);

/* The node says its last event, with a receipt of that outcome. */
void side_last_event(struct side *s, uint8_t outcome, struct buf *want);

/* The client got exactly want (which is freed). */
void side_assert_got(struct side *s, struct buf *want);

/* Settled with the node's receipt, with or without a transcript / with no receipt. */
void side_assert_settled_by_receipt(struct side *s, enum settle_outcome outcome, bool transcript);
void side_assert_settled_without(struct side *s, enum settle_outcome outcome, enum err error);

/* The answer ends as it should: settled with the node's receipt; the client got exactly want (which is
 * freed). */
void side_assert_complete(struct side *s, struct buf *want);

/* The broker acknowledges the settlement, which waits for that. */
void side_acknowledge(struct side *s);

/* Posts, and the node says its head and one good event. */
void side_begin_stream(struct side *s, struct buf *want);

/* The client got want and then ERR_NODE. */
void side_assert_stream_error(struct side *s, struct buf *want);

/* Whether s begins with that text. */
bool side_starts(struct slice s, const char *with);

#endif
