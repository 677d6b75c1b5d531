/* SPDX-License-Identifier: Apache-2.0
 *
 * sealway embed: text in, its vector out, as a JSON array on one line.
 */
#include "client/cli/ask.h"
#include "client/cli/cli.h"
#include "client/json.h"

/* The numbers are printed as the node wrote them. */
static bool vectors(struct slice json)
{
	static const char *const outer[] = { "data" }, *const inner[] = { "embedding" };
	struct jval data, item, vector;
	size_t pos = 0, n = 0;

	if (jscan_object(json, outer, 1, &data, NULL) || data.type != J_ARRAY)
		return false;
	for (; jarray_next(data.raw, &pos, &item); n++) {
		if (item.type != J_OBJECT || jscan_object(item.raw, inner, 1, &vector, NULL) ||
		    vector.type != J_ARRAY)
			return false;
		if (!ask_print(vector.raw) || !ask_print(SLICE_STR("\n")))
			return false;
	}
	return n > 0;
}

static bool show(struct ask *a, struct slice json, bool last, void *arg)
{
	(void)last;
	(void)arg;
	if (vectors(json))
		return true;
	a->complaint = "the node's answer holds no vector (see --json), or standard output is gone";
	return false;
}

int cmd_embed(int argc, char **argv)
{
	static const struct command c = {
		"embed",   "TEXT|-", "Prints the vector of TEXT (or standard input) as a JSON array.",
		ASK_TRUST, 1,        1,
	};
	struct ask a;
	struct buf json = { .secret = true };
	struct operands words;
	int status = EXIT_USAGE;

	ask_init(&a);
	const struct arg args[] = { ASK_ARGS(&a) };
	enum args_result r = args_parse(&c, args, sizeof(args) / sizeof(args[0]), argc, argv, &words);

	if (r != ARGS_RUN)
		return r;
	if (ask_text(&a, words.v[0])) {
		buf_str(&json, "{\"input\":\"");
		buf_json(&json, buf_slice(&a.text));
		buf_str(&json, "\"}");
		status = ask_run(&a, SEALWAY_EMBEDDINGS, buf_slice(&json), ask_units(&a, 0), show, NULL);
	}
	buf_free(&json);
	ask_fini(&a);
	return status;
}
