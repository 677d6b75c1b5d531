/* SPDX-License-Identifier: Apache-2.0
 *
 * Error answers (PROTOCOL section 5).  They are text of somebody else: shortened and
 * stripped of control bytes before a person sees them.
 */
#include "client/refusal.h"

#include "client/json.h"

enum { CODE, REASON, MESSAGE, PARAM, REQUEST_ID, MEMBERS };

static const char *const members[MEMBERS] = { "code", "reason", "message", "param", "request_id" };

static void take(const struct jval *v, char *out, size_t n)
{
	struct buf text = { 0 };

	if (v->type == J_STRING)
		jval_text(v, &text);
	fault_safe(out, n, buf_slice(&text));
	buf_free(&text);
}

void refusal_read(struct slice json, struct refusal *out)
{
	static const char *const outer[] = { "error" };
	struct jval e, v[MEMBERS];

	if (jscan_object(json, outer, 1, &e, NULL) || e.type != J_OBJECT ||
	    jscan_object(e.raw, members, MEMBERS, v, NULL))
		return;
	take(&v[CODE], out->code, sizeof(out->code));
	take(&v[REASON], out->reason, sizeof(out->reason));
	take(&v[MESSAGE], out->message, sizeof(out->message));
	take(&v[PARAM], out->param, sizeof(out->param));
	take(&v[REQUEST_ID], out->request_id, sizeof(out->request_id));
}

bool refusal_tell(const struct refusal *r, const char *during, enum sealway_status status, struct fault *f)
{
	struct buf b = { 0 };

	buf_fmt(&b, "%s: ", during);
	if (r->status)
		buf_fmt(&b, "%d ", r->status);
	buf_fmt(&b, "%s", r->code[0] ? r->code : "an error without a description");
	if (r->reason[0])
		buf_fmt(&b, " (%s)", r->reason);
	if (r->message[0])
		buf_fmt(&b, ": %s", r->message);
	if (r->param[0])
		buf_fmt(&b, " (%s)", r->param);
	if (r->request_id[0])
		buf_fmt(&b, " [request %s]", r->request_id);
	fault(f, status, "%.*s", (int)b.n, (const char *)b.p);
	f->http = r->status;
	buf_free(&b);
	return false;
}
