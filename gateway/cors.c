/* SPDX-License-Identifier: Apache-2.0
 *
 * CORS.  Allow-Headers: "*" does not cover Authorization in browsers (Fetch
 * standard), so a preflight gets back the names that it asked for; a list that
 * is no header list is not reflected.
 */
#include "gateway/cors.h"

#include <string.h>

static bool token_char(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

static bool header_list(struct slice s)
{
	if (!s.n || s.n > CORS_HEADERS_MAX)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!token_char(s.p[i]) && s.p[i] != ',' && s.p[i] != ' ')
			return false;
	return true;
}

static bool listed(const char *list, struct slice origin)
{
	while (*list) {
		size_t n = strcspn(list, " ");

		if (n && slice_eq(slice_of(list, n), origin))
			return true;
		list += n;
		list += strspn(list, " ");
	}
	return false;
}

void cors_decide(struct cors *out, const char *allowed, struct slice origin, struct slice wanted)
{
	memset(out, 0, sizeof(*out));
	if (!*allowed)
		return;
	if (strcmp(allowed, "*") == 0) {
		out->origin = SLICE_STR("*");
	} else {
		out->vary = true;
		if (!origin.n || !listed(allowed, origin))
			return;
		out->origin = origin;
	}
	out->headers = header_list(wanted) ? wanted : SLICE_STR("*, Authorization");
}
