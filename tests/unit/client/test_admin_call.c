/* SPDX-License-Identifier: Apache-2.0
 *
 * Operator's commands at brokers of other versions, played by a thread that answers
 * with bytes of its own.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/admin.h"
#include "common/zsock.h"
#include "proto/admin.h"
#include "tests/unit/said.h"
#include "tests/unit/tempdir.h"

struct desk {
	char dir[TEMPDIR_ROOM], endpoint[TEMPDIR_ROOM + 16];
	uv_loop_t uv;
	struct zctx *ctx;
	struct zsock *z;
	pthread_t thread;
	const char *message; /* the answer ERR_NOT_FOUND with this; NULL: bytes of the next version */
	bool answered;
};

static void on_msg(void *arg, struct zsock *z, struct zmsg *parts, size_t n)
{
	static const uint8_t next[] = { 0x94, PROTO_VERSION + 1, MSG_ADMIN_REPLY, 0xc0, 0x07 };
	struct admin_reply reply = { .error = ERR_NOT_FOUND };
	struct desk *d = arg;
	struct zmsg out[2];
	struct buf b = { 0 };
	struct admin m;
	char body[200];

	assert_int_equal(n, 2);
	assert_int_equal(admin_decode(zmsg_slice(&parts[1]), &m), ERR_OK);
	memcpy(reply.rid, m.rid, RID_BYTES);
	if (d->message) {
		snprintf(body, sizeof(body), "{\"message\":\"%s\"}", d->message);
		reply.body = slice_str(body);
		admin_reply_encode(&reply, &b);
	} else {
		buf_add(&b, next, sizeof(next));
	}
	zmsg_copy_init(&out[0], zmsg_slice(&parts[0]));
	zmsg_take_init(&out[1], &b);
	assert_int_equal(zsock_send(z, out, 2), ERR_OK);
	d->answered = true;
}

static void *serve(void *arg)
{
	struct desk *d = arg;

	while (!d->answered)
		uv_run(&d->uv, UV_RUN_ONCE);
	for (int i = 0; i < 20; i++) { /* until it has left */
		uv_run(&d->uv, UV_RUN_NOWAIT);
		usleep(2000);
	}
	return NULL;
}

/* What an operator is told of that answer. */
static const char *told(const char *message)
{
	static char text[2000];
	struct desk d = { .message = message };
	struct zsock_opts o = { .type = ZSOCK_ROUTER, .on_msg = on_msg, .arg = &d };
	struct admin_where w = { 0 };
	struct said words;

	tempdir_make(d.dir);
	snprintf(d.endpoint, sizeof(d.endpoint), "ipc://%s/admin", d.dir);
	w.endpoint = d.endpoint;
	assert_int_equal(uv_loop_init(&d.uv), 0);
	d.ctx = zctx_new();
	d.z = zsock_open(d.ctx, &d.uv, &o);
	assert_int_equal(zsock_bind(d.z, d.endpoint, false), ERR_OK);
	assert_int_equal(pthread_create(&d.thread, NULL, serve, &d), 0);
	said_begin(&words);
	assert_null(admin_call(&w, "top", json_object()));
	said_end(&words, text, sizeof(text));
	pthread_join(d.thread, NULL);
	zsock_close(d.z);
	while (uv_loop_close(&d.uv))
		uv_run(&d.uv, UV_RUN_NOWAIT);
	zctx_free(d.ctx);
	tempdir_drop(d.dir, "admin");
	tempdir_remove(d.dir);
	return text;
}

static void a_verb_that_it_does_not_have(void **state)
{
	(void)state;
	assert_non_null(strstr(told("no such command"), "the two are of different\nversions"));
}

static void an_answer_of_the_next_version(void **state)
{
	(void)state;
	assert_non_null(strstr(told(NULL), "the two are of different\nversions"));
}

static void another_answer_is_its_own(void **state)
{
	(void)state;
	assert_string_equal(told("no such user"), "sealway: top: no such user\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_verb_that_it_does_not_have),
		cmocka_unit_test(an_answer_of_the_next_version),
		cmocka_unit_test(another_answer_is_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
