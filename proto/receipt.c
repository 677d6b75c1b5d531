/* SPDX-License-Identifier: Apache-2.0
 *
 * Receipt (PROTOCOL section 4.8), key statement (4.9) and X-Sealway-Auth (7):
 * fixed layouts, integers big-endian, exact lengths.  Each pair of functions
 * walks the fields in the order of the wire, so that decode(encode(x)) is x
 * and encode(decode(bytes)) is bytes.
 */
#include "proto/receipt.h"

#include <string.h>

#define VERSION 1
#define OUTCOME_MAX 1

static uint8_t *put_bytes(uint8_t *p, const uint8_t *from, size_t n)
{
	memcpy(p, from, n);
	return p + n;
}

static uint8_t *put_u64(uint8_t *p, uint64_t v)
{
	put_be64(p, v);
	return p + 8;
}

static const uint8_t *get_bytes(const uint8_t *p, uint8_t *to, size_t n)
{
	memcpy(to, p, n);
	return p + n;
}

/* Numbers of ours stay within ID_MAX (JSON's exact integers). */
static const uint8_t *get_u64(const uint8_t *p, uint64_t *to, bool *good)
{
	*to = get_be64(p);
	*good = *good && *to <= ID_MAX;
	return p + 8;
}

static bool begins(struct slice bytes, size_t n)
{
	return bytes.n == n && bytes.p[0] == VERSION;
}

void receipt_encode(const struct receipt *m, uint8_t out[RECEIPT_BYTES])
{
	uint8_t *p = put_bytes(out, (const uint8_t[]){ VERSION, m->outcome, m->endpoint }, 3);

	p = put_bytes(p, m->rid, RID_BYTES);
	p = put_u64(p, m->stack);
	p = put_bytes(p, m->node_key, KEY_BYTES);
	p = put_bytes(p, m->plain_hash, KEY_BYTES);
	p = put_bytes(p, m->model_hash, KEY_BYTES);
	p = put_bytes(p, m->transcript, KEY_BYTES);
	put_be32(p, m->chunks);
	p = put_u64(p + 4, m->prompt);
	p = put_u64(p, m->completion);
	p = put_u64(p, m->unix_s);
	BUG_ON(p != out + RECEIPT_BYTES);
}

enum err receipt_decode(struct slice bytes, struct receipt *out)
{
	const uint8_t *p = bytes.p;
	struct receipt m;
	bool good = true;

	if (!begins(bytes, RECEIPT_BYTES))
		return ERR_FORMAT;
	m.outcome = p[1];
	m.endpoint = p[2];
	p = get_bytes(p + 3, m.rid, RID_BYTES);
	p = get_u64(p, &m.stack, &good);
	p = get_bytes(p, m.node_key, KEY_BYTES);
	p = get_bytes(p, m.plain_hash, KEY_BYTES);
	p = get_bytes(p, m.model_hash, KEY_BYTES);
	p = get_bytes(p, m.transcript, KEY_BYTES);
	m.chunks = get_be32(p);
	p = get_u64(p + 4, &m.prompt, &good);
	p = get_u64(p, &m.completion, &good);
	get_u64(p, &m.unix_s, &good);
	if (!good || m.outcome > OUTCOME_MAX || m.endpoint < EP_COMPLETIONS || m.endpoint > EP_IMAGES)
		return ERR_FORMAT;
	*out = m;
	return ERR_OK;
}

void statement_encode(const struct statement *m, uint8_t out[STATEMENT_BYTES])
{
	uint8_t *p = out + 1;

	out[0] = VERSION;
	p = put_u64(p, m->node);
	p = put_bytes(p, m->node_key, KEY_BYTES);
	p = put_u64(p, m->counter);
	p = put_u64(p, m->not_before);
	p = put_u64(p, m->not_after);
	BUG_ON(p != out + STATEMENT_BYTES);
}

enum err statement_decode(struct slice bytes, struct statement *out)
{
	const uint8_t *p = bytes.p;
	struct statement m;
	bool good = true;

	if (!begins(bytes, STATEMENT_BYTES))
		return ERR_FORMAT;
	p = get_u64(p + 1, &m.node, &good);
	p = get_bytes(p, m.node_key, KEY_BYTES);
	p = get_u64(p, &m.counter, &good);
	p = get_u64(p, &m.not_before, &good);
	get_u64(p, &m.not_after, &good);
	if (!good || m.not_after < m.not_before)
		return ERR_FORMAT;
	*out = m;
	return ERR_OK;
}

void authz_encode(const struct authz *m, uint8_t out[AUTH_BYTES])
{
	uint8_t *p = out + 1;

	out[0] = VERSION;
	p = put_bytes(p, m->rid, RID_BYTES);
	p = put_u64(p, m->node);
	p = put_u64(p, m->stack);
	p = put_u64(p, m->units);
	p = put_bytes(p, m->body_hash, KEY_BYTES);
	p = put_u64(p, m->not_after);
	BUG_ON(p != out + AUTH_BYTES);
}

enum err authz_decode(struct slice bytes, struct authz *out)
{
	const uint8_t *p = bytes.p;
	struct authz m;
	bool good = true;

	if (!begins(bytes, AUTH_BYTES))
		return ERR_FORMAT;
	p = get_bytes(p + 1, m.rid, RID_BYTES);
	p = get_u64(p, &m.node, &good);
	p = get_u64(p, &m.stack, &good);
	p = get_u64(p, &m.units, &good);
	p = get_bytes(p, m.body_hash, KEY_BYTES);
	get_u64(p, &m.not_after, &good);
	if (!good)
		return ERR_FORMAT;
	*out = m;
	return ERR_OK;
}
