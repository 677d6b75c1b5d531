/* SPDX-License-Identifier: Apache-2.0
 *
 * Exchanges with a peer that does not keep to HTTP: heads and trailers without
 * end, answers whose end is not marked or not there, proxies that refuse, silence,
 * paths that are none; what is sent once only; and a machine that is out of memory.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client/http.h"

#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
#define CHUNKED OK_HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"

/* Answers each connection with first, then with again for as long as it is taken (NULL: waits). */
static struct peer {
	int fd;
	pthread_t thread;
	char url[64];
	const char *first, *again;
	size_t sent, connections;
	char asked[512]; /* the beginning of the last request */
} peer;

static bool say(int fd, const char *text)
{
	ssize_t n = send(fd, text, strlen(text), MSG_NOSIGNAL);

	peer.sent += n > 0 ? (size_t)n : 0;
	return n > 0;
}

static void *serve(void *arg)
{
	char wait;

	for (;;) {
		int fd = accept(peer.fd, NULL, NULL);
		ssize_t n;

		if (fd < 0)
			return arg;
		peer.connections++;
		n = recv(fd, peer.asked, sizeof(peer.asked) - 1, 0);
		peer.asked[n > 0 ? n : 0] = '\0';
		if (peer.first && say(fd, peer.first) && peer.again)
			while (say(fd, peer.again))
				;
		else if (!peer.again)
			(void)!recv(fd, &wait, 1, 0);
		close(fd);
	}
}

static void peer_start(const char *first, const char *again)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(a);

	memset(&peer, 0, sizeof(peer));
	peer.first = first;
	peer.again = again;
	peer.fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_true(peer.fd >= 0);
	assert_int_equal(bind(peer.fd, (struct sockaddr *)&a, sizeof(a)) | listen(peer.fd, 8) |
				 getsockname(peer.fd, (struct sockaddr *)&a, &n),
			 0);
	snprintf(peer.url, sizeof(peer.url), "http://127.0.0.1:%d", ntohs(a.sin_port));
	assert_int_equal(pthread_create(&peer.thread, NULL, serve, NULL), 0);
}

/* What the peer saw may be looked at from then on. */
static void peer_stop(void)
{
	shutdown(peer.fd, SHUT_RDWR);
	pthread_join(peer.thread, NULL);
	close(peer.fd);
}

static bool on_data(void *arg, const struct http_head *head, struct slice data)
{
	(void)head;
	buf_add(arg, data.p, data.n);
	return true;
}

/* One exchange with what the peer is set to. */
static bool get(const char *url, const char *path, unsigned silence_s, struct fault *f)
{
	struct http_opts o = { .url = url, .token = "sk-test" };
	struct buf body = { 0 };
	struct http_call c = {
		.path = path, .timeout_ms = 20000, .silence_s = silence_s, .on_data = on_data, .arg = &body
	};
	struct http *h = http_new(&o, f);
	struct http_head head;
	bool ok;

	assert_non_null(h);
	ok = http_run(h, &c, &head, f);
	http_free(h);
	buf_free(&body);
	return ok;
}

static void headers_without_end(void **state)
{
	static const struct {
		const char *first, *again;
	} peers[] = {
		{ CHUNKED, "X-A: 0123456789012345678901234567890123456789\r\n" }, /* trailers */
		{ OK_HEAD, "X-A: 0123456789012345678901234567890123456789\r\n" },
		{ "HTTP/1.1 103 Early Hints\r\n\r\n", "HTTP/1.1 103 Early Hints\r\nX-A: 0123456789\r\n\r\n" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++) {
		struct fault f = { 0 };

		peer_start(peers[i].first, peers[i].again);
		assert_false(get(peer.url, "/", 0, &f));
		peer_stop();
		assert_int_equal(f.status, SEALWAY_VERIFY);
		assert_non_null(strstr(f.text, "the headers of the answer are larger than any answer's"));
		assert_true(peer.sent < 16u << 20); /* what waits in sockets is taken, too */
	}
}

/* What curl takes for a whole answer, and is none, or may be none. */
static void ends_that_are_none(void **state)
{
	static const char *const answers[] = {
		OK_HEAD "\r\n{}",
		OK_HEAD "Connection: close\r\n\r\n{}",
		"HTTP/1.0 200 OK\r\n\r\n{}",
		"HTTP/1.1 103 Early Hints\r\n\r\n",
		"HTTP/1.1 103 Early Hints\r\nContent-Length: 2\r\n\r\n",
		"HTTP/1.1 103 Early Hints\r\n\r\n" OK_HEAD,
		"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 503 No\r\nRetry-After: 1\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		struct fault f = { 0 };

		peer_start(answers[i], "");
		assert_false(get(peer.url, "/", 0, &f));
		peer_stop();
		assert_int_equal(f.status, SEALWAY_CUT);
		assert_non_null(strstr(f.text, "the answer was cut off before its end"));
	}
}

static void trailers_are_no_head(void **state)
{
	struct http_opts o = { 0 };
	struct fault f = { 0 };
	struct buf body = { 0 };
	struct http_call c = { .path = "/", .timeout_ms = 20000, .on_data = on_data, .arg = &body };
	struct http_head head;
	struct http *h;

	(void)state;
	peer_start(CHUNKED "Retry-After: 1\r\nX-Request-Id: x\r\nContent-Type: a/b\r\nHTTP/1.1: 2\r\n\r\n",
		   NULL);
	o.url = peer.url;
	h = http_new(&o, &f);
	assert_true(http_run(h, &c, &head, &f));
	http_free(h);
	peer_stop();
	assert_int_equal(head.retry_after, 0);
	assert_string_equal(head.request_id, "");
	assert_string_equal(head.type, "application/json");
	buf_free(&body);
}

/* On a connection that was kept and ends before a byte of an answer.  The peer counts its connections. */
static bool asked_on_a_kept_connection(bool once, struct fault *f)
{
	struct http_opts o = { 0 };
	struct buf body = { 0 };
	struct http_call c = { .path = "/", .timeout_ms = 20000, .on_data = on_data, .arg = &body };
	struct http_head head;
	struct http *h;
	bool ok;

	peer_start(OK_HEAD "Content-Length: 2\r\n\r\n{}", NULL); /* hangs up when the next one comes */
	o.url = peer.url;
	h = http_new(&o, f);
	assert_true(http_run(h, &c, &head, f));
	c.body = SLICE_STR("{\"a\":1}");
	c.once = once;
	ok = http_run(h, &c, &head, f);
	http_free(h);
	peer_stop();
	buf_free(&body);
	return ok;
}

static void once_is_once(void **state)
{
	struct fault f = { 0 };

	(void)state;
	assert_true(asked_on_a_kept_connection(false, &f));
	assert_int_equal(peer.connections, 2);
	assert_false(asked_on_a_kept_connection(true, &f));
	assert_int_equal(peer.connections,
			 1 + (strlen(peer.asked) == 0)); /* curl may connect, and ask nothing */
	assert_int_equal(f.status, SEALWAY_CONNECT);
	assert_non_null(strstr(f.text, "may have been answered and billed, so it was not sent again"));
}

/* --- memory --- */

static _Atomic size_t fail_at, allocations; /* of libcurl; 0: none fails */

static bool refused(void)
{
	return ++allocations == fail_at;
}

static void *some(size_t n)
{
	return refused() ? NULL : malloc(n);
}

static void *some_zeroed(size_t n, size_t m)
{
	return refused() ? NULL : calloc(n, m);
}

static void *some_more(void *p, size_t n)
{
	return refused() ? NULL : realloc(p, n);
}

static char *a_copy(const char *s)
{
	return refused() ? NULL : strdup(s);
}

/* One exchange in which the n-th allocation of libcurl fails. */
static bool short_of_memory(size_t n, struct fault *f)
{
	struct http_opts o = { .url = peer.url, .token = "sk-test", .ca_file = "none" };
	struct buf body = { 0 };
	struct http_call c = {
		.path = "/", .body = SLICE_STR("{}"), .timeout_ms = 20000, .on_data = on_data, .arg = &body
	};
	struct http_head head;
	struct http *h;
	bool ok;

	allocations = 0;
	fail_at = n;
	h = http_new(&o, f);
	if (h)
		assert_string_equal(http_origin(h), peer.url); /* which pins are kept by */
	ok = h && http_run(h, &c, &head, f);
	fail_at = 0;
	http_free(h);
	buf_free(&body);
	return ok;
}

static void out_of_memory(void **state)
{
	size_t n = 0, local = 0;
	bool ok;

	(void)state;
	do {
		struct fault f = { 0 };

		peer_start(OK_HEAD "Content-Length: 2\r\n\r\n{}", NULL);
		ok = short_of_memory(++n, &f);
		peer_stop();
		if (*peer.asked) { /* as it should be, or not at all */
			assert_non_null(strstr(peer.asked, "\r\nAuthorization: Bearer sk-test\r\n"));
			assert_non_null(strstr(peer.asked, "\r\nContent-Type: application/json\r\n"));
		}
		assert_true(ok == (f.status == SEALWAY_OK));
		assert_true(ok || f.status == SEALWAY_LOCAL || f.status == SEALWAY_CONNECT ||
			    f.status == SEALWAY_CUT);
		local += strstr(f.text, "not enough memory") != NULL;
	} while (n <= allocations);
	assert_true(ok && n > 50 && local > 10);
}

static void a_path_is_no_host(void **state)
{
	static const char *const paths[] = {
		"", "x", "@127.0.0.1:1/", ".example.org/", "/a b", "/a\r\nX: y"
	};
	char url[96];

	(void)state;
	peer_start(OK_HEAD "Content-Length: 2\r\n\r\n{}", NULL);
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		struct fault f = { 0 };

		assert_false(get(peer.url, paths[i], 0, &f));
		assert_int_equal(f.status, SEALWAY_USAGE);
	}
	snprintf(url, sizeof(url), "@%.60s/x", peer.url + strlen("http://"));
	assert_false(get("http://gateway.example", url, 0, &(struct fault){ 0 }));
	peer_stop();
	assert_int_equal(peer.connections, 0); /* the token went nowhere */
}

static void a_proxy_that_refuses(void **state)
{
	struct fault f = { 0 };

	(void)state;
	peer_start("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", NULL);
	setenv("https_proxy", peer.url, 1);
	assert_false(get("https://gateway.example", "/", 0, &f));
	unsetenv("https_proxy");
	peer_stop();
	assert_int_equal(f.status, SEALWAY_CONNECT);
	assert_non_null(strstr(f.text, "cannot talk to https://gateway.example"));
	assert_memory_equal(peer.asked, "CONNECT gateway.example:443 ", 28);
	assert_null(strstr(peer.asked, "sk-test")); /* the token is not the proxy's */
}

static void silence(void **state)
{
	struct fault f = { 0 };

	(void)state;
	peer_start(OK_HEAD, NULL);
	assert_false(get(peer.url, "/", 1, &f));
	peer_stop();
	assert_int_equal(f.status, SEALWAY_CUT);
	assert_non_null(strstr(f.text, "too slow"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(headers_without_end),
		cmocka_unit_test(ends_that_are_none),
		cmocka_unit_test(trailers_are_no_head),
		cmocka_unit_test(once_is_once),
		cmocka_unit_test(a_path_is_no_host),
		cmocka_unit_test(a_proxy_that_refuses),
		cmocka_unit_test(silence),
		cmocka_unit_test(out_of_memory),
	};

	if (curl_global_init_mem(CURL_GLOBAL_DEFAULT, some, free, some_more, a_copy, some_zeroed))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
