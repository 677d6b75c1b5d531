/* SPDX-License-Identifier: Apache-2.0
 *
 * sealway complete: text in, its continuation out.
 */
#include <inttypes.h>
#include <string.h>

#include "client/cli/cli.h"
#include "client/cli/text.h"

int cmd_complete(int argc, char **argv)
{
	static const struct command c = {
		"complete", "TEXT|-", "Completes TEXT (or standard input) on a node that alone can read it.",
		ASK_TRUST,  1,        1,
	};
	struct ask a;
	uint64_t max_tokens = 0;
	struct buf json = { .secret = true };
	struct operands words;
	int status;

	ask_init(&a);
	const struct arg args[] = { TEXT_ARGS(&a, &max_tokens), ASK_ARGS(&a) };
	enum args_result r = args_parse(&c, args, sizeof(args) / sizeof(args[0]), argc, argv, &words);

	if (r != ARGS_RUN)
		return r;
	if (!ask_text(&a, words.v[0])) {
		ask_fini(&a);
		return EXIT_USAGE;
	}
	buf_str(&json, "{\"prompt\":\"");
	buf_json(&json, buf_slice(&a.text));
	buf_str(&json, "\"");
	status = text_run(&a, SEALWAY_COMPLETIONS, &json, max_tokens);
	buf_free(&json);
	ask_fini(&a);
	return status;
}
