/* SPDX-License-Identifier: Apache-2.0
 *
 * One exchange in libcurl's terms (upstream_impl.h): its options, and the
 * callbacks that come while it runs.  They only note what they see and hand
 * bytes on; ending an exchange is upstream.c's.
 */
#include "common/net/upstream_impl.h"

#include <string.h>
#include <strings.h>

#define IDLE_SECONDS 5L /* below the keep-alive time of common servers, so that a kept one is rarely dead */

/* --- callbacks --- */

static curl_socket_t on_open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct upstream_req *r = arg;
	struct upstream *u = r->up;

	(void)purpose;
	if (u->o.allow_address && !u->o.allow_address(u->o.arg, &a->addr, r->tls)) {
		r->refused = true;
		return CURL_SOCKET_BAD;
	}
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

/* Connected, about to send.  A second time means that curl repeats itself. */
static int on_begin(void *arg, char *ip, char *local_ip, int port, int local_port)
{
	struct upstream_req *r = arg;

	(void)ip, (void)local_ip, (void)port, (void)local_port;
	if (r->dead || r->sent)
		return CURL_PREREQFUNC_ABORT;
	r->begun = true;
	r->began = uv_now(r->up->uv);
	return CURL_PREREQFUNC_OK;
}

static size_t on_read(char *to, size_t size, size_t n, void *arg)
{
	struct upstream_req *r = arg;
	size_t left = r->c.body.n - r->sent;

	if (r->dead)
		return CURL_READFUNC_ABORT;
	n *= size;
	if (n > left)
		n = left;
	if (n)
		memcpy(to, r->c.body.p + r->sent, n);
	r->sent += n;
	return n;
}

/* The value of header name on this line, without white space around it. */
static bool header_is(struct slice line, const char *name, struct slice *value)
{
	size_t n = strlen(name);

	if (line.n <= n || line.p[n] != ':' || strncasecmp((const char *)line.p, name, n) != 0)
		return false;
	line = slice_of(line.p + n + 1, line.n - n - 1);
	while (line.n && (line.p[0] == ' ' || line.p[0] == '\t'))
		line = slice_of(line.p + 1, line.n - 1);
	while (line.n && strchr(" \t\r\n", line.p[line.n - 1]) && line.p[line.n - 1])
		line.n--;
	*value = line;
	return true;
}

static void take_type(struct upstream_req *r, struct slice v)
{
	size_t n = 0;

	while (n < v.n && n < UPSTREAM_TYPE_MAX - 1 && !strchr("; \t", v.p[n])) {
		r->type[n] = v.p[n] >= 'A' && v.p[n] <= 'Z' ? (char)(v.p[n] | 0x20) : (char)v.p[n];
		n++;
	}
	r->type[n] = '\0';
}

/* The one coding that was not asked for and has to be known.  curl would unpack
 * others, also several in a row: a few KB could become terabytes. */
static void take_coding(struct upstream_req *r, struct slice v)
{
	bool chunked = v.n == 7 && strncasecmp((const char *)v.p, "chunked", 7) == 0;

	r->over |= !chunked || r->coded;
	r->bounded = r->coded = true;
}

static void take_header(struct upstream_req *r, struct slice line)
{
	struct slice v;

	if (header_is(line, "content-type", &v))
		take_type(r, v);
	else if (header_is(line, "content-length", &v))
		r->bounded = true;
	else if (header_is(line, "transfer-encoding", &v))
		take_coding(r, v);
}

static void take_status(struct upstream_req *r)
{
	long status = 0;

	curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
	r->status = (int)status;
	r->type[0] = '\0';
	r->coded = false;
	r->bounded = status == 204 || status == 304 || strcmp(r->c.method, "HEAD") == 0;
}

static void head_ends(struct upstream_req *r)
{
	if (r->status >= 100 && r->status < 200)
		return; /* an interim answer; the real one follows */
	r->head = true;
	r->progress = uv_now(r->up->uv);
	if (r->c.on_head)
		r->c.on_head(r->c.arg, r->status, r->type);
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
	struct upstream_req *r = arg;
	struct slice line = slice_of(p, n *= size);

	if (r->dead)
		return 0;
	if (r->head)
		return n; /* trailers mean nothing here */
	if (n >= 5 && memcmp(p, "HTTP/", 5) == 0)
		take_status(r);
	else if (n <= 2 && (n == 0 || p[0] == '\r' || p[0] == '\n'))
		head_ends(r);
	else
		take_header(r, line);
	return r->dead || r->over ? 0 : n;
}

static size_t on_write(char *p, size_t size, size_t n, void *arg)
{
	struct upstream_req *r = arg;

	n *= size;
	if (r->dead)
		return 0;
	if (r->paused) {
		r->held = true;
		return CURL_WRITEFUNC_PAUSE;
	}
	r->got += n;
	if (r->c.max_body && r->got > r->c.max_body) {
		r->over = true;
		return 0;
	}
	r->progress = uv_now(r->up->uv);
	if (r->c.on_data && n)
		r->c.on_data(r->c.arg, slice_of(p, n));
	return r->dead ? 0 : n;
}

/* --- options --- */

static void set_headers(struct upstream_req *r)
{
	struct buf line = { .secret = true };
	bool typed = false;

	for (size_t i = 0; i < r->c.n_headers; i++) {
		typed |= strcasecmp(r->c.headers[i].name, "content-type") == 0;
		buf_reset(&line);
		buf_fmt(&line, "%s: ", r->c.headers[i].name);
		buf_add(&line, r->c.headers[i].value.p, r->c.headers[i].value.n);
		buf_add(&line, "", 1);
		r->headers = curl_slist_append(r->headers, (char *)line.p);
		BUG_ON(!r->headers);
	}
	if (!typed)
		r->headers = curl_slist_append(r->headers, "Content-Type:"); /* not curl's form type */
	r->headers = curl_slist_append(r->headers, "Expect:");
	BUG_ON(!r->headers);
	r->c.headers = NULL;
	buf_free(&line);
	curl_easy_setopt(r->easy, CURLOPT_HTTPHEADER, r->headers);
}

static void set_method(struct upstream_req *r)
{
	CURL *e = r->easy;

	if (strcmp(r->c.method, "GET") == 0) {
		curl_easy_setopt(e, CURLOPT_HTTPGET, 1L);
		return;
	}
	if (strcmp(r->c.method, "HEAD") == 0) {
		curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
		return;
	}
	curl_easy_setopt(e, CURLOPT_POST, 1L);
	if (strcmp(r->c.method, "POST") != 0)
		curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, r->c.method);
	curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->c.body.n);
	if (r->c.body.n == 0)
		curl_easy_setopt(e, CURLOPT_POSTFIELDS, "");
}

/* Nothing from the environment, nowhere but where the URL says. */
static void set_safety(CURL *e)
{
	curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(e, CURLOPT_PROXY, "");
	curl_easy_setopt(e, CURLOPT_NOPROXY, "*");
	curl_easy_setopt(e, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(e, CURLOPT_DISALLOW_USERNAME_IN_URL, 1L);
	curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L); /* never wait for a name that is still looked up */
	curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(e, CURLOPT_HTTP09_ALLOWED, 0L);
	curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L);
	curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(e, CURLOPT_MAXAGE_CONN, IDLE_SECONDS);
	curl_easy_setopt(e, CURLOPT_TCP_NODELAY, 1L);
}

static void set_callbacks(struct upstream_req *r)
{
	CURL *e = r->easy;

	curl_easy_setopt(e, CURLOPT_PRIVATE, r);
	curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
	curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, r);
	curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, on_begin);
	curl_easy_setopt(e, CURLOPT_PREREQDATA, r);
	curl_easy_setopt(e, CURLOPT_READFUNCTION, on_read);
	curl_easy_setopt(e, CURLOPT_READDATA, r);
	curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(e, CURLOPT_HEADERDATA, r);
	curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_write);
	curl_easy_setopt(e, CURLOPT_WRITEDATA, r);
}

static void set_connection(struct upstream_req *r)
{
	CURL *e = r->easy;

	curl_easy_setopt(e, CURLOPT_URL, r->c.url);
	if (r->c.connect_ms)
		curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)r->c.connect_ms);
	if (*r->up->ca_file) {
		curl_easy_setopt(e, CURLOPT_CAINFO, r->up->ca_file);
		curl_easy_setopt(e, CURLOPT_CAPATH, NULL);
	}
}

void upstream_curl_open(struct upstream_req *r)
{
	r->easy = curl_easy_init();
	BUG_ON(!r->easy);
	set_safety(r->easy);
	set_callbacks(r);
	set_connection(r);
	set_method(r);
	set_headers(r);
}
