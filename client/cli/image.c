/* SPDX-License-Identifier: Apache-2.0
 *
 * sealway image: text in, a picture out (PNG bytes, to a file or a pipe).
 */
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/ask.h"
#include "client/cli/cli.h"
#include "client/cli/keep.h"
#include "client/json.h"
#include "common/b64.h"

#define IMAGE_BYTES_MAX (64u << 20)
#define SIDE_MAX 16384

static bool image_text(struct slice json, struct buf *b64)
{
	static const char *const outer[] = { "data" }, *const inner[] = { "b64_json", "url" };
	struct jval data, item, v[2];
	struct slice url;
	size_t pos = 0;

	if (jscan_object(json, outer, 1, &data, NULL) || data.type != J_ARRAY ||
	    !jarray_next(data.raw, &pos, &item) || item.type != J_OBJECT ||
	    jscan_object(item.raw, inner, 2, v, NULL))
		return false;
	if (v[0].type == J_STRING) {
		jval_text(&v[0], b64);
		return true;
	}
	url = json_plain(&v[1]);
	for (size_t i = 0; i + 8 < url.n; i++) {
		if (url.p[i] == ',' && i >= 7 && !memcmp(url.p + i - 7, ";base64", 7)) {
			buf_add(b64, url.p + i + 1, url.n - i - 1);
			return true;
		}
	}
	return false;
}

static bool show(struct ask *a, struct slice json, bool last, void *arg)
{
	struct keep *k = arg;
	struct buf b64 = { .secret = true }, png = { .secret = true };
	bool ok = image_text(json, &b64) && !b64_decode(buf_slice(&b64), IMAGE_BYTES_MAX, &png);

	(void)last;
	if (!ok)
		a->complaint = "the node's answer holds no image (see --json)";
	else
		ok = k->path ? keep_write(k, buf_slice(&png)) : ask_print(buf_slice(&png));
	if (!ok && !a->complaint)
		a->complaint = "the image cannot be written";
	buf_free(&b64);
	buf_free(&png);
	return ok;
}

/* "512x512" -> pixels; 0 for anything else */
static uint64_t pixels(const char *size)
{
	const char *x = strchr(size, 'x');
	uint64_t w, h;

	if (!x || slice_u64(slice_of(size, (size_t)(x - size)), SIDE_MAX, &w) ||
	    slice_u64(slice_str(x + 1), SIDE_MAX, &h))
		return 0;
	return w * h;
}

static int paint(struct ask *a, const char *text, const char *size, const char *output)
{
	struct buf json = { .secret = true };
	struct keep k;
	int status = EXIT_FAILED;

	if (!pixels(size)) {
		fprintf(stderr, "sealway image: --size takes WIDTHxHEIGHT, such as 256x256\n");
		return EXIT_USAGE;
	}
	if (output && a->json) {
		fprintf(stderr, "sealway image: --json prints the node's answer and leaves no image for "
				"--output: give one of them\n");
		return EXIT_USAGE;
	}
	if (!output && !a->json && isatty(STDOUT_FILENO)) {
		fprintf(stderr, "sealway image: will not write an image to a terminal: use --output FILE or "
				"a pipe\n");
		return EXIT_USAGE;
	}
	if (!ask_text(a, text))
		return EXIT_USAGE;
	buf_str(&json, "{\"prompt\":\"");
	buf_json(&json, buf_slice(&a->text));
	buf_fmt(&json, "\",\"n\":1,\"size\":\"%s\",\"response_format\":\"b64_json\"}", size);
	if (keep_open(&k, output, 0666))
		status = ask_run(a, SEALWAY_IMAGES, buf_slice(&json), pixels(size), show, &k);
	keep_close(&k);
	buf_free(&json);
	return status;
}

int cmd_image(int argc, char **argv)
{
	static const struct command c = {
		"image",
		"TEXT|-",
		"Paints TEXT (or standard input); writes a PNG to standard output or a file.",
		ASK_TRUST,
		1,
		1,
	};
	struct ask a;
	const char *output = NULL, *size = "256x256";
	struct operands words;
	int status;

	ask_init(&a);
	const struct arg args[] = {
		{ "output", ARG_TEXT, &output, "FILE", "write the image there", 0, 0 },
		{ "size", ARG_TEXT, &size, "WxH", "in pixels, one unit each (default 256x256)", 0, 0 },
		ASK_ARGS(&a),
	};
	status = args_parse(&c, args, sizeof(args) / sizeof(args[0]), argc, argv, &words);
	if (status == ARGS_RUN)
		status = paint(&a, words.v[0], size, output);
	ask_fini(&a);
	return status;
}
