/* SPDX-License-Identifier: Apache-2.0
 *
 * sealway receipt verify FILE: the offline check of what --receipt kept.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/cli/args.h"
#include "client/cli/cli.h"
#include "client/fault.h"
#include "client/sealway.h"
#include "common/mem.h"

#define FILE_BYTES_MAX (256u << 20) /* 4 million objects */

static bool slurp(const char *path, struct buf *out)
{
	int fd = strcmp(path, "-") ? open(path, O_RDONLY | O_CLOEXEC) : STDIN_FILENO;
	ssize_t n = fd < 0 ? -1 : 1;

	while (n > 0 && out->n <= FILE_BYTES_MAX) {
		buf_reserve(out, 65536);
		n = read(fd, out->p + out->n, 65536);
		out->n += n > 0 ? (size_t)n : 0;
	}
	if (n)
		fprintf(stderr, "sealway receipt: cannot read %s: %s\n", path,
			n < 0 ? strerror(errno) : "too large");
	if (fd > STDIN_FILENO)
		close(fd);
	return n == 0;
}

static void tell(const struct sealway_receipt_info *i, bool trusted)
{
	static const char *const kinds[] = { "?", "completion", "chat", "embeddings", "image" };
	time_t t = (time_t)i->unix_s;
	char when[32] = "", model[sizeof(i->model)]; /* whoever made the file chose the name */
	struct tm tm;

	if (gmtime_r(&t, &tm))
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S UTC", &tm);
	fault_safe(model, sizeof(model), slice_str(i->model));
	printf("good: %s by model %s, %s\n", kinds[i->kind], model,
	       i->stopped ? "stopped early" : "complete");
	printf("node %" PRIu64 ", signing key %s%s\n", i->node, i->node_key,
	       trusted ? "" : " (the file's own: compare it, or give --node-key)");
	printf("%" PRIu32 " objects, %" PRIu64 " + %" PRIu64 " units on stack %" PRIu64 ", %s\n", i->objects,
	       i->prompt, i->completion, i->stack, when);
}

static int verify(const char *path, const char *node_key)
{
	struct buf text = { .secret = true };
	struct sealway_receipt_info info;
	char why[256];
	int status = EXIT_FAILED;

	if (slurp(path, &text)) {
		if (sealway_receipt_verify((const char *)text.p, text.n, node_key, &info, why, sizeof(why))) {
			tell(&info, node_key != NULL);
			status = EXIT_OK;
		} else {
			fprintf(stderr, "sealway receipt: %s\n", why);
		}
	}
	buf_free(&text);
	return status;
}

int cmd_receipt(int argc, char **argv)
{
	static const struct command c = {
		"receipt",
		"verify FILE|-",
		"Checks a receipt that --receipt kept: signatures, key statement, model, hashes.  No "
		"network.",
		"The receipt proves that the holder of the signing key answered a request with this hash\n"
		"by objects with these hashes, and what it cost.  Whose key it is, is yours to know:\n"
		"compare it with the one you trust by --node-key.\n\n"
		"exit status: 0 good, 1 not good, 2 usage",
		2,
		2,
	};
	const char *node_key = NULL;
	const struct arg args[] = {
		{ "node-key", ARG_TEXT, &node_key, "KEY", "the node's signing key that you trust (base64)", 0,
		  0 },
	};
	struct operands words;
	enum args_result r = args_parse(&c, args, 1, argc, argv, &words);

	if (r != ARGS_RUN)
		return r;
	if (strcmp(words.v[0], "verify")) {
		fprintf(stderr, "sealway receipt: the only thing to do with a receipt is \"verify\"\n");
		return EXIT_USAGE;
	}
	return verify(words.v[1], node_key);
}
