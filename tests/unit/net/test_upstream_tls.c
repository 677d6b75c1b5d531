/* SPDX-License-Identifier: Apache-2.0
 *
 * TLS of the HTTP client: a chain to the given authority and the right name, or
 * nothing is sent.  The server is OpenSSL in a thread, its certificates are made
 * here.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/net/upstream_impl.h"
#include "tests/unit/net/fake_cert.h"
#include "tests/unit/net/fake_server.h"

#define PATIENCE_MS 5000
#define LARGE (3 << 20) /* far over what sockets hold */

/* --- the server --- */

struct server {
	SSL_CTX *ctx;
	int fd;
	uint16_t port;
	pthread_t thread;
	_Atomic unsigned requests;
	bool large, once;
	char in[4096]; /* the last request that serve_once read, as text */
};

/* Reads a request of body bytes, answers with as many, over and over on one connection. */
static void serve_large(struct server *s, SSL *ssl)
{
	char *page = calloc(1, LARGE), head[128];
	int n, got;

	for (;;) {
		for (got = 0; got < LARGE && (n = SSL_read(ssl, page, LARGE)) > 0;)
			got += n;
		if (got < LARGE)
			break;
		s->requests++;
		for (int i = 0; i < LARGE; i++)
			page[i] = (char)(i * 7);
		n = snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", LARGE);
		if (SSL_write(ssl, head, n) <= 0 || SSL_write(ssl, page, LARGE) <= 0)
			break;
	}
	free(page);
}

/* Answers one request, takes a second one and closes without a word. */
static void serve_once(struct server *s, SSL *ssl)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
	int n;

	while ((n = SSL_read(ssl, s->in, sizeof(s->in) - 1)) > 0) {
		s->in[n] = '\0';
		if (s->requests++ == 1)
			break;
		SSL_write(ssl, answer, sizeof(answer) - 1);
	}
}

static void serve_one(struct server *s, int fd)
{
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
	SSL *ssl = SSL_new(s->ctx);
	char in[4096];

	SSL_set_fd(ssl, fd);
	if (s->large && SSL_accept(ssl) == 1)
		serve_large(s, ssl);
	else if (s->once && SSL_accept(ssl) == 1)
		serve_once(s, ssl);
	else if (!s->large && !s->once && SSL_accept(ssl) == 1 && SSL_read(ssl, in, sizeof(in)) > 0) {
		s->requests++;
		SSL_write(ssl, answer, sizeof(answer) - 1);
		SSL_shutdown(ssl);
	}
	SSL_free(ssl);
	ERR_clear_error();
	close(fd);
}

static void *serve(void *arg)
{
	struct server *s = arg;
	int fd;

	while ((fd = accept(s->fd, NULL, NULL)) >= 0)
		serve_one(s, fd);
	return NULL;
}

/* NULL: OpenSSL's own groups. */
static const char *server_groups;

static void server_open(struct server *s, X509 *cert, EVP_PKEY *key, int max_version)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof(addr);

	memset(s, 0, sizeof(*s));
	s->ctx = SSL_CTX_new(TLS_server_method());
	SSL_CTX_set_security_level(s->ctx, 0);
	SSL_CTX_set_min_proto_version(s->ctx, TLS1_VERSION);
	SSL_CTX_set_max_proto_version(s->ctx, max_version);
	assert_int_equal(SSL_CTX_use_certificate(s->ctx, cert), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(s->ctx, key), 1);
	if (server_groups)
		assert_int_equal(SSL_CTX_set1_groups_list(s->ctx, server_groups), 1);
	s->fd = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(s->fd, 4), 0);
	getsockname(s->fd, (struct sockaddr *)&addr, &n);
	s->port = ntohs(addr.sin_port);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_close(struct server *s)
{
	shutdown(s->fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->fd);
	SSL_CTX_free(s->ctx);
}

/* --- the client --- */

struct side {
	EVP_PKEY *ca_key, *key, *other_key;
	X509 *ca, *other_ca, *good, *wrong_name, *expired;
	char ca_file[FAKE_FILE];
	bool done;
	enum upstream_result result;
	struct upstream_req *req;
	unsigned connects;
	bool left; /* something behind the head of a request */
};

static void on_done(void *arg, enum upstream_result r)
{
	struct side *s = arg;

	s->done = true;
	s->result = r;
}

static enum upstream_result get(struct side *s, uint16_t port, const char *host)
{
	struct upstream_opts o = { .ca_file = s->ca_file };
	char url[64];
	struct upstream_call c = { .method = "GET",
				   .url = url,
				   .connect_ms = 3000,
				   .total_ms = 4000,
				   .on_done = on_done,
				   .arg = s };
	struct upstream *u;
	uv_loop_t uv;

	snprintf(url, sizeof(url), "https://%s:%u/", host, port);
	uv_loop_init(&uv);
	u = upstream_new(&uv, &o);
	s->done = false;
	upstream_start(u, &c);
	assert_true(fake_run(&uv, &s->done, PATIENCE_MS));
	upstream_free(u);
	uv_run(&uv, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&uv), 0);
	return s->result;
}

static enum upstream_result try(struct side *s, X509 *cert, const char *host, int max_version,
				unsigned requests)
{
	struct server server;
	enum upstream_result r;

	server_open(&server, cert, s->key, max_version);
	r = get(s, server.port, host);
	assert_int_equal(server.requests, requests); /* refused means: not a byte was said inside */
	server_close(&server);
	return r;
}

static int setup(void **state)
{
	struct side *s = mem_new(sizeof(*s));

	signal(SIGPIPE, SIG_IGN);
	s->ca_key = EVP_EC_gen("P-256");
	s->key = EVP_EC_gen("P-256");
	s->other_key = EVP_EC_gen("P-256");
	s->ca = fake_cert(s->ca_key, "test authority", NULL, NULL, NULL, -60, 3600);
	s->other_ca = fake_cert(s->other_key, "test authority", NULL, NULL, NULL, -60, 3600);
	s->good = fake_cert(s->key, "x", "DNS:localhost,IP:127.0.0.1", s->ca, s->ca_key, -60, 3600);
	s->wrong_name = fake_cert(s->key, "localhost", "DNS:other.example", s->ca, s->ca_key, -60, 3600);
	s->expired = fake_cert(s->key, "x", "DNS:localhost,IP:127.0.0.1", s->ca, s->ca_key, -3600, -60);
	fake_cert_write(s->ca, s->ca_file);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct side *s = *state;

	unlink(s->ca_file);
	X509_free(s->ca);
	X509_free(s->other_ca);
	X509_free(s->good);
	X509_free(s->wrong_name);
	X509_free(s->expired);
	EVP_PKEY_free(s->ca_key);
	EVP_PKEY_free(s->key);
	EVP_PKEY_free(s->other_key);
	free(s);
	return 0;
}

static void test_good(void **state)
{
	struct side *s = *state;

	assert_int_equal(try(s, s->good, "127.0.0.1", TLS1_3_VERSION, 1), UPSTREAM_OK);
	assert_int_equal(try(s, s->good, "localhost", TLS1_3_VERSION, 1), UPSTREAM_OK);
	assert_int_equal(try(s, s->good, "127.0.0.1", TLS1_2_VERSION, 1), UPSTREAM_OK);
}

static void test_wrong_name(void **state)
{
	struct side *s = *state;

	assert_int_equal(try(s, s->wrong_name, "127.0.0.1", TLS1_3_VERSION, 0), UPSTREAM_CONNECT);
	assert_int_equal(try(s, s->wrong_name, "127.0.0.1", TLS1_2_VERSION, 0), UPSTREAM_CONNECT);
	assert_int_equal(try(s, s->wrong_name, "localhost", TLS1_3_VERSION, 0), UPSTREAM_CONNECT);
}

static void test_wrong_authority(void **state)
{
	struct side *s = *state;
	X509 *forged =
		fake_cert(s->key, "x", "DNS:localhost,IP:127.0.0.1", s->other_ca, s->other_key, -60, 3600);
	X509 *own = fake_cert(s->key, "x", "DNS:localhost,IP:127.0.0.1", NULL, NULL, -60, 3600);

	assert_int_equal(try(s, forged, "127.0.0.1", TLS1_3_VERSION, 0), UPSTREAM_CONNECT);
	assert_int_equal(try(s, own, "127.0.0.1", TLS1_3_VERSION, 0), UPSTREAM_CONNECT);
	X509_free(forged);
	X509_free(own);
}

static void test_expired(void **state)
{
	struct side *s = *state;

	assert_int_equal(try(s, s->expired, "127.0.0.1", TLS1_3_VERSION, 0), UPSTREAM_CONNECT);
}

static void test_old_tls(void **state)
{
	struct side *s = *state;

	assert_int_equal(try(s, s->good, "127.0.0.1", TLS1_1_VERSION, 0), UPSTREAM_CONNECT);
}

/* A node that agrees on nothing else would take the caller's thread 100 ms for each connection. */
static void test_large_fields(void **state)
{
	struct side *s = *state;

	server_groups = "ffdhe8192";
	assert_int_equal(try(s, s->good, "127.0.0.1", TLS1_3_VERSION, 0), UPSTREAM_CONNECT);
	server_groups = "P-384";
	assert_int_equal(try(s, s->good, "127.0.0.1", TLS1_3_VERSION, 1), UPSTREAM_OK);
	assert_int_equal(try(s, s->good, "127.0.0.1", TLS1_2_VERSION, 1), UPSTREAM_OK);
	server_groups = NULL;
}

struct flow {
	struct upstream_req *req;
	size_t got;
	bool done, wrong, pausing;
	enum upstream_result result;
};

static void on_large(void *arg, struct slice data)
{
	struct flow *f = arg;

	for (size_t i = 0; i < data.n; i++)
		f->wrong |= data.p[i] != (uint8_t)((f->got + i) * 7);
	f->got += data.n;
	if (f->pausing)
		upstream_pause(f->req);
}

static void on_large_done(void *arg, enum upstream_result r)
{
	struct flow *f = arg;

	f->done = true;
	f->result = r;
	f->req = NULL;
}

static void exchange(struct upstream *u, uv_loop_t *uv, const struct upstream_call *c, struct flow *f)
{
	memset(f, 0, sizeof(*f));
	f->pausing = true;
	f->req = upstream_start(u, c);
	while (!f->done && !f->got)
		fake_run(uv, NULL, 2);
	size_t got = f->got;
	fake_run(uv, NULL, 100);
	assert_int_equal(f->got, got); /* it stands still */
	for (int i = 0; i < 2000 && f->req && i < 20; i++) {
		upstream_resume(f->req);
		fake_run(uv, NULL, 1);
	}
	f->pausing = false;
	if (f->req)
		upstream_resume(f->req);
	assert_true(fake_run(uv, &f->done, PATIENCE_MS));
	assert_int_equal(f->result, UPSTREAM_OK);
	assert_int_equal(f->got, LARGE);
	assert_false(f->wrong);
}

/* Megabytes both ways, standing still in between, twice on one connection. */
static void test_large(void **state)
{
	struct side *s = *state;
	struct upstream_opts o = { .ca_file = s->ca_file };
	struct server server;
	struct upstream *u;
	struct flow f;
	uv_loop_t uv;
	char url[64], *body = calloc(1, LARGE);
	struct upstream_call c = { .method = "POST",
				   .url = url,
				   .body = slice_of(body, LARGE),
				   .connect_ms = 3000,
				   .on_data = on_large,
				   .on_done = on_large_done,
				   .arg = &f };

	for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
		server_open(&server, s->good, s->key, version);
		server.large = true;
		uv_loop_init(&uv);
		u = upstream_new(&uv, &o);
		snprintf(url, sizeof(url), "https://127.0.0.1:%u/", server.port);
		exchange(u, &uv, &c, &f);
		exchange(u, &uv, &c, &f);
		assert_int_equal(server.requests, 2);
		upstream_free(u);
		uv_run(&uv, UV_RUN_DEFAULT);
		assert_int_equal(uv_loop_close(&uv), 0);
		server_close(&server);
	}
	free(body);
}

/* Before each connect, which may be the last: of a body that rode behind the head nothing is left there. */
static bool on_connect(void *arg, const struct sockaddr *sa, bool tls)
{
	struct side *s = arg;
	const struct buf *head = &s->req->head;

	(void)sa, (void)tls;
	s->connects++;
	for (size_t i = head->n; i < head->cap; i++)
		s->left |= head->p[i] != 0;
	return true;
}

/* A kept connection that dies under a request that may be repeated: on the new one it says the same. */
static void test_asked_again(void **state)
{
	struct side *s = *state;
	struct upstream_opts o = { .ca_file = s->ca_file, .allow_address = on_connect, .arg = s };
	struct upstream_call c = { .method = "POST",
				   .body = SLICE_STR("{\"a\":1}"),
				   .connect_ms = 3000,
				   .total_ms = 4000,
				   .repeatable = true,
				   .on_done = on_done,
				   .arg = s };
	struct server server;
	struct upstream *u;
	uv_loop_t uv;
	char url[64];

	server_open(&server, s->good, s->key, TLS1_3_VERSION);
	server.once = true;
	snprintf(url, sizeof(url), "https://127.0.0.1:%u/", server.port);
	c.url = url;
	uv_loop_init(&uv);
	u = upstream_new(&uv, &o);
	for (int i = 0; i < 2; i++) {
		s->done = false;
		s->req = upstream_start(u, &c);
		assert_true(fake_run(&uv, &s->done, PATIENCE_MS));
		assert_int_equal(s->result, UPSTREAM_OK);
	}
	assert_int_equal(server.requests, 3);
	assert_int_equal(s->connects, 2);
	assert_false(s->left);
	assert_string_equal(strstr(server.in, "\r\n\r\n") + 4, "{\"a\":1}");
	assert_non_null(strstr(server.in, "Content-Length: 7\r\n"));
	upstream_free(u);
	uv_run(&uv, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&uv), 0);
	server_close(&server);
}

/* A server that speaks no TLS at all. */
static void on_plain(void *arg, struct fake_conn *c, struct slice request)
{
	(void)arg;
	(void)request;
	fake_say(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

static void test_no_tls(void **state)
{
	struct side *s = *state;
	struct fake_events ev = { .request = on_plain };
	struct upstream_opts o = { .ca_file = s->ca_file };
	struct fake_server *server;
	struct upstream *u;
	uv_loop_t uv;
	char url[64];
	struct upstream_call c = {
		.method = "GET", .url = url, .connect_ms = 300, .on_done = on_done, .arg = s
	};

	uv_loop_init(&uv);
	server = fake_open(&uv, &ev);
	u = upstream_new(&uv, &o);
	snprintf(url, sizeof(url), "https://127.0.0.1:%u/", fake_port(server));
	s->done = false;
	upstream_start(u, &c);
	assert_true(fake_run(&uv, &s->done, PATIENCE_MS));
	assert_int_equal(s->result, UPSTREAM_CONNECT); /* by the deadline of the handshake */
	upstream_free(u);
	fake_close(server);
	uv_run(&uv, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&uv), 0);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_good),         T(test_large),   T(test_wrong_name), T(test_wrong_authority),
		T(test_expired),      T(test_old_tls), T(test_no_tls),     T(test_asked_again),
		T(test_large_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
