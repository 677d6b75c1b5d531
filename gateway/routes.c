/* SPDX-License-Identifier: Apache-2.0
 *
 * Paths to routes.  Few fixed paths and two patterns: a linear search over
 * lengths and bytes is cheaper than hashing the path would be.
 */
#include "gateway/routes.h"

#include <sodium.h>
#include <string.h>

static const struct row {
	const char *method, *path, *name;
	size_t n;
	enum endpoint ep;
} rows[ROUTE_COUNT] = {
#define X(id, method, path, name, endpoint) [id] = { method, path, name, sizeof(path) - 1, endpoint },
	ROUTES(X)
#undef X
		[ROUTE_NONE] = { "", "", "other", 0, EP_NONE },
};

const char *route_name(enum route_id id)
{
	return rows[(unsigned)id < ROUTE_COUNT ? id : ROUTE_NONE].name;
}

/* /v1/nodes/{node_small_id}/attestation */
static bool attestation(struct slice path, uint64_t *node)
{
	static const char head[] = "/v1/nodes/", tail[] = "/attestation";
	size_t nh = sizeof(head) - 1, nt = sizeof(tail) - 1;

	if (path.n <= nh + nt || memcmp(path.p, head, nh) != 0 || memcmp(path.p + path.n - nt, tail, nt) != 0)
		return false;
	return slice_u64(slice_of(path.p + nh, path.n - nh - nt), ID_MAX, node) == ERR_OK;
}

/* The next byte of an escaped text, which is cut off it; -1 for a wrong escape. */
static int next_byte(struct slice *s)
{
	uint8_t c = *s->p;
	size_t take = 1, n = 0;

	if (c == '%') {
		take = 3;
		if (s->n < take || sodium_hex2bin(&c, 1, (const char *)s->p + 1, 2, NULL, &n, NULL) != 0 ||
		    n != 1)
			return -1;
	}
	*s = slice_of(s->p + take, s->n - take);
	return c;
}

size_t route_model(struct slice escaped, uint8_t name[MODEL_BYTES_MAX])
{
	size_t n = 0;

	while (escaped.n) {
		int c = next_byte(&escaped);

		if (c <= 0 || n == MODEL_BYTES_MAX)
			return 0;
		name[n++] = (uint8_t)c;
	}
	return n;
}

/* /v1/models/{model}: all of the rest, for names have slashes, escaped or not. */
static bool model(struct slice path, struct slice *rest)
{
	static const char head[] = "/v1/models/";
	size_t nh = sizeof(head) - 1;
	uint8_t name[MODEL_BYTES_MAX];

	if (path.n <= nh || memcmp(path.p, head, nh) != 0)
		return false;
	*rest = slice_of(path.p + nh, path.n - nh);
	return route_model(*rest, name) > 0;
}

static enum route_id find(struct slice path, uint64_t *node, struct slice *rest)
{
	for (unsigned i = 0; i < ROUTE_NONE; i++)
		if (rows[i].n && slice_eq(path, slice_of(rows[i].path, rows[i].n)))
			return (enum route_id)i;
	if (attestation(path, node))
		return ROUTE_ATTESTATION;
	return model(path, rest) ? ROUTE_MODEL : ROUTE_NONE;
}

enum err route_find(struct slice method, struct slice path, struct route *out)
{
	uint64_t node = 0;
	struct slice rest = { NULL, 0 };
	enum route_id id = find(path, &node, &rest);
	const struct row *r = &rows[id];
	bool get = *r->method == 'G';

	*out = (struct route){ .id = id, .ep = r->ep, .method = r->method, .node = node, .model = rest };
	out->allow = get ? "GET, HEAD, OPTIONS" : "POST, OPTIONS";
	if (id == ROUTE_NONE)
		return ERR_NOT_FOUND;
	if (slice_is(method, r->method) || slice_is(method, "OPTIONS"))
		return ERR_OK;
	return get && slice_is(method, "HEAD") ? ERR_OK : ERR_METHOD; /* the server leaves the body out */
}
