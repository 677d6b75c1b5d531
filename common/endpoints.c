/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists of endpoints (endpoints.h).
 */
#include "common/endpoints.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"
#include "common/zsock.h"

enum err endpoints_each(const char *list, enum err (*each)(void *arg, const char *endpoint), void *arg)
{
	char *copy = mem_strndup(list, strlen(list)), *save = NULL;
	enum err e = ERR_OK;

	for (char *t = strtok_r(copy, " ", &save); t && e == ERR_OK; t = strtok_r(NULL, " ", &save))
		e = each(arg, t);
	free(copy);
	return e;
}

static enum err no_name(void *arg, const char *endpoint)
{
	(void)arg;
	if (strncmp(endpoint, "tcp://", 6) != 0 || endpoint[6] == '[')
		return ERR_OK;
	return endpoint[6 + strspn(endpoint + 6, "0123456789.")] == ':' ? ERR_OK : ERR_CONFIG;
}

bool endpoints_named(const char *list)
{
	return endpoints_each(list, no_name, NULL) != ERR_OK;
}

enum err endpoints_check_one(const char *setting, const char *endpoint, bool curve, bool insecure)
{
	bool inside = strncmp(endpoint, "inproc://", 9) == 0; /* where no other process is */

	if (!inside && zsock_check(endpoint, curve, insecure) == ERR_OK)
		return ERR_OK;
	log_error("conf.endpoint", L_S("setting", setting), L_S("endpoint", endpoint),
		  L_S("do", "write ipc:///path (at most 107 bytes) or tcp://host:port; tcp needs CURVE keys: "
			    "curve_key, and broker_key of a program that has it"));
	return ERR_CONFIG;
}

struct check {
	const char *setting;
	bool curve, insecure;
	unsigned n;
	enum err all;
};

static enum err check_next(void *arg, const char *endpoint)
{
	struct check *c = arg;

	c->n++;
	if (endpoints_check_one(c->setting, endpoint, c->curve, c->insecure) != ERR_OK)
		c->all = ERR_CONFIG;
	return ERR_OK; /* of the others, too, is said what is wrong */
}

enum err endpoints_check(const char *setting, const char *list, unsigned most, bool curve, bool insecure)
{
	struct check c = { .setting = setting, .curve = curve, .insecure = insecure };

	if (endpoints_each(list, check_next, &c) == ERR_OK && c.n > 0 && c.n <= most)
		return c.all;
	log_error("conf.endpoints", L_S("setting", setting), L_U("named", c.n),
		  L_S("why", c.n ? "are too many endpoints" : "at least one endpoint is needed"));
	return ERR_CONFIG;
}
