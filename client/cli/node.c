/* SPDX-License-Identifier: Apache-2.0
 *
 * sealway node admit: lets a node in by its signing key.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/admin.h"
#include "client/cli/cli.h"
#include "client/cli/operate.h"
#include "common/b64.h"
#include "common/keys.h"
#include "common/mem.h"
#include "proto/limits.h"

#define NO_PRICE UINT64_MAX

struct admission {
	uint64_t id;
	const char *url, *node_key, *model;
	uint64_t price; /* NO_PRICE: not given; 0 is one */
	bool readdress;
};

/* The key itself, or a .pub file with it, as base64. */
static bool key_text(const char *given, char out[B64_LEN(32) + 1])
{
	uint8_t key[32];

	if (!access(given, F_OK) && key_is_secret(given)) {
		fprintf(stderr, "sealway node: %s is a secret key; give the .pub beside it\n", given);
		return false;
	}
	if (b64_decode_exact(slice_str(given), key, sizeof(key)) &&
	    (access(given, R_OK) || key_load_public(given, key))) {
		fprintf(stderr, "sealway node: %s is neither a key nor a file with one\n", given);
		return false;
	}
	b64_put(out, key, sizeof(key));
	out[B64_LEN(32)] = '\0';
	return true;
}

static json_t *admit(const struct admin_where *w, const char *key, const struct admission *m)
{
	char text[B64_LEN(32) + 1];
	json_t *a;

	if (!key_text(key, text))
		return NULL;
	a = json_pack("{ss}", "signing_key", text);
	if (m->id)
		json_object_set_new(a, "node", json_integer((json_int_t)m->id));
	if (m->url)
		json_object_set_new(a, "url", json_string(m->url));
	if (m->node_key)
		json_object_set_new(a, "node_key", json_string(m->node_key));
	if (m->model)
		json_object_set_new(a, "models",
				    json_pack("[{sssI}]", "name", m->model, "price", (json_int_t)m->price));
	return admin_call(w, "node.admit", a);
}

/* What has to be given and was not; NULL: nothing. */
static const char *lacking(const struct admission *m, size_t words)
{
	if (m->readdress)
		return !m->id ? "--id" : !m->url ? "--url" : NULL;
	if (!words)
		return "the node's KEY, or a FILE with it,";
	return m->model && m->price == NO_PRICE ? "--price" : NULL;
}

static int node_admit(int argc, char **argv)
{
	static const struct command c = {
		"node admit",
		"KEY|FILE | --readdress",
		"Admits a node by its signing key (base64, or its .pub file).",
		"A node that registers itself needs only its key.  For a node of the original network give\n"
		"--url, --node-key, --model and --price too: it is used as it was described.  Given once\n"
		"more with another --model, it serves that one as well.\n"
		"--readdress needs only --id and --url.",
		0,
		1,
	};
	struct admin_where w;
	struct admission m = { .price = NO_PRICE };
	struct operands words;
	json_t *reply;

	admin_where_init(&w);
	const struct arg args[] = {
		{ "id", ARG_U64, &m.id, "N", "node_small_id wanted (default: a free one)", 1, ID_MAX },
		{ "url", ARG_TEXT, &m.url, "URL", "original nodes: where it answers", 0, 0 },
		{ "node-key", ARG_TEXT, &m.node_key, "KEY", "original nodes: its X25519 key (base64)", 0, 0 },
		{ "model", ARG_TEXT, &m.model, "NAME", "original nodes: the model it serves", 0, 0 },
		{ "price", ARG_U64, &m.price, "N", "original nodes: micro-USD per million units", 0, ID_MAX },
		{ "readdress", ARG_FLAG, &m.readdress, NULL, "move an admitted original node to --url", 0,
		  0 },
		ADMIN_ARGS(&w),
	};
	enum args_result r = args_parse(&c, args, sizeof(args) / sizeof(args[0]), argc, argv, &words);

	if (r != ARGS_RUN)
		return r;
	if (lacking(&m, words.n))
		return args_missing(&c, lacking(&m, words.n));
	if (m.readdress && words.n)
		return args_wrong(&c);
	if (m.readdress)
		reply = admin_call(&w, "node.admit",
				   json_pack("{sIss}", "node", (json_int_t)m.id, "readdress", m.url));
	else
		reply = admit(&w, words.v[0], &m);
	if (reply)
		admin_print(&w, reply, NULL);
	json_decref(reply);
	return reply ? EXIT_OK : EXIT_FAILED;
}

int cmd_node(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "admit"))
		return node_admit(argc - 1, argv + 1);
	return node_other(argc, argv);
}
