/* SPDX-License-Identifier: Apache-2.0
 *
 * A second look at the raw head of an HTTP/1 request.  libh2o 2.2.5 takes
 * several shapes that a proxy in front of us may read differently (two
 * lengths, length and chunked together, folded lines, bare line feeds, none or
 * two hosts): the classic ways to smuggle one request inside another.  Pure:
 * bytes in, verdict out.  RFC 9112 sections 2.2, 3.2, 5 and 6.3.
 */
#include <string.h>
#include <strings.h>

#include "common/httpd/head.h"

struct seen {
	unsigned host, length, coding;
	bool old; /* HTTP/1.0 */
};

static bool is_token_char(uint8_t c)
{
	return c > 0x20 && c < 0x7f && memchr("\"(),/:;<=>?@[\\]{}", c, 17) == NULL;
}

/* Cuts one line off *in; false for a line that does not end in CRLF. */
static bool take_line(struct slice *in, struct slice *line)
{
	const uint8_t *lf = in->n > 0 ? memchr(in->p, '\n', in->n) : NULL;

	if (lf == NULL || lf == in->p || lf[-1] != '\r')
		return false;
	*line = slice_of(in->p, (size_t)(lf - in->p) - 1);
	*in = slice_of(lf + 1, in->n - line->n - 2);
	return memchr(line->p, '\r', line->n) == NULL;
}

/* method SP target SP HTTP/1.0 or HTTP/1.1, single spaces. */
static bool request_line_ok(struct slice line, struct seen *s)
{
	const uint8_t *end = line.p + line.n, *a, *b;

	a = line.n > 0 ? memchr(line.p, ' ', line.n) : NULL;
	if (a == NULL || a == line.p)
		return false;
	b = memchr(a + 1, ' ', (size_t)(end - a) - 1);
	if (b == NULL || b == a + 1 || end - b != 9 || memcmp(b + 1, "HTTP/1.", 7) != 0)
		return false;
	s->old = end[-1] == '0';
	return s->old || end[-1] == '1';
}

static struct slice trim(struct slice v)
{
	while (v.n > 0 && (v.p[0] == ' ' || v.p[0] == '\t'))
		v = slice_of(v.p + 1, v.n - 1);
	while (v.n > 0 && (v.p[v.n - 1] == ' ' || v.p[v.n - 1] == '\t'))
		v.n--;
	return v;
}

static bool is_name(struct slice n, const char *name)
{
	return n.n == strlen(name) && strncasecmp((const char *)n.p, name, n.n) == 0;
}

static bool digits_only(struct slice v)
{
	for (size_t i = 0; i < v.n; i++)
		if (v.p[i] < '0' || v.p[i] > '9')
			return false;
	return v.n > 0 && v.n <= 19;
}

/* A host and perhaps a port: nothing that splits it or starts something else. */
static bool host_ok(struct slice v)
{
	for (size_t i = 0; i < v.n; i++)
		if (v.p[i] <= 0x20 || v.p[i] >= 0x7f || memchr(",/?#@\\\"<>", v.p[i], 9) != NULL)
			return false;
	return true;
}

static bool field_ok(struct slice line, struct seen *s)
{
	const uint8_t *colon = memchr(line.p, ':', line.n);
	struct slice name, value;

	if (colon == NULL || colon == line.p)
		return false;
	name = slice_of(line.p, (size_t)(colon - line.p));
	for (size_t i = 0; i < name.n; i++)
		if (!is_token_char(name.p[i])) /* covers folding: a line that starts with a blank */
			return false;
	value = trim(slice_of(colon + 1, line.n - name.n - 1));
	if (is_name(name, "host"))
		return ++s->host == 1 && host_ok(value);
	if (is_name(name, "content-length"))
		return ++s->length == 1 && digits_only(value);
	if (is_name(name, "transfer-encoding"))
		return ++s->coding == 1 && is_name(value, "chunked");
	return true;
}

bool head_ok(struct slice head)
{
	struct seen s = { 0 };
	struct slice line;

	if (head.n >= 2 && head.p[0] == '\r' &&
	    head.p[1] == '\n') /* one empty line may come before, RFC 9112 2.2 */
		head = slice_of(head.p + 2, head.n - 2);
	if (!take_line(&head, &line) || !request_line_ok(line, &s))
		return false;
	for (;;) {
		if (!take_line(&head, &line))
			return false;
		if (line.n == 0)
			break;
		if (!field_ok(line, &s))
			return false;
	}
	if (head.n > 0 || (s.coding > 0 && (s.old || s.length > 0)))
		return false;
	return s.host == 1 || s.old;
}
