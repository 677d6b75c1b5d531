/* SPDX-License-Identifier: Apache-2.0
 *
 * sealway chat: one user message in, the assistant's out.
 */
#include <inttypes.h>

#include "client/cli/cli.h"
#include "client/cli/text.h"

static void put_message(struct buf *json, const char *role, struct slice text)
{
	buf_fmt(json, "{\"role\":\"%s\",\"content\":\"", role);
	buf_json(json, text);
	buf_str(json, "\"}");
}

/* arg: the system message, or NULL. */
static void put_messages(struct buf *json, struct slice text, const void *arg)
{
	buf_str(json, "{\"messages\":[");
	if (arg) {
		put_message(json, "system", slice_str(arg));
		buf_str(json, ",");
	}
	put_message(json, "user", text);
	buf_str(json, "]");
}

int cmd_chat(int argc, char **argv)
{
	static const struct command c = {
		"chat",
		"TEXT|-",
		"Sends TEXT (or standard input) as a message to a node that alone can read it.",
		ASK_TRUST,
		1,
		1,
	};
	struct ask a;
	const char *system_text = NULL;
	uint64_t max_tokens = 0;
	struct operands words;

	ask_init(&a);
	const struct arg args[] = {
		TEXT_ARGS(&a, &max_tokens),
		{ "system", ARG_TEXT, &system_text, "TEXT", "a system message put before yours", 0, 0 },
		ASK_ARGS(&a),
	};
	enum args_result r = args_parse(&c, args, sizeof(args) / sizeof(args[0]), argc, argv, &words);

	if (r != ARGS_RUN)
		return r;
	return text_run(&a, SEALWAY_CHAT, words.v[0], max_tokens, put_messages, system_text);
}
