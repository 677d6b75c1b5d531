/* SPDX-License-Identifier: Apache-2.0
 *
 * Reasons (reason.h), of the table in PROTOCOL section 5: only those whose status it is
 * count, and nothing of what a node wrote goes any further.
 */
#include "worker/reason.h"

#include "common/jscan.h"

enum err reason_of(struct slice body, int status, enum err other)
{
	static const char *const outer[] = { "error" };
	static const char *const inner[] = { "reason" };
	static const enum err known[] = { ERR_UNITS, ERR_KEY_ROTATED, ERR_KEY_UNKNOWN, ERR_ANSWERED,
					  ERR_ENGINE };
	struct jval v;

	if (jscan_object(body, outer, 1, &v, NULL) || v.type != J_OBJECT)
		return other;
	if (jscan_object(v.raw, inner, 1, &v, NULL) || v.type != J_STRING || v.escaped)
		return other;
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (err_status(known[i]) == status && slice_is(v.raw, err_reason(known[i])))
			return known[i];
	}
	return other;
}
