/* SPDX-License-Identifier: Apache-2.0
 *
 * The error object of PROTOCOL section 5.  Everything in it is text of our
 * own, apart from the client's own X-Request-Id, which is visible ASCII and
 * escaped like any JSON string.
 */
#include "gateway/errors.h"

#define RETRY_DEFAULT_S 1
#define RETRY_MAX_S 3600 /* a peer's larger number is a mistake, not advice */

static void member(struct buf *out, const char *name, struct slice value)
{
	buf_fmt(out, ",\"%s\":", name);
	if (!value.n) {
		buf_str(out, "null");
		return;
	}
	buf_str(out, "\"");
	buf_json(out, value);
	buf_str(out, "\"");
}

void error_write(struct buf *out, enum err e, const struct refusal *why, const char *shown)
{
	buf_fmt(out, "{\"error\":{\"code\":\"%s\",\"type\":\"%s\",\"message\":\"", err_code(e), err_type(e));
	buf_json(out, slice_str(err_text(e)));
	if (why->what) {
		buf_str(out, ": ");
		buf_json(out, slice_str(why->what));
	}
	buf_str(out, "\"");
	member(out, "param", why->param);
	member(out, "reason", slice_str(err_reason(e)));
	member(out, "request_id", slice_str(shown));
	buf_str(out, "}}");
}

uint32_t error_retry_after(enum err e, uint32_t asked)
{
	int status = err_status(e);

	if (status != 429 && status != 503)
		return 0;
	if (asked > RETRY_MAX_S)
		return RETRY_MAX_S;
	return asked ? asked : RETRY_DEFAULT_S;
}

enum err error_outward(enum err e)
{
	if ((unsigned)e >= ERR_COUNT || e == ERR_OK)
		return ERR_INTERNAL;
	/* inner errors have no code of their own: err.h shows them as internal */
	return err_status(e) == 500 && e != ERR_NODE && e != ERR_STRANGER && e != ERR_ENGINE ? ERR_INTERNAL
											     : e;
}
