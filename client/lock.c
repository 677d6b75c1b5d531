/* SPDX-License-Identifier: Apache-2.0
 *
 * Lock answers (PROTOCOL sections 4.9 and 6).  A key taken on the gateway's word
 * could be the gateway's own, so the key counts only with the node's statement.
 */
#include "client/lock.h"

#include <inttypes.h>
#include <string.h>

#include "client/json.h"
#include "common/sign.h"

void lock_body(struct buf *out, const char *model, uint64_t units, unsigned seconds)
{
	buf_str(out, "{\"model\":\"");
	buf_json(out, slice_str(model));
	buf_str(out, "\",\"max_num_tokens\":");
	if (units)
		buf_fmt(out, "%" PRIu64, units);
	else
		buf_str(out, "null");
	buf_fmt(out, ",\"timeout\":%u}", seconds);
}

static bool statement_of(const struct node_lock *l, struct statement *st, struct fault *f)
{
	struct slice bytes = slice_of(l->statement, STATEMENT_BYTES);

	if (sign_verify_label(slice_str(l->signature), STATEMENT_LABEL, bytes, l->sign_key))
		return fault(f, SEALWAY_VERIFY, "the node's key statement is not signed by its signing key");
	if (statement_decode(bytes, st))
		return fault(f, SEALWAY_VERIFY,
			     "the node's key statement is malformed, or newer than this program");
	return true;
}

bool lock_check_statement(const struct node_lock *l, uint64_t now, struct fault *f)
{
	struct statement st;

	if (!statement_of(l, &st, f))
		return false;
	if (st.node != l->node)
		return fault(f, SEALWAY_VERIFY, "the key statement is another node's");
	if (memcmp(st.node_key, l->node_key, KEY_BYTES))
		return fault(f, SEALWAY_VERIFY,
			     "the key offered for sealing is not the one in the node's key statement");
	if (now + CLOCK_SKEW_S < st.not_before)
		return fault(f, SEALWAY_VERIFY,
			     "the node's key statement is not valid yet (is this machine's clock right?)");
	if (now > st.not_after + CLOCK_SKEW_S)
		return fault(f, SEALWAY_VERIFY,
			     "the node's key statement has expired (is this machine's clock right?)");
	return true;
}

enum { PUBLIC_KEY, NODE, STACK, SIGN_KEY, STATEMENT, SIGNATURE, MEMBERS };

static const char *const members[MEMBERS] = { "public_key",       "node_small_id", "stack_small_id",
					      "node_signing_key", "key_statement", "key_signature" };

static bool read_own(const struct jval *v, struct node_lock *l, struct fault *f)
{
	if (!json_bytes(&v[SIGN_KEY], l->sign_key, KEY_BYTES) ||
	    !json_bytes(&v[STATEMENT], l->statement, STATEMENT_BYTES) ||
	    !json_text(&v[SIGNATURE], l->signature, SIGNATURE_TEXT))
		return fault(f, SEALWAY_VERIFY, "the lock's key statement is malformed");
	l->own = true;
	return true;
}

bool lock_read(struct slice json, bool allow_foreign, uint64_t now, struct node_lock *out, struct fault *f)
{
	struct node_lock l = { 0 };
	struct jval v[MEMBERS];

	if (jscan_object(json, members, MEMBERS, v, NULL) ||
	    !json_bytes(&v[PUBLIC_KEY], l.node_key, KEY_BYTES) || !json_id(&v[NODE], &l.node) ||
	    !json_id(&v[STACK], &l.stack))
		return fault(f, SEALWAY_VERIFY, "the gateway's answer to the lock is malformed");
	if (json_none(&v[STATEMENT]) && json_none(&v[SIGNATURE])) {
		if (!allow_foreign)
			return fault(f, SEALWAY_VERIFY,
				     "the node made no key statement: its answers cannot be checked "
				     "(a foreign node; allow it explicitly to use it)");
	} else if (!read_own(v, &l, f) || !lock_check_statement(&l, now, f)) {
		return false;
	}
	*out = l;
	return true;
}
