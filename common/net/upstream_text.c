/* SPDX-License-Identifier: Apache-2.0
 *
 * URLs taken apart and request heads put together (upstream_impl.h).  A URL is
 * checked, not repaired; what is not plainly a host is left to the resolver and
 * then judged by address.
 */
#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

#include "common/net/upstream_impl.h"

static bool take(struct slice *s, const char *start)
{
	size_t n = strlen(start);

	if (s->n < n || strncasecmp((const char *)s->p, start, n) != 0)
		return false;
	*s = slice_of(s->p + n, s->n - n);
	return true;
}

static bool graphic(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= 0x20 || s.p[i] >= 0x7f)
			return false;
	return true;
}

static bool is_name(struct slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!((s.p[i] >= '0' && s.p[i] <= '9') ||
		      ((s.p[i] | 0x20) >= 'a' && (s.p[i] | 0x20) <= 'z') || s.p[i] == '.' || s.p[i] == '-' ||
		      s.p[i] == '_'))
			return false;
	return s.n > 0;
}

static bool is_ipv6(struct slice s)
{
	char text[INET6_ADDRSTRLEN];
	struct in6_addr in6;

	if (s.n >= sizeof(text))
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	return inet_pton(AF_INET6, text, &in6) == 1;
}

/* [v6] or name; *rest is what follows it. */
static bool take_host(struct slice a, struct slice *host, struct slice *rest)
{
	bool bracket = a.n && a.p[0] == '[';
	const uint8_t *end = a.n ? memchr(a.p, bracket ? ']' : ':', a.n) : NULL;
	size_t n = end ? (size_t)(end - a.p) : a.n;

	if (bracket && !end)
		return false;
	*host = bracket ? slice_of(a.p + 1, n - 1) : slice_of(a.p, n);
	n += bracket;
	*rest = slice_of(a.p + n, a.n - n);
	return host->n <= UPSTREAM_HOST_MAX && (bracket ? is_ipv6(*host) : is_name(*host));
}

static bool take_port(struct slice s, struct target *t)
{
	uint64_t port = t->tls ? 443 : 80;

	if (s.n && (s.p[0] != ':' || slice_u64(slice_of(s.p + 1, s.n - 1), UINT16_MAX, &port) != ERR_OK))
		return false;
	t->port = (uint16_t)port;
	return port > 0;
}

bool target_parse(struct slice url, struct target *t)
{
	size_t n = 0;
	struct slice rest;

	memset(t, 0, sizeof(*t));
	if (url.n > UPSTREAM_URL_MAX || !graphic(url))
		return false;
	t->tls = take(&url, "https://");
	if (!t->tls && !take(&url, "http://"))
		return false;
	while (n < url.n && url.p[n] != '/' && url.p[n] != '?')
		n++;
	t->authority = slice_of(url.p, n);
	t->path = slice_of(url.p + n, url.n - n);
	if (memchr(url.p, '#', url.n))
		return false;
	return take_host(t->authority, &t->host, &rest) && take_port(rest, t);
}

static void add(struct buf *out, struct slice s)
{
	buf_add(out, s.p, s.n);
}

static bool add_headers(const struct upstream_call *c, struct buf *out)
{
	for (size_t i = 0; i < c->n_headers; i++) {
		struct slice name = slice_str(c->headers[i].name);

		if (!name.n || !graphic(name) || memchr(name.p, ':', name.n) ||
		    !answer_printable(c->headers[i].value))
			return false;
		add(out, name);
		buf_str(out, ": ");
		add(out, c->headers[i].value);
		buf_str(out, "\r\n");
	}
	return true;
}

bool target_head(const struct target *t, const struct upstream_call *c, struct buf *out)
{
	buf_reserve(out, 1024);
	buf_str(out, c->method);
	buf_str(out, " ");
	if (!t->path.n || t->path.p[0] != '/')
		buf_str(out, "/");
	add(out, t->path);
	buf_str(out, " HTTP/1.1\r\nHost: ");
	add(out, t->authority);
	buf_str(out, "\r\nAccept: */*\r\n");
	if (!add_headers(c, out))
		return false;
	if (c->body.n || strcmp(c->method, "POST") == 0)
		buf_fmt(out, "Content-Length: %zu\r\n", c->body.n);
	buf_str(out, "\r\n");
	return true;
}
