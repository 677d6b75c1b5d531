/* SPDX-License-Identifier: Apache-2.0
 *
 * Builds the heads of calls to nodes (PROTOCOL section 7).  The request id in
 * them is a capability (it stops the stream), so it never comes from a client
 * and is wiped after use.
 */
#include "worker/headers.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/b64.h"
#include "common/hash.h"

static void add(struct headers *h, const char *name, const char *value, size_t n)
{
	BUG_ON(h->n == HEADERS_MAX);
	h->h[h->n++] = (struct upstream_header){ name, slice_of(value, n) };
}

static void add_auth(struct headers *out, const struct headers_keys *k, const struct authz *a)
{
	uint8_t raw[AUTH_BYTES];
	size_t n = B64_LEN(sizeof(raw));

	authz_encode(a, raw);
	b64_put(out->auth, raw, sizeof(raw));
	out->auth[n] = '.';
	sign_label(k->auth, AUTH_LABEL, slice_of(raw, sizeof(raw)), out->auth + n + 1);
	add(out, "X-Sealway-Auth", out->auth, sizeof(out->auth));
}

static void add_rid(struct headers *out, const uint8_t rid[RID_BYTES])
{
	hex_put(out->rid, rid, RID_BYTES);
	add(out, "X-Request-Id", out->rid, 2 * RID_BYTES);
}

static void add_number(struct headers *out, const char *name, uint64_t v, char text[24])
{
	int n = snprintf(text, 24, "%" PRIu64, v);

	add(out, name, text, (size_t)n);
}

void headers_post(struct headers *out, const struct headers_keys *k, const struct work *w, uint64_t now)
{
	struct authz a = {
		.node = w->node, .stack = w->stack, .units = w->units, .not_after = now + AUTH_SECONDS
	};

	memcpy(a.rid, w->rid, RID_BYTES);
	memcpy(a.body_hash, w->body_hash, KEY_BYTES);
	out->n = 0;
	add(out, "Content-Type", "application/json", strlen("application/json"));
	add_rid(out, w->rid);
	add_number(out, "X-User-Id", w->user, out->user);
	add_number(out, "X-Stack-Small-Id", w->stack, out->stack);
	sign_hash(k->request, w->plain_hash, out->signature);
	add(out, "X-Signature", out->signature, sizeof(out->signature));
	add_auth(out, k, &a);
}

void headers_about(struct headers *out, const struct headers_keys *k, const struct authz *about)
{
	struct authz a = *about;

	hash(a.body_hash, slice_of(NULL, 0));
	out->n = 0;
	add_rid(out, a.rid);
	add_auth(out, k, &a);
}

void headers_wipe(struct headers *h)
{
	mem_wipe(h, sizeof(*h));
}

static bool starts(struct slice s, const char *prefix)
{
	size_t n = strlen(prefix);

	return s.n > n && memcmp(s.p, prefix, n) == 0;
}

enum err headers_url(struct slice address, const char *path, struct buf *out)
{
	if (!starts(address, "http://") && !starts(address, "https://"))
		return ERR_FORMAT;
	if (address.n > URL_BYTES_MAX)
		return ERR_FORMAT;
	for (size_t i = 0; i < address.n; i++) {
		if (address.p[i] <= ' ' || address.p[i] >= 127 || strchr("?#@\\", address.p[i]))
			return ERR_FORMAT;
	}
	while (address.p[address.n - 1] == '/')
		address.n--;
	buf_add(out, address.p, address.n);
	buf_add(out, path, strlen(path) + 1); /* with the NUL */
	return ERR_OK;
}
