/* SPDX-License-Identifier: Apache-2.0
 *
 * sealway complete: text in, its continuation out.
 */
#include <inttypes.h>
#include <string.h>

#include "client/cli/cli.h"
#include "client/cli/text.h"

static void put_prompt(struct buf *json, struct slice text, const void *arg)
{
	(void)arg;
	buf_str(json, "{\"prompt\":\"");
	buf_json(json, text);
	buf_str(json, "\"");
}

int cmd_complete(int argc, char **argv)
{
	static const struct command c = {
		"complete", "TEXT|-", "Completes TEXT (or standard input) on a node that alone can read it.",
		ASK_TRUST,  1,        1,
	};
	struct ask a;
	uint64_t max_tokens = 0;
	struct operands words;

	ask_init(&a);
	const struct arg args[] = { TEXT_ARGS(&a, &max_tokens), ASK_ARGS(&a) };
	enum args_result r = args_parse(&c, args, sizeof(args) / sizeof(args[0]), argc, argv, &words);

	if (r != ARGS_RUN)
		return r;
	return text_run(&a, SEALWAY_COMPLETIONS, words.v[0], max_tokens, put_prompt, NULL);
}
