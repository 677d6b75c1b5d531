/* SPDX-License-Identifier: Apache-2.0
 *
 * The gateway has checked the same members, but a node trusts no proxy: all of
 * PROTOCOL section 2 is checked again.  The guard is entered when the tag has
 * verified and before anything else is looked at, so that no outcome of a later
 * check can be asked for twice.
 */
#include "node/open.h"

#include "common/b64.h"
#include "common/hash.h"
#include "common/jscan.h"
#include "proto/envelope.h"

/* The text of a string member; what had escapes ("\/" in base64) is put into
 * scratch, which was reserved before, so that no slice moves. */
static struct slice text_of(const struct jval *v, struct buf *scratch)
{
	size_t at = scratch->n;

	if (!v->escaped)
		return v->raw;
	jval_text(v, scratch);
	return slice_of(scratch->p + at, scratch->n - at);
}

static enum err fixed(const struct jval v[M_COUNT], enum member m, struct buf *scratch, void *out, size_t n,
		      const char **param)
{
	*param = member_names[m];
	if (v[m].type != J_STRING)
		return ERR_BODY;
	return b64_decode_exact(text_of(&v[m], scratch), out, n) == ERR_OK ? ERR_OK : ERR_BODY;
}

static enum err public_key(const struct jval v[M_COUNT], enum member m, struct buf *scratch,
			   uint8_t out[SEAL_KEY], const char **param)
{
	enum err e = fixed(v, m, scratch, out, SEAL_KEY, param);

	return e == ERR_OK && out[SEAL_KEY - 1] & 0x80 ? ERR_BODY : e;
}

static enum err ciphertext(const struct jval v[M_COUNT], struct envelope *out, const char **param)
{
	size_t bytes;

	*param = member_names[M_CIPHERTEXT];
	if (v[M_CIPHERTEXT].type != J_STRING)
		return ERR_BODY;
	out->ciphertext = text_of(&v[M_CIPHERTEXT], &out->scratch);
	return b64_check(out->ciphertext, &bytes) == ERR_OK && bytes >= SEAL_TAG ? ERR_OK : ERR_BODY;
}

static enum err plain_members(const struct jval v[M_COUNT], struct envelope *out, const char **param)
{
	uint64_t units;

	*param = member_names[M_MODEL];
	if (v[M_MODEL].type != J_STRING)
		return ERR_BODY;
	jval_text(&v[M_MODEL], &out->model);
	if (out->model.n == 0 || out->model.n > MODEL_BYTES_MAX)
		return ERR_BODY;
	*param = member_names[M_STACK];
	if (v[M_STACK].type != J_NUMBER || jval_u64(&v[M_STACK], ID_MAX, &out->stack) != ERR_OK)
		return ERR_BODY;
	*param = member_names[M_STREAM];
	if (v[M_STREAM].type > J_TRUE)
		return ERR_BODY;
	out->stream = v[M_STREAM].type == J_TRUE;
	*param = member_names[M_UNITS];
	if (v[M_UNITS].type > J_NULL &&
	    (v[M_UNITS].type != J_NUMBER || jval_u64(&v[M_UNITS], ID_MAX, &units) != ERR_OK))
		return ERR_BODY;
	return ERR_OK;
}

enum err envelope_parse(struct slice body, struct envelope *out, const char **param)
{
	struct jval v[M_COUNT];
	struct jscan_fault fault = { .member = -1 };

	*param = NULL;
	if (jscan_object(body, member_names, M_COUNT, v, &fault) != ERR_OK) {
		*param = fault.member >= 0 ? member_names[fault.member] : NULL;
		return ERR_BODY;
	}
	buf_reserve(&out->scratch, body.n);
	if (ciphertext(v, out, param) != ERR_OK ||
	    fixed(v, M_NONCE, &out->scratch, out->nonce, SEAL_NONCE, param) != ERR_OK ||
	    fixed(v, M_SALT, &out->scratch, out->salt, SEAL_SALT, param) != ERR_OK ||
	    public_key(v, M_CLIENT_KEY, &out->scratch, out->client_key, param) != ERR_OK ||
	    public_key(v, M_NODE_KEY, &out->scratch, out->node_key, param) != ERR_OK ||
	    fixed(v, M_PLAIN_HASH, &out->scratch, out->plain_hash, KEY_BYTES, param) != ERR_OK ||
	    plain_members(v, out, param) != ERR_OK)
		return ERR_BODY;
	*param = NULL;
	return ERR_OK;
}

void envelope_free(struct envelope *e)
{
	buf_free(&e->model);
	buf_free(&e->scratch);
}

static enum err decrypt(const struct envelope *e, const uint8_t key[SEAL_KEY], struct buf *plain)
{
	struct buf cipher = { 0 };
	enum err r = b64_decode(e->ciphertext, e->ciphertext.n, &cipher);

	if (r == ERR_OK)
		r = seal_decrypt(key, e->nonce, buf_slice(&cipher), plain);
	buf_free(&cipher);
	return r;
}

static enum err open_and_guard(const struct envelope *e, struct nodekey *n, const uint8_t key[SEAL_KEY],
			       struct buf *plain, const char **param)
{
	uint8_t h[HASH_BYTES];
	enum err r;

	*param = member_names[M_CIPHERTEXT];
	if (decrypt(e, key, plain) != ERR_OK)
		return ERR_BODY;
	*param = NULL;
	r = nodekey_answer_once(n, key);
	if (r != ERR_OK)
		return r == ERR_ANSWERED ? ERR_ANSWERED : ERR_UNAVAILABLE;
	hash(h, buf_slice(plain));
	*param = member_names[M_PLAIN_HASH];
	return mem_same(h, e->plain_hash, sizeof(h)) ? ERR_OK : ERR_BODY;
}

enum err envelope_open(const struct envelope *e, struct nodekey *n, uint8_t key[SEAL_KEY], struct buf *plain,
		       const char **param)
{
	enum err r;

	*param = member_names[M_CLIENT_KEY];
	r = nodekey_derive(n, e->client_key, e->salt, key);
	r = r == ERR_OK ? open_and_guard(e, n, key, plain, param) : ERR_BODY;
	if (r != ERR_OK) {
		mem_wipe(key, SEAL_KEY);
		buf_reset(plain);
	} else {
		*param = NULL;
	}
	return r;
}
