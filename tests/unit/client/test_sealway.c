/* SPDX-License-Identifier: Apache-2.0
 *
 * Whole exchanges against a scripted gateway on loopback: what is tried again
 * and how often, pins, cut and broken answers, and that every attempt has a
 * lock and an encryption of its own.
 */
#define _GNU_SOURCE /* memmem, strcasestr */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <jansson.h>
#include <pthread.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/b64.h"
#include "fake_node.h"
#include "tests/unit/tempdir.h"

/* What the gateway does with one sealed request. */
enum act {
	ACT_ANSWER,      /* a stream of three objects */
	ACT_CUT,         /* two objects, then the connection ends inside the chunked body */
	ACT_NO_FINAL,    /* two objects and a clean end */
	ACT_ERROR_EVENT, /* one object and an error event */
	ACT_425,         /* from here on: refusals[] */
	ACT_423,
	ACT_503,
	ACT_503_LATER,
	ACT_429,
	ACT_402,
	ACT_404,
	ACT_REDIRECT,
};

static struct gateway {
	int fd;
	_Atomic int conn;
	pthread_t thread;
	char url[64];
	struct fake_node n;
	const enum act *script; /* one per sealed request; the last one repeats */
	size_t steps, requests, locks;
	size_t lists, busy;  /* asked for the list of models, and how often that is 503 */
	enum act lock_act;   /* ACT_ANSWER or a status */
	char nonces[16][24]; /* of the requests */
	char authorization[64];
} g;

static char dir[TEMPDIR_ROOM], pins[96];

static void say(int fd, const struct buf *b)
{
	for (size_t i = 0; i < b->n;) {
		ssize_t w = send(fd, b->p + i, b->n - i, MSG_NOSIGNAL);

		if (w <= 0)
			return;
		i += (size_t)w;
	}
}

/* The acts that are a refusal. */
static const struct {
	const char *status, *code, *reason, *headers;
} refusals[] = {
	[ACT_425] = { "425 Too Early", "UNAVAILABLE_STACK", "\"key_rotated\"", "" },
	[ACT_423] = { "423 Locked", "LOCKED", "null", "" },
	[ACT_503] = { "503 No", "SERVICE_UNAVAILABLE", "null", "Retry-After: 1\r\n" },
	[ACT_503_LATER] = { "503 No", "SERVICE_UNAVAILABLE", "null", "Retry-After: 3000\r\n" },
	[ACT_429] = { "429 Slow", "TOO_MANY_REQUESTS", "null", "" },
	[ACT_402] = { "402 Pay", "BALANCE_ERROR", "null", "" },
	[ACT_404] = { "404 No", "NOT_FOUND", "null", "" },
	[ACT_REDIRECT] = { "307 There", "X", "null", "Location: http://127.0.0.1:1/\r\n" },
};

/* False: act is none of them. */
static bool refuse(int fd, enum act act)
{
	struct buf b = { 0 }, body = { 0 };

	if (act < ACT_425)
		return false;
	buf_fmt(&body,
		"{\"error\":{\"code\":\"%s\",\"message\":\"no\",\"param\":\"max_tokens\",\"reason\":%s}}",
		refusals[act].code, refusals[act].reason);
	buf_fmt(&b, "HTTP/1.1 %s\r\nContent-Type: application/json\r\n%sContent-Length: %zu\r\n\r\n",
		refusals[act].status, refusals[act].headers, body.n);
	buf_add(&b, body.p, body.n);
	say(fd, &b);
	buf_free(&b);
	buf_free(&body);
	return true;
}

static void chunk(int fd, const struct buf *body)
{
	struct buf b = { 0 };

	buf_fmt(&b, "%zx\r\n", body->n);
	buf_add(&b, body->p, body->n);
	buf_str(&b, "\r\n");
	say(fd, &b);
	buf_free(&b);
}

static void event(int fd, struct fake_object o)
{
	struct buf b = { 0 };

	buf_str(&b, "data: ");
	fake_object(&g.n, &o, &b);
	buf_str(&b, "\n\n");
	chunk(fd, &b);
	buf_free(&b);
}

static void now_in_receipt(struct receipt *r)
{
	r->unix_s = (uint64_t)time(NULL);
}

/* What the node does: derives the key of this request and begins an answer. */
static void open_request(const char *body)
{
	json_t *o = json_loads(body, JSON_REJECT_DUPLICATES, NULL);
	uint8_t client[32], salt[16];

	assert_non_null(o);
	buf_reset(&g.n.hashes);
	g.n.objects = 0;
	seal_nonces_init(&g.n.nonces);
	assert_int_equal(
		b64_decode_exact(slice_str(json_string_value(json_object_get(o, "client_dh_public_key"))),
				 client, 32),
		0);
	assert_int_equal(b64_decode_exact(slice_str(json_string_value(json_object_get(o, "salt"))), salt, 16),
			 0);
	assert_int_equal(
		b64_decode_exact(slice_str(json_string_value(json_object_get(o, "plaintext_body_hash"))),
				 g.n.sealed.plain_hash, 32),
		0);
	assert_int_equal(seal_derive(g.n.secret, client, salt, g.n.sealed.key), ERR_OK);
	snprintf(g.nonces[g.requests % 16], sizeof(g.nonces[0]), "%s",
		 json_string_value(json_object_get(o, "nonce")));
	json_decref(o);
}

static void stream(int fd, enum act act)
{
	struct buf b = { 0 };

	buf_str(&b,
		"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n");
	say(fd, &b);
	event(fd, (struct fake_object){ .text = "{\"a\":1}" });
	buf_reset(&b);
	if (act == ACT_ERROR_EVENT) {
		buf_str(&b,
			"event: error\ndata: {\"error\":{\"code\":\"TIMEOUT\",\"message\":\"slow\"}}\n\n");
		chunk(fd, &b);
	} else {
		event(fd, (struct fake_object){ .text = "{\"a\":2}" });
	}
	if (act == ACT_ANSWER)
		event(fd, (struct fake_object){ .text = "{\"a\":3}",
						.final = true,
						.prompt = 1,
						.completion = 2,
						.spoil_receipt = now_in_receipt });
	buf_reset(&b);
	buf_str(&b, "0\r\n\r\n");
	if (act == ACT_ANSWER || act == ACT_NO_FINAL)
		say(fd, &b);
	buf_free(&b);
}

static bool serve_request(int fd, const char *body)
{
	enum act act = g.script[g.requests < g.steps ? g.requests : g.steps - 1];

	open_request(body);
	g.requests++;
	if (refuse(fd, act))
		return true;
	stream(fd, act);
	return act == ACT_ANSWER || act == ACT_NO_FINAL;
}

static void serve_lock(int fd)
{
	struct buf b = { 0 }, body = { 0 };

	g.locks++;
	if (refuse(fd, g.lock_act))
		return;
	fake_lock_json(&g.n, &body);
	buf_fmt(&b, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
		body.n);
	buf_add(&b, body.p, body.n);
	say(fd, &b);
	buf_free(&b);
	buf_free(&body);
}

static void serve_list(int fd)
{
	struct buf b = { 0 };

	if (g.lists++ < g.busy) {
		refuse(fd, ACT_503);
		return;
	}
	buf_str(&b, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
	say(fd, &b);
	buf_free(&b);
}

static size_t length_of(const char *head)
{
	const char *p = strcasestr(head, "content-length:");

	return p ? strtoul(p + 15, NULL, 10) : 0;
}

/* One request of a connection; false when it is to be closed. */
static bool serve_one(int fd)
{
	char head[65536];
	size_t n = 0, want = 0;
	char *end = NULL, *auth;

	while (n < sizeof(head) - 1 && (!end || n < want)) {
		ssize_t r = recv(fd, head + n, sizeof(head) - 1 - n, 0);

		if (r <= 0)
			return false;
		n += (size_t)r;
		head[n] = '\0';
		end = strstr(head, "\r\n\r\n");
		want = end ? (size_t)(end + 4 - head) + length_of(head) : 0;
	}
	auth = strcasestr(head, "authorization:");
	snprintf(g.authorization, sizeof(g.authorization), "%.*s", auth ? (int)strcspn(auth, "\r") : 0,
		 auth ? auth : "");
	if (!strncmp(head, "POST /v1/nodes/lock ", 20)) {
		serve_lock(fd);
		return true;
	}
	if (!strncmp(head, "POST /v1/confidential/chat/completions ", 39))
		return serve_request(fd, end + 4);
	if (!strncmp(head, "GET /v1/models ", 15)) {
		serve_list(fd);
		return true;
	}
	refuse(fd, ACT_404);
	return true;
}

static void *serve(void *arg)
{
	(void)arg;
	for (;;) {
		int fd = accept(g.fd, NULL, NULL);

		if (fd < 0)
			return NULL;
		g.conn = fd;
		while (serve_one(fd))
			;
		g.conn = -1;
		close(fd);
	}
}

static int setup(void **state)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(a);
	struct statement st;

	(void)state;
	memset(&g, 0, sizeof(g));
	g.conn = -1;
	fake_node_init(&g.n);
	st = fake_statement_of(&g.n);
	st.not_before = (uint64_t)time(NULL) - 10;
	st.not_after = st.not_before + 3600;
	fake_statement(&g.n, &st);
	g.fd = socket(AF_INET, SOCK_STREAM, 0);
	if (bind(g.fd, (struct sockaddr *)&a, sizeof(a)) || listen(g.fd, 8) ||
	    getsockname(g.fd, (struct sockaddr *)&a, &n))
		return -1;
	snprintf(g.url, sizeof(g.url), "http://127.0.0.1:%d", ntohs(a.sin_port));
	tempdir_make(dir);
	snprintf(pins, sizeof(pins), "%s/known_nodes", dir);
	return pthread_create(&g.thread, NULL, serve, NULL);
}

static int teardown(void **state)
{
	(void)state;
	shutdown(g.fd, SHUT_RDWR);
	shutdown(g.conn, SHUT_RDWR); /* of a test that failed with its client open */
	close(g.fd);
	pthread_join(g.thread, NULL);
	fake_node_fini(&g.n);
	tempdir_drop(dir, "known_nodes");
	tempdir_remove(dir);
	return 0;
}

static struct buf seen, notes;

static bool on_object(void *arg, const char *json, size_t n, bool last)
{
	(void)arg;
	buf_add(&seen, json, n);
	buf_str(&seen, last ? "!" : "|");
	return true;
}

static void on_note(void *arg, const char *text)
{
	(void)arg;
	buf_str(&notes, text);
	buf_str(&notes, "\n");
}

static struct sealway *client(const char *node_key)
{
	struct sealway_opts o = { .url = g.url,
				  .token = "sk-test",
				  .known_nodes = pins,
				  .node_key = node_key,
				  .on_note = on_note,
				  .timeout_s = 20 };
	char why[256];
	struct sealway *s = sealway_new(&o, why, sizeof(why));

	if (!s)
		fail_msg("%s", why);
	return s;
}

static struct sealway_request chat(void)
{
	return (struct sealway_request){ .kind = SEALWAY_CHAT,
					 .model = FAKE_MODEL,
					 .stream = true,
					 .json = "{}",
					 .json_n = 2,
					 .on_object = on_object };
}

static enum sealway_status ask(struct sealway *s, struct sealway_request r, const enum act *script,
			       size_t steps)
{
	buf_reset(&seen);
	buf_reset(&notes);
	g.script = script;
	g.steps = steps;
	g.requests = g.locks = 0;
	return sealway_run(s, &r);
}

#define ASK_FOR(s, r, ...)                                                                                   \
	ask(s, r, (const enum act[]){ __VA_ARGS__ },                                                         \
	    sizeof((const enum act[]){ __VA_ARGS__ }) / sizeof(enum act))
#define ASK(s, ...) ASK_FOR(s, chat(), __VA_ARGS__)

static bool all_shown(void)
{
	return slice_is(buf_slice(&seen), "{\"a\":1}|{\"a\":2}|{\"a\":3}!");
}

static void an_answer(void **state)
{
	struct sealway *s = client(NULL);
	struct sealway_receipt_info info;
	struct sealway_cost cost;
	char *receipt, why[256];

	(void)state;
	assert_int_equal(ASK(s, ACT_ANSWER), SEALWAY_OK);
	assert_true(all_shown());
	assert_string_equal(g.authorization, "Authorization: Bearer sk-test");
	assert_string_equal(sealway_error(s), "");
	sealway_last_cost(s, &cost);
	assert_int_equal(cost.prompt, 1);
	assert_int_equal(cost.completion, 2);
	assert_true(cost.receipt);
	receipt = sealway_receipt(s);
	assert_true(sealway_receipt_verify(receipt, strlen(receipt), NULL, &info, why, sizeof(why)));
	sealway_text_free(receipt);
	/* pinned at the first use, silent at the second */
	assert_non_null(memmem(notes.p, notes.n, "pinned", 6));
	assert_int_equal(ASK(s, ACT_ANSWER), SEALWAY_OK);
	assert_int_equal(notes.n, 0);
	sealway_free(s);
}

/* The node's answers say 1 + 2. */
static void more_units_than_reserved(void **state)
{
	struct sealway *s = client(NULL);
	struct sealway_request r = chat();

	(void)state;
	for (r.units = 2; r.units <= 3; r.units++) {
		assert_int_equal(ASK_FOR(s, r, ACT_ANSWER), SEALWAY_OK);
		assert_true(!memmem(notes.p, notes.n, "3 units, more than the 2 reserved", 33) ==
			    (r.units == 3));
	}
	sealway_free(s);
}

/* The name is the proxy's to find, which is our gateway. */
static bool noted_without_tls(const char *url)
{
	struct sealway_opts o = { .url = url, .token = "x", .known_nodes = pins, .on_note = on_note };
	char why[256], *body = NULL;
	struct sealway *s = sealway_new(&o, why, sizeof(why));

	assert_non_null(s);
	buf_reset(&notes);
	for (int i = 0; i < 2; i++) {
		sealway_get(s, "/v1/models", &body);
		sealway_text_free(body);
		body = NULL;
	}
	sealway_free(s);
	return memmem(notes.p, notes.n, "can read the token", 18) &&
	       memchr(notes.p, '\n', notes.n - 1) == NULL;
}

static void without_tls_is_said_once(void **state)
{
	(void)state;
	assert_false(noted_without_tls(g.url));
	setenv("http_proxy", g.url, 1);
	assert_true(noted_without_tls("http://gateway.example"));
	assert_true(noted_without_tls("http://127.example"));
	unsetenv("http_proxy");
}

static void tried_again_with_all_new(void **state)
{
	struct sealway *s = client(NULL);

	(void)state;
	assert_int_equal(ASK(s, ACT_425, ACT_423, ACT_425, ACT_ANSWER), SEALWAY_OK);
	assert_true(all_shown());
	assert_int_equal(g.requests, 4);
	assert_int_equal(g.locks, 4);
	for (int i = 0; i < 4; i++)
		for (int k = 0; k < i; k++)
			assert_string_not_equal(g.nonces[i], g.nonces[k]);
	sealway_free(s);
}

static void not_for_ever(void **state)
{
	struct sealway *s = client(NULL);

	(void)state;
	assert_int_equal(ASK(s, ACT_425), SEALWAY_REFUSED);
	assert_int_equal(g.requests, 4);
	assert_int_equal(sealway_error_status(s), 425);
	assert_non_null(strstr(sealway_error(s), "key_rotated"));
	assert_int_equal(ASK(s, ACT_503), SEALWAY_REFUSED);
	assert_int_equal(g.requests, 3);
	sealway_free(s);
}

static void busy_then_not(void **state)
{
	struct sealway *s = client(NULL);

	(void)state;
	assert_int_equal(ASK(s, ACT_503, ACT_ANSWER), SEALWAY_OK);
	assert_int_equal(g.requests, 2);
	assert_int_equal(g.locks, 2);
	sealway_free(s);
}

static void no_longer_than_the_time_given(void **state)
{
	struct sealway_opts o = { .url = g.url, .token = "sk-test", .known_nodes = pins, .timeout_s = 1 };
	char why[256], *body = NULL;
	struct sealway *s = sealway_new(&o, why, sizeof(why));

	(void)state;
	assert_non_null(s);
	assert_int_equal(ASK(s, ACT_503), SEALWAY_REFUSED); /* to come again in 1 s, which it has not */
	assert_int_equal(g.requests, 1);
	g.lists = 0;
	g.busy = 9;
	assert_false(sealway_fetch(s, "/v1/models", &body));
	assert_int_equal(g.lists, 1);
	sealway_free(s);
}

static void nothing_is_sent_for_a_wrong_request(void **state)
{
	static const struct {
		const char *model, *json;
	} wrong[] = {
		{ FAKE_MODEL, "" },
		{ FAKE_MODEL, "no JSON" },
		{ FAKE_MODEL, "{\"model\":\"other\"}" },
		{ FAKE_MODEL, "{\"stream\":false}" },
		{ FAKE_MODEL, "{\"sealway_blind\":\"x\"}" },
		{ FAKE_MODEL, "{\"a\":\"\xff\"}" },
		{ "\xff", "{}" },
	};
	struct sealway *s = client(NULL);
	struct sealway_request r = { .kind = SEALWAY_CHAT, .stream = true, .on_object = on_object };

	(void)state;
	g.locks = g.requests = 0;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		r.model = wrong[i].model;
		r.json = wrong[i].json;
		r.json_n = strlen(r.json);
		assert_int_equal(sealway_run(s, &r), SEALWAY_USAGE);
		assert_int_not_equal(*sealway_error(s), '\0');
	}
	r = (struct sealway_request){ .kind = SEALWAY_CHAT, .model = FAKE_MODEL, .json = "{}", .json_n = 2 };
	assert_int_equal(sealway_run(s, &r), SEALWAY_USAGE); /* nobody to take the answer */
	assert_int_equal(g.locks + g.requests, 0);
	sealway_free(s);
}

static bool calls_inside(void *arg, const char *json, size_t n, bool last)
{
	struct sealway_request r = { .kind = SEALWAY_CHAT, .model = FAKE_MODEL, .json = "{}", .json_n = 2 };
	char *body = NULL;

	assert_int_equal(sealway_get(arg, "/v1/models", &body), 0);
	assert_false(sealway_fetch(arg, "/v1/models", &body));
	assert_null(body);
	r.on_object = calls_inside;
	assert_int_equal(sealway_run(arg, &r), SEALWAY_USAGE);
	return on_object(NULL, json, n, last);
}

static void calls_within_a_callback(void **state)
{
	struct sealway *s = client(NULL);
	struct sealway_request r = chat();

	(void)state;
	r.on_object = calls_inside;
	r.arg = s;
	assert_int_equal(ASK_FOR(s, r, ACT_ANSWER), SEALWAY_OK); /* goes on as if nothing had been */
	assert_true(all_shown());
	assert_int_equal(g.requests, 1);
	assert_int_equal(ASK(s, ACT_ANSWER), SEALWAY_OK);
	sealway_free(s);
}

static void not_tried_again(void **state)
{
	static const enum act acts[] = { ACT_402, ACT_429, ACT_503_LATER, ACT_REDIRECT };
	struct sealway *s = client(NULL);

	(void)state;
	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
		assert_int_equal(ASK(s, acts[i], ACT_ANSWER), SEALWAY_REFUSED);
		assert_int_equal(g.requests, 1);
		assert_int_equal(seen.n, 0);
	}
	sealway_free(s);
}

static void a_lock_that_is_refused(void **state)
{
	struct sealway *s = client(NULL);

	(void)state;
	g.lock_act = ACT_503;
	assert_int_equal(ASK(s, ACT_ANSWER), SEALWAY_REFUSED);
	assert_int_equal(g.locks, 3);
	assert_int_equal(g.requests, 0);
	sealway_free(s);
}

static void fetched_with_patience(void **state)
{
	struct sealway *s = client(NULL);
	char *body = NULL;

	(void)state;
	g.busy = 1;
	assert_true(sealway_fetch(s, "/v1/models", &body));
	assert_string_equal(body, "{}");
	assert_int_equal(g.lists, 2);
	sealway_text_free(body);
	body = NULL;
	g.lists = 0;
	g.busy = 9;
	assert_false(sealway_fetch(s, "/v1/models", &body));
	assert_null(body);
	assert_int_equal(g.lists, 3);
	assert_int_equal(sealway_error_status(s), 503);
	assert_non_null(strstr(sealway_error(s), "503 SERVICE_UNAVAILABLE: no"));
	assert_false(sealway_fetch(s, "/none", &body));
	assert_int_equal(sealway_error_status(s), 404);
	assert_non_null(
		strstr(sealway_error(s), "NOT_FOUND: no (max_tokens)")); /* which member it is about */
	sealway_free(s);
}

static void broken_answers(void **state)
{
	struct sealway *s = client(NULL);

	(void)state;
	assert_int_equal(ASK(s, ACT_CUT), SEALWAY_CUT);
	assert_int_equal(g.requests, 1); /* something was shown: never again */
	assert_true(slice_is(buf_slice(&seen), "{\"a\":1}|{\"a\":2}|"));
	assert_int_equal(ASK(s, ACT_NO_FINAL), SEALWAY_CUT);
	assert_non_null(strstr(sealway_error(s), "without its final chunk"));
	assert_int_equal(ASK(s, ACT_ERROR_EVENT), SEALWAY_CUT);
	assert_non_null(strstr(sealway_error(s), "TIMEOUT: slow"));
	assert_null(sealway_receipt(s));
	sealway_free(s);
}

static void another_signing_key(void **state)
{
	const uint8_t seed[32] = { 99 };
	struct statement st = fake_statement_of(&g.n);
	char key[B64_LEN(32) + 1] = "";
	struct sealway *s = client(NULL);

	(void)state;
	assert_int_equal(ASK(s, ACT_ANSWER), SEALWAY_OK);
	b64_put(key, g.n.lock.sign_key, 32);
	sign_key_free(g.n.sign);
	g.n.sign = sign_key_new(seed);
	memcpy(g.n.lock.sign_key, sign_key_public(g.n.sign), 32);
	st.not_before = (uint64_t)time(NULL) - 10;
	st.not_after = st.not_before + 3600;
	fake_statement(&g.n, &st);
	assert_int_equal(ASK(s, ACT_ANSWER), SEALWAY_VERIFY);
	assert_non_null(strstr(sealway_error(s), "not the one pinned"));
	assert_int_equal(g.requests, 0); /* nothing was sealed to it */
	sealway_free(s);
	s = client(key); /* the key that was right before */
	assert_int_equal(ASK(s, ACT_ANSWER), SEALWAY_VERIFY);
	sealway_free(s);
	b64_put(key, g.n.lock.sign_key, 32); /* the caller's key goes before the pins */
	s = client(key);
	assert_int_equal(ASK(s, ACT_ANSWER), SEALWAY_OK);
	sealway_free(s);
}

static void nobody_there(void **state)
{
	struct sealway_opts o = { .url = "http://127.0.0.1:1", .token = "t", .known_nodes = pins };
	char why[256];
	struct sealway *s = sealway_new(&o, why, sizeof(why));

	(void)state;
	assert_int_equal(ASK(s, ACT_ANSWER), SEALWAY_CONNECT);
	assert_int_equal(sealway_error_status(s), 0);
	sealway_free(s);
}

static void usage(void **state)
{
	static const char *const urls[] = { NULL,           "",          "ftp://x",
					    "127.0.0.1:80", "http://",   "http://u:p@x",
					    "http://x?y",   "http://a b" };
	struct sealway_request r = { .kind = SEALWAY_IMAGES,
				     .model = "m",
				     .stream = true,
				     .json = "{}",
				     .json_n = 2,
				     .on_object = on_object };
	char why[256];
	struct sealway *s;

	(void)state;
	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		struct sealway_opts o = { .url = urls[i], .token = "t", .known_nodes = pins };

		assert_null(sealway_new(&o, why, sizeof(why)));
		assert_true(strlen(why) > 0);
	}
	assert_null(sealway_new(&(struct sealway_opts){ .url = g.url, .token = "a\nb", .known_nodes = pins },
				why, 256));
	assert_null(sealway_new(&(struct sealway_opts){ .url = g.url, .node_key = "AA==" }, why, 256));
	assert_null(sealway_new(&(struct sealway_opts){ .url = g.url, .known_nodes = pins, .lock_s = 601 },
				why, 256));
	s = client(NULL);
	assert_int_equal(sealway_run(s, &r), SEALWAY_USAGE); /* images do not stream */
	r.stream = false;
	r.model = "";
	assert_int_equal(sealway_run(s, &r), SEALWAY_USAGE);
	r.model = "m";
	r.kind = (enum sealway_kind)5;
	assert_int_equal(sealway_run(s, &r), SEALWAY_USAGE);
	assert_int_equal(g.locks, 0);
	sealway_free(s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_answer),
		TEST(more_units_than_reserved),
		TEST(without_tls_is_said_once),
		TEST(tried_again_with_all_new),
		TEST(not_for_ever),
		TEST(busy_then_not),
		TEST(no_longer_than_the_time_given),
		TEST(not_tried_again),
		TEST(a_lock_that_is_refused),
		TEST(broken_answers),
		TEST(another_signing_key),
		TEST(nobody_there),
		TEST(usage),
		TEST(nothing_is_sent_for_a_wrong_request),
		TEST(calls_within_a_callback),
		TEST(fetched_with_patience),
	};
	int failed;

	if (sodium_init() < 0)
		return 1;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	buf_free(&seen);
	buf_free(&notes);
	return failed;
}
