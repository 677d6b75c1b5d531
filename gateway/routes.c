/* SPDX-License-Identifier: Apache-2.0
 *
 * Paths to routes.  Few fixed paths and one pattern: a linear search over
 * lengths and bytes is cheaper than hashing the path would be.
 */
#include "gateway/routes.h"

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

static enum route_id find(struct slice path, uint64_t *node)
{
	for (unsigned i = 0; i < ROUTE_NONE; i++)
		if (rows[i].n && slice_eq(path, slice_of(rows[i].path, rows[i].n)))
			return (enum route_id)i;
	return attestation(path, node) ? ROUTE_ATTESTATION : ROUTE_NONE;
}

enum err route_find(struct slice method, struct slice path, struct route *out)
{
	uint64_t node = 0;
	enum route_id id = find(path, &node);
	const struct row *r = &rows[id];
	bool get = *r->method == 'G';

	*out = (struct route){ .id = id, .ep = r->ep, .method = r->method, .node = node };
	out->allow = get ? "GET, HEAD, OPTIONS" : "POST, OPTIONS";
	if (id == ROUTE_NONE)
		return ERR_NOT_FOUND;
	if (slice_is(method, r->method) || slice_is(method, "OPTIONS"))
		return ERR_OK;
	return get && slice_is(method, "HEAD") ? ERR_OK : ERR_METHOD; /* the server leaves the body out */
}
