/* SPDX-License-Identifier: Apache-2.0
 *
 * Receipt checks, one sentence per thing that can be wrong (PROTOCOL section 4.8).
 * The signature on each response_hash covers plaintext that the proxy cannot
 * see, so the clear usage beside it proves nothing: the receipt does.
 */
#include "client/verify.h"

#include <string.h>
#include <time.h>

#include "client/json.h"
#include "common/sign.h"

enum { PROMPT, COMPLETION, USAGE_MEMBERS };

static const char *const usage_members[USAGE_MEMBERS] = { "prompt_tokens", "completion_tokens" };

static bool wrong(struct fault *f, const char *what)
{
	return fault(f, SEALWAY_VERIFY, "the receipt is wrong: %s", what);
}

static bool check_usage(const struct receipt *r, const struct jval *usage, struct fault *f)
{
	struct jval v[USAGE_MEMBERS];
	uint64_t prompt, completion;

	if (usage->type != J_OBJECT || jscan_object(usage->raw, usage_members, USAGE_MEMBERS, v, NULL) ||
	    !json_id(&v[PROMPT], &prompt) || !json_id(&v[COMPLETION], &completion))
		return fault(f, SEALWAY_VERIFY, "the final object carries no usage");
	if (prompt != r->prompt || completion != r->completion)
		return wrong(f, "its units are not the usage that was told");
	return true;
}

static bool check_subject(const struct opener *o, const struct receipt *r, struct fault *f)
{
	uint8_t h[KEY_BYTES];

	if (r->endpoint != (uint8_t)o->kind)
		return wrong(f, "it is for another endpoint");
	if (r->stack != o->lock->stack)
		return wrong(f, "it is for another stack");
	if (memcmp(r->node_key, o->lock->node_key, KEY_BYTES))
		return wrong(f, "it names another node key");
	if (memcmp(r->plain_hash, o->sealed->plain_hash, KEY_BYTES))
		return wrong(f, "it is for another request");
	hash(h, slice_str(o->model));
	if (memcmp(r->model_hash, h, KEY_BYTES))
		return wrong(f, "it is for another model");
	return true;
}

static bool check_answer(const struct opener *o, const struct receipt *r, struct fault *f)
{
	uint64_t now = o->clock ? o->clock() : (uint64_t)time(NULL);
	uint8_t h[KEY_BYTES];

	hash(h, buf_slice(&o->proof.hashes));
	if (memcmp(r->transcript, h, KEY_BYTES))
		return wrong(f, "it is for other objects than the ones that came");
	if (r->chunks != o->objects)
		return wrong(f, "it counts another number of objects");
	if (r->unix_s + CLOCK_SKEW_S < o->now || r->unix_s > now + CLOCK_SKEW_S)
		return wrong(f, "its time is not the time of this answer (is this machine's clock right?)");
	if (r->outcome != 0)
		return fault(f, SEALWAY_CUT, "the node stopped early: the answer is not complete");
	return true;
}

bool verify_receipt(struct opener *o, const struct jval *usage, struct fault *f)
{
	struct proof *p = &o->proof;
	struct slice bytes = slice_of(p->receipt, RECEIPT_BYTES);

	if (sign_verify_label(slice_str(p->signature), RECEIPT_LABEL, bytes, o->lock->sign_key))
		return wrong(f, "it is not signed by the node's signing key");
	if (receipt_decode(bytes, &p->decoded))
		return wrong(f, "its bytes are malformed, or newer than this program");
	return check_subject(o, &p->decoded, f) && check_answer(o, &p->decoded, f) &&
	       check_usage(&p->decoded, usage, f);
}
