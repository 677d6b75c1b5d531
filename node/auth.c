/* SPDX-License-Identifier: Apache-2.0
 *
 * base64(81 bytes) "." signature.  The signature is checked before anything
 * else in the header is believed; its key must be on record.  All refusals look
 * the same from outside.
 */
#include "node/auth.h"

#include <stdlib.h>
#include <string.h>

#include "common/b64.h"
#include "common/hash.h"
#include "common/keys.h"
#include "common/log.h"
#include "common/sign.h"

#define PROXIES_MAX 64
#define HEADER_BYTES (B64_LEN(AUTH_BYTES) + 1 + SIGN_B64)

struct proxies {
	unsigned n;
	uint8_t key[PROXIES_MAX][32];
};

static enum err add(struct proxies *p, struct slice word)
{
	enum err e;
	char *path;

	if (p->n == PROXIES_MAX)
		return ERR_CONFIG;
	e = b64_decode_exact(word, p->key[p->n], 32);
	if (e != ERR_OK) {
		path = mem_strndup(word.p, word.n);
		e = key_load_public(path, p->key[p->n]);
		free(path);
	}
	if (e == ERR_OK)
		p->n++;
	return e;
}

enum err proxies_open(struct proxies **out, const char *list)
{
	struct proxies *p = mem_new(sizeof(*p));
	enum err e = ERR_OK;

	for (const char *s = list; *s && e == ERR_OK;) {
		size_t len = strcspn(s, " \t");

		if (len)
			e = add(p, slice_of(s, len));
		s += len ? len : 1;
	}
	if (e != ERR_OK || p->n == 0) {
		log_error("configuration", L_S("setting", "proxy_auth_keys"),
			  L_S("what", p->n ? "a bad key or too many" : "no usable key"));
		free(p);
		return ERR_CONFIG;
	}
	*out = p;
	return ERR_OK;
}

void proxies_free(struct proxies *p)
{
	free(p);
}

static enum err check_signature(const struct proxies *p, struct slice text, struct slice data)
{
	uint8_t claimed[32];

	if (sign_claimed_key(text, claimed) != ERR_OK)
		return ERR_AUTH;
	for (unsigned i = 0; i < p->n; i++) {
		if (memcmp(claimed, p->key[i], 32) == 0)
			return sign_verify_label(text, AUTH_LABEL, data, p->key[i]) == ERR_OK ? ERR_OK
											      : ERR_AUTH;
	}
	return ERR_AUTH;
}

enum err auth_check(const struct proxies *p, struct slice header, uint64_t node, struct slice body,
		    uint64_t now, struct authz *out)
{
	const size_t split = B64_LEN(AUTH_BYTES);
	uint8_t raw[AUTH_BYTES], h[HASH_BYTES];
	struct authz a;

	if (header.n != HEADER_BYTES || header.p[split] != '.')
		return ERR_AUTH;
	if (b64_decode_exact(slice_of(header.p, split), raw, sizeof(raw)) != ERR_OK)
		return ERR_AUTH;
	if (check_signature(p, slice_of(header.p + split + 1, SIGN_B64), slice_of(raw, sizeof(raw))) !=
	    ERR_OK)
		return ERR_AUTH;
	if (authz_decode(slice_of(raw, sizeof(raw)), &a) != ERR_OK)
		return ERR_AUTH;
	hash(h, body);
	if (a.node != node || a.not_after < now || !mem_same(a.body_hash, h, sizeof(h)))
		return ERR_AUTH;
	*out = a;
	return ERR_OK;
}
