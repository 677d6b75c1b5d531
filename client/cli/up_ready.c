/* SPDX-License-Identifier: Apache-2.0
 *
 * When all is ready: the last check from outside, as a client sees it, the
 * ready file, and what a person reads.
 */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/cli/up.h"
#include "client/sealway.h"

static bool lists(const struct up *u, const char *body)
{
	json_t *o = json_loads(body, 0, NULL), *item;
	bool found = false;
	size_t i;

	json_array_foreach(json_object_get(o, "data"), i, item)
	{
		const char *id = json_string_value(json_object_get(item, "id"));

		found = found || (id && !strcmp(id, u->o.model));
	}
	json_decref(o);
	return found;
}

/* All its threads have a broker: which of them a client meets is chance.  The
 * demo token is not the admin listener's to know. */
static bool gateway_ready(const struct up_child *c)
{
	char admin[128], url[160], why[256], *body = NULL;
	struct sealway_opts o = { .url = url, .token = "none", .known_nodes = "known_nodes", .timeout_s = 1 };
	struct sealway *s;
	bool ok;

	if (!up_child_ready(c, "admin", admin, sizeof(admin)))
		return false;
	snprintf(url, sizeof(url), "http://%s", admin);
	s = sealway_new(&o, why, sizeof(why));
	ok = s && sealway_get(s, "/ready", &body) == 200;
	sealway_text_free(body);
	sealway_free(s);
	return ok;
}

static bool gateways_ready(const struct up *u)
{
	for (size_t i = 0; i < u->n_children; i++)
		if (u->children[i].role == UP_GATEWAY && !gateway_ready(&u->children[i]))
			return false;
	return true;
}

bool up_serves(const struct up *u)
{
	struct sealway_opts o = {
		.url = u->url, .token = u->token, .known_nodes = "known_nodes", .timeout_s = 1
	};
	char why[256], *body = NULL;
	struct sealway *s = sealway_new(&o, why, sizeof(why));
	bool ok = s && gateways_ready(u) && sealway_get(s, "/health", &body) == 200;

	sealway_text_free(body);
	body = NULL;
	ok = ok && sealway_get(s, "/v1/models", &body) == 200 && lists(u, body);
	sealway_text_free(body);
	sealway_free(s);
	return ok;
}

static json_t *pids(const struct up *u)
{
	static const char *const names[UP_ROLES] = { "broker", "worker", "gateway", "node" };
	json_t *o = json_object();

	for (int role = 0; role < UP_ROLES; role++) {
		json_t *list = json_array();

		for (size_t i = 0; i < u->n_children; i++)
			if ((int)u->children[i].role == role && u->children[i].pid)
				json_array_append_new(list, json_integer(u->children[i].pid));
		json_object_set_new(o, names[role], list);
	}
	return o;
}

bool up_write_ready(const struct up *u)
{
	json_t *o;
	char *text;
	bool ok;

	if (!u->o.ready_file)
		return true;
	o = json_pack("{sssssssoss}", "url", u->url, "token", u->token, "model", u->o.model, "pids", pids(u),
		      "dir", u->dir);
	text = json_dumps(o, JSON_COMPACT);
	ok = up_write(u->o.ready_file, slice_str(text));
	mem_wipe(text, strlen(text));
	free(text);
	json_decref(o);
	return ok;
}

void up_announce(const struct up *u)
{
	char command[PATH_MAX];

	up_command(command);
	printf("sealway is up: gateway, broker, worker and node (model %s)\n\n"
	       "  URL    %s\n  token  %s\n  data   %s\n\nTry, in another terminal:\n\n"
	       "  export SEALWAY_URL=%s SEALWAY_TOKEN=%s SEALWAY_KNOWN_NODES=%s/known_nodes\n"
	       "  %s complete --stream \"No machine in the middle can read this\"\n\nCtrl-C stops "
	       "everything.\n",
	       u->o.model, u->url, u->token, u->dir, u->url, u->token, u->dir, command);
	fflush(stdout);
}
