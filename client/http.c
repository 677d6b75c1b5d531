/* SPDX-License-Identifier: Apache-2.0
 *
 * Blocking HTTP on curl's easy interface; the client's only includer of curl.
 * An answer counts as whole only when curl saw its end (Content-Length
 * reached, terminating chunk): PROTOCOL section 3 cuts failed
 * streams without one.  The token goes into the header list only, never into
 * an error text.
 */
#include "client/http.h"

#include <ctype.h>
#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CONNECT_MS 10000
#define HEAD_BYTES_MAX (256u << 10) /* of one exchange, interim heads and trailers too */

struct http {
	CURL *easy;
	char *base, *token, *ca, *origin;
	bool loopback;
	char error[CURL_ERROR_SIZE];
};

struct run {
	struct http *h;
	const struct http_call *call;
	struct http_head *head;
	CURLcode set;  /* the first option that could not be set: a request without is another one */
	unsigned sent; /* how often it was about to be sent */
	size_t head_bytes;
	bool stopped, began, chunked;
	bool headed; /* a head that is not interim came to its end: behind it there are trailers */
};

/* This machine by its address: "127.example" is a name like any other. */
static bool is_loopback(const char *host)
{
	return !strcmp(host, "localhost") || !strcmp(host, "[::1]") ||
	       (!strncmp(host, "127.", 4) && host[strspn(host, "0123456789.")] == '\0');
}

static CURLUcode read_origin(CURLU *u, const char *url, char *part[4], struct buf *out, bool *loopback)
{
	char **scheme = &part[0], **host = &part[1], **port = &part[2], **user = &part[3];
	CURLUcode e = curl_url_set(u, CURLUPART_URL, url, 0);

	e = e ? e : curl_url_get(u, CURLUPART_SCHEME, scheme, 0);
	e = e ? e : curl_url_get(u, CURLUPART_HOST, host, 0);
	if (e)
		return e;
	if (strcmp(*scheme, "http") && strcmp(*scheme, "https"))
		return CURLUE_UNSUPPORTED_SCHEME;
	e = curl_url_get(u, CURLUPART_USER, user, 0);
	if (e != CURLUE_NO_USER)
		return e ? e : CURLUE_USER_NOT_ALLOWED;
	e = curl_url_get(u, CURLUPART_PORT, port, CURLU_NO_DEFAULT_PORT);
	if (e && e != CURLUE_NO_PORT)
		return e;
	for (char *c = *host; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	buf_fmt(out, "%s://%s%s%s", *scheme, *host, *port ? ":" : "", *port ? *port : "");
	buf_add(out, "", 1);
	*loopback = is_loopback(*host);
	return CURLUE_OK;
}

/* scheme://host[:port] of an http or https URL without user: what pins are kept by.  A part that could not be
 * read for want of memory is not one that is absent. */
static char *origin_of(const char *url, bool *loopback, struct fault *f)
{
	char *part[4] = { NULL };
	struct buf out = { 0 };
	CURLU *u = curl_url();
	CURLUcode e = u ? read_origin(u, url, part, &out, loopback) : CURLUE_OUT_OF_MEMORY;

	for (size_t i = 0; i < 4; i++)
		curl_free(part[i]);
	curl_url_cleanup(u);
	if (e == CURLUE_OUT_OF_MEMORY)
		fault(f, SEALWAY_LOCAL, "there is not enough memory to read the gateway URL");
	else if (e)
		fault(f, SEALWAY_USAGE, "the gateway URL is not http://host[:port] or https://host[:port]");
	return (char *)out.p;
}

static bool visible(const char *s)
{
	for (; *s; s++)
		if (*s <= 0x20 || *s >= 0x7f)
			return false;
	return true;
}

static bool check(const struct http_opts *o, struct fault *f)
{
	if (!o->url || !*o->url)
		return fault(f, SEALWAY_USAGE, "no gateway URL was given");
	if (!visible(o->url) || strpbrk(o->url, "?#"))
		return fault(f, SEALWAY_USAGE, "the gateway URL has characters that do not belong there");
	if (o->token && !visible(o->token))
		return fault(f, SEALWAY_USAGE, "the token has characters that no token has");
	return true;
}

static char *text_copy(const char *s)
{
	return s && *s ? mem_strndup(s, strlen(s)) : NULL;
}

struct http *http_new(const struct http_opts *o, struct fault *f)
{
	struct http *h = mem_new(sizeof(*h));
	size_t n;

	if (!check(o, f))
		goto fail;
	h->origin = origin_of(o->url, &h->loopback, f);
	if (!h->origin)
		goto fail;
	for (n = strlen(o->url); n && o->url[n - 1] == '/'; n--)
		;
	h->base = mem_strndup(o->url, n);
	h->token = text_copy(o->token);
	h->ca = text_copy(o->ca_file);
	h->easy = curl_easy_init();
	if (h->easy)
		return h;
	fault(f, SEALWAY_LOCAL, "the HTTP library cannot start");
fail:
	http_free(h);
	return NULL;
}

void http_free(struct http *h)
{
	if (!h)
		return;
	curl_easy_cleanup(h->easy);
	if (h->token)
		mem_wipe(h->token, strlen(h->token));
	free(h->token);
	free(h->base);
	free(h->ca);
	free(h->origin);
	free(h);
}

const char *http_origin(const struct http *h)
{
	return h->origin;
}

bool http_exposed(const struct http *h)
{
	return !h->loopback && !strncmp(h->origin, "http://", strlen("http://"));
}

static void take_type(struct http_head *head, struct slice v)
{
	size_t n = 0;

	while (n < v.n && n < sizeof(head->type) - 1 && v.p[n] != ';' && v.p[n] != ' ') {
		head->type[n] = (char)tolower(v.p[n]);
		n++;
	}
	head->type[n] = '\0';
}

static struct slice trimmed(const char *p, size_t n)
{
	while (n && (*p == ' ' || *p == '\t'))
		p++, n--;
	while (n && strchr(" \t\r\n", p[n - 1]))
		n--;
	return slice_of(p, n);
}

static bool named(const char *line, size_t n, const char *name)
{
	size_t m = strlen(name);

	return n > m && line[m] == ':' && !strncasecmp(line, name, m);
}

static int status_of(const struct http *h)
{
	long status = 0;

	curl_easy_getinfo(h->easy, CURLINFO_RESPONSE_CODE, &status);
	return (int)status;
}

static size_t on_header(char *line, size_t size, size_t count, void *arg)
{
	struct run *r = arg;
	size_t n = size * count;
	uint64_t seconds;

	r->began = true;
	r->head_bytes += n; /* curl keeps each line, and counts no trailers itself */
	if (r->head_bytes > HEAD_BYTES_MAX)
		return 0;
	if (r->headed)
		return n;                         /* a trailer says nothing that we ask */
	if (n > 5 && !memcmp(line, "HTTP/", 5)) { /* also after a 100: the last head counts */
		*r->head = (struct http_head){ 0 };
		r->chunked = false;
	} else if (*line == '\r' || *line == '\n')
		r->headed = status_of(r->h) >= 200;
	else if (named(line, n, "transfer-encoding"))
		r->chunked = true; /* it is the only one that is asked for, and that others could not end */
	else if (named(line, n, "content-type"))
		take_type(r->head, trimmed(line + 13, n - 13));
	else if (named(line, n, "x-request-id"))
		fault_safe(r->head->request_id, sizeof(r->head->request_id), trimmed(line + 13, n - 13));
	else if (named(line, n, "retry-after") && !slice_u64(trimmed(line + 12, n - 12), 86400, &seconds))
		r->head->retry_after = (unsigned)seconds;
	return n;
}

static size_t on_body(char *p, size_t size, size_t count, void *arg)
{
	struct run *r = arg;

	r->head->status = status_of(r->h);
	if (r->call->on_data(r->call->arg, r->head, slice_of(p, size * count)))
		return size * count;
	r->stopped = true;
	return 0;
}

/* When a kept connection ends before a byte of an answer, curl sends all anew on another one. */
static int on_ready(void *arg, char *to, char *from, int to_port, int from_port)
{
	struct run *r = arg;

	(void)to, (void)from, (void)to_port, (void)from_port;
	r->h->error[0] = '\0'; /* of the connection before */
	return r->sent++ && r->call->once ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

static void add_line(struct run *r, struct curl_slist **list, const char *line)
{
	struct curl_slist *longer = curl_slist_append(*list, line);

	if (longer)
		*list = longer;
	else
		r->set = CURLE_OUT_OF_MEMORY;
}

static struct curl_slist *headers(struct run *r)
{
	const struct http *h = r->h;
	struct curl_slist *list = NULL;
	struct buf b = { .secret = true };

	add_line(r, &list, "Expect:"); /* no 100-continue round trip */
	add_line(r, &list, r->call->stream ? "Accept: text/event-stream" : "Accept: application/json");
	if (r->call->body.p)
		add_line(r, &list, "Content-Type: application/json");
	if (h->token) {
		buf_str(&b, "Authorization: Bearer ");
		buf_add(&b, h->token, strlen(h->token) + 1);
		add_line(r, &list, (char *)b.p);
	}
	buf_free(&b);
	return list;
}

static void headers_free(struct curl_slist *list)
{
	for (struct curl_slist *i = list; i; i = i->next)
		mem_wipe(i->data, strlen(i->data));
	curl_slist_free_all(list);
}

#define SET(r, option, value) ((r)->set = (r)->set ? (r)->set : curl_easy_setopt((r)->h->easy, option, value))

static void set_limits(struct run *r)
{
	const struct http *h = r->h;
	const struct http_call *c = r->call;

	SET(r, CURLOPT_NOSIGNAL, 1L);
	SET(r, CURLOPT_PROTOCOLS_STR, "http,https");
	/* Of HTTP/2 curl takes some resets of a stream for its end, and so a cut for a whole answer. */
	SET(r, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(r, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS);
	SET(r, CURLOPT_TIMEOUT_MS, (long)c->timeout_ms);
	SET(r, CURLOPT_TCP_KEEPALIVE, 1L);
	SET(r, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L); /* a proxy's are no answer */
	if (c->silence_s) {
		SET(r, CURLOPT_LOW_SPEED_LIMIT, 1L);
		SET(r, CURLOPT_LOW_SPEED_TIME, (long)c->silence_s);
	}
	if (h->ca)
		SET(r, CURLOPT_CAINFO, h->ca);
	if (h->loopback) /* a proxy from the environment cannot reach our loopback */
		SET(r, CURLOPT_NOPROXY, "*");
}

static void set_call(struct run *r, const char *url, struct curl_slist *list)
{
	const struct slice *body = &r->call->body;

	SET(r, CURLOPT_URL, url);
	SET(r, CURLOPT_HTTPHEADER, list);
	SET(r, CURLOPT_ERRORBUFFER, r->h->error);
	SET(r, CURLOPT_HEADERFUNCTION, on_header);
	SET(r, CURLOPT_HEADERDATA, r);
	SET(r, CURLOPT_WRITEFUNCTION, on_body);
	SET(r, CURLOPT_WRITEDATA, r);
	SET(r, CURLOPT_PREREQFUNCTION, on_ready);
	SET(r, CURLOPT_PREREQDATA, r);
	if (body->p) {
		SET(r, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body->n);
		SET(r, CURLOPT_POSTFIELDS, body->p);
	}
}

static bool failed(struct run *r, CURLcode e, struct fault *f)
{
	char why[CURL_ERROR_SIZE]; /* may quote the peer's certificate */

	fault_safe(why, sizeof(why), slice_str(r->h->error[0] ? r->h->error : curl_easy_strerror(e)));
	if (r->stopped)
		return fault(f, SEALWAY_STOPPED, "stopped");
	if (r->head_bytes > HEAD_BYTES_MAX)
		return fault(f, SEALWAY_VERIFY, "the headers of the answer are larger than any answer's");
	if (r->sent > 1 && r->call->once)
		return fault(
			f, SEALWAY_CONNECT,
			"cannot talk to %s: the connection ended before an answer; the request may have been "
			"answered and billed, so it was not sent again",
			r->h->origin);
	if (!r->began)
		return fault(f, SEALWAY_CONNECT, "cannot talk to %s: %s", r->h->origin, why);
	return fault(f, SEALWAY_CUT, "the answer was cut off before its end: %s", why);
}

/* Whether the end of the answer was marked: without, the end of the connection is all there is, and a cut
 * looks the same. */
static bool bounded(const struct run *r)
{
	curl_off_t length = -1;

	curl_easy_getinfo(r->h->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	return r->chunked || length >= 0;
}

bool http_run(struct http *h, const struct http_call *c, struct http_head *head, struct fault *f)
{
	struct run r = { .h = h, .call = c, .head = head };
	struct curl_slist *list;
	struct buf url = { 0 };
	CURLcode e;

	if (*c->path != '/' || !visible(c->path)) /* "@host/" behind the base would be another host */
		return fault(f, SEALWAY_USAGE, "a path begins with / and has no blanks in it");
	list = headers(&r);
	*head = (struct http_head){ 0 };
	h->error[0] = '\0';
	buf_str(&url, h->base);
	buf_add(&url, c->path, strlen(c->path) + 1);
	curl_easy_reset(h->easy);
	set_limits(&r);
	set_call(&r, (const char *)url.p, list);
	e = r.set ? r.set : curl_easy_perform(h->easy);
	head->status = status_of(h);
	head->resent = r.sent > 1;
	curl_easy_setopt(h->easy, CURLOPT_HTTPHEADER, NULL);
	curl_easy_setopt(h->easy, CURLOPT_ERRORBUFFER, NULL);
	headers_free(list);
	buf_free(&url);
	if (r.set)
		return fault(f, SEALWAY_LOCAL, "there is not enough memory for a request");
	if (e != CURLE_OK)
		return failed(&r, e, f);
	if (!r.headed) /* behind an interim head curl takes any end for the answer's */
		return fault(f, SEALWAY_CUT, "the answer was cut off before its end: within its head");
	if (head->status == 200 && !bounded(&r))
		return fault(f, SEALWAY_CUT,
			     "the answer was cut off before its end, or may have been: nothing marks where "
			     "it ends");
	return true;
}
