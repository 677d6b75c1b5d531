/* SPDX-License-Identifier: Apache-2.0
 *
 * The common half of the asking commands.  Answers go to stdout, everything
 * else to stderr; the exit status is 0 only when every check passed.
 */
#include "client/cli/ask.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/keep.h"
#include "client/cli/show_wire.h"
#include "client/json.h"
#include "common/file.h"

#define TEXT_BYTES_MAX (12u << 20) /* sealed and base64, it has to fit the gateway's 16 MiB */
#define UNITS_SURELY 4096          /* half of the default lock, PROTOCOL section 2 */

struct asking {
	struct ask *a;
	ask_show_fn show;
	void *arg;
};

static const char *from_env(const char *name)
{
	const char *v = getenv(name);

	return v && *v ? v : NULL;
}

void ask_init(struct ask *a)
{
	*a = (struct ask){ .timeout_s = 3600, .text.secret = true };
	a->url = from_env("SEALWAY_URL");
	a->token = from_env("SEALWAY_TOKEN");
	a->model = from_env("SEALWAY_MODEL");
	a->known_nodes = from_env("SEALWAY_KNOWN_NODES");
	if (!a->url)
		a->url = "http://127.0.0.1:8080";
}

void ask_fini(struct ask *a)
{
	buf_free(&a->text);
}

static bool read_stdin(struct buf *out)
{
	ssize_t n = 1;

	while (n > 0 && out->n <= TEXT_BYTES_MAX) {
		buf_reserve(out, 65536);
		n = read(STDIN_FILENO, out->p + out->n, 65536);
		if (n < 0 && errno == EINTR)
			n = 1;
		else if (n > 0)
			out->n += (size_t)n;
	}
	if (n < 0)
		fprintf(stderr, "sealway: cannot read standard input: %s\n", strerror(errno));
	return n >= 0;
}

bool ask_text(struct ask *a, const char *operand)
{
	if (strcmp(operand, "-"))
		buf_str(&a->text, operand);
	else if (!read_stdin(&a->text))
		return false;
	if (a->text.n > TEXT_BYTES_MAX)
		fprintf(stderr, "sealway: the text is over %u bytes\n", TEXT_BYTES_MAX);
	else if (!a->text.n)
		fprintf(stderr, "sealway: the text is empty\n");
	else if (!jscan_is_text(buf_slice(&a->text)))
		fprintf(stderr, "sealway: the text is not UTF-8\n");
	else
		return true;
	return false;
}

uint64_t ask_units(const struct ask *a, uint64_t max_tokens)
{
	uint64_t most = a->text.n + 64 + max_tokens; /* a token is a byte at least */

	return most <= UNITS_SURELY ? 0 : most;
}

/* C0 but tab and newline, DEL, and the C1 block (U+0080-9F): what moves a terminal. */
static bool steers(const uint8_t *p, size_t n, size_t i)
{
	if (p[i] < 0x20)
		return p[i] != '\n' && p[i] != '\t';
	if (p[i] == 0x7f)
		return true;
	return p[i] >= 0x80 && p[i] <= 0x9f && i > 0 && p[i - 1] == 0xc2 && n > i;
}

bool ask_print(struct slice text)
{
	struct buf b = { .secret = true };
	bool ok;

	if (!isatty(STDOUT_FILENO))
		return file_write(STDOUT_FILENO, text);
	for (size_t i = 0; i < text.n; i++) {
		if (text.p[i] == 0xc2 && i + 1 < text.n && steers(text.p, text.n, i + 1))
			continue;
		buf_add(&b, steers(text.p, text.n, i) ? (const uint8_t *)"?" : text.p + i, 1);
	}
	ok = file_write(STDOUT_FILENO, buf_slice(&b));
	buf_free(&b);
	return ok;
}

static void on_note(void *arg, const char *text)
{
	struct asking *x = arg;

	if (!x->a->quiet)
		fprintf(stderr, "sealway: %s\n", text);
}

static void on_wire(void *arg, enum sealway_wire what, const char *json, size_t n)
{
	struct asking *x = arg;

	if (what == SEALWAY_WIRE_REQUEST)
		x->a->wire.sent += n;
	if (what == SEALWAY_WIRE_ANSWER) {
		x->a->wire.got += n;
		x->a->wire.objects++;
	}
	if (x->a->show_wire)
		show_wire(what, slice_of(json, n));
}

static bool on_object(void *arg, const char *json, size_t n, bool last)
{
	struct asking *x = arg;
	struct slice s = slice_of(json, n);

	if (!x->a->json)
		return x->show(x->a, s, last, x->arg);
	return ask_print(s) && ask_print(SLICE_STR("\n"));
}

/* The first model of GET /v1/models, when none was named. */
static char *first_model(struct sealway *s)
{
	static const char *const outer[] = { "data" }, *const inner[] = { "id" };
	struct jval data, id, item;
	char name[MODEL_BYTES_MAX + 1], *body = NULL, *model = NULL;
	size_t pos = 0;
	bool there = sealway_fetch(s, "/v1/models", &body);

	if (there && !jscan_object(slice_str(body), outer, 1, &data, NULL) && data.type == J_ARRAY &&
	    jarray_next(data.raw, &pos, &item) && item.type == J_OBJECT &&
	    !jscan_object(item.raw, inner, 1, &id, NULL) && json_text(&id, name, sizeof(name)))
		model = mem_strndup(name, strlen(name));
	else if (there)
		fprintf(stderr, "sealway: the service lists no model; name one with --model\n");
	else if (sealway_error_status(s) == 401)
		fprintf(stderr, "sealway: the service does not know this token\n");
	else
		fprintf(stderr, "sealway: %s\n", sealway_error(s));
	sealway_text_free(body);
	return model;
}

static bool keep_receipt(struct keep *k, struct sealway *s)
{
	char *text = sealway_receipt(s);
	bool ok = text && keep_write(k, slice_str(text));

	if (!text)
		fprintf(stderr, "sealway: there is no receipt to keep (a foreign node)\n");
	sealway_text_free(text);
	return ok;
}

static void summary(struct ask *a, struct sealway *s, const char *model)
{
	struct sealway_cost c;

	sealway_last_cost(s, &c);
	if (a->show_wire)
		show_wire_summary(model, c.stack, &a->wire);
	if (a->quiet)
		return;
	if (c.receipt)
		fprintf(stderr,
			"sealway: node %" PRIu64 ", %" PRIu64 " + %" PRIu64 " units, receipt verified\n",
			c.node, c.prompt, c.completion);
	else
		fprintf(stderr, "sealway: node %" PRIu64 ", a foreign node: nothing but its key is known\n",
			c.node);
}

static int outcome(struct asking *x, struct sealway *s, enum sealway_status status, const char *model,
		   struct keep *k)
{
	if (status == SEALWAY_STOPPED && x->a->complaint)
		fprintf(stderr, "sealway: %s\n", x->a->complaint);
	else if (status != SEALWAY_OK)
		fprintf(stderr, "sealway: %s\n", sealway_error(s));
	if (status != SEALWAY_OK)
		return status == SEALWAY_USAGE ? EXIT_USAGE : EXIT_FAILED;
	summary(x->a, s, model);
	return !k->path || keep_receipt(k, s) ? EXIT_OK : EXIT_FAILED;
}

static struct sealway *client(struct asking *x)
{
	struct ask *a = x->a;
	struct sealway_opts o = {
		.url = a->url,
		.token = a->token,
		.ca_file = a->ca_file,
		.known_nodes = a->known_nodes,
		.node_key = a->node_key,
		.allow_foreign = a->allow_foreign,
		.timeout_s = (unsigned)a->timeout_s,
		.on_note = on_note,
		.on_wire = on_wire,
		.arg = x,
	};
	char why[256];
	struct sealway *s;

	if (!a->token) {
		fprintf(stderr, "sealway: no token: set SEALWAY_TOKEN or give --token\n");
		return NULL;
	}
	s = sealway_new(&o, why, sizeof(why));
	if (!s)
		fprintf(stderr, "sealway: %s\n", why);
	return s;
}

int ask_run(struct ask *a, enum sealway_kind kind, struct slice json, uint64_t units, ask_show_fn show,
	    void *arg)
{
	struct asking x = { .a = a, .show = show, .arg = arg };
	struct sealway_request r = {
		.kind = kind,
		.model = a->model,
		.stream = a->stream,
		.json = (const char *)json.p,
		.json_n = json.n,
		.units = units,
		.on_object = on_object,
		.arg = &x,
	};
	struct sealway *s = client(&x);
	char *found = NULL;
	struct keep k;
	int status = EXIT_FAILED;

	if (!s)
		return EXIT_USAGE;
	if (!r.model)
		r.model = found = first_model(s);
	if (r.model && keep_open(&k, a->receipt, 0600)) {
		status = outcome(&x, s, sealway_run(s, &r), r.model, &k);
		keep_close(&k);
	}
	free(found);
	sealway_free(s);
	return status;
}
