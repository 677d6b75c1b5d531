/* SPDX-License-Identifier: Apache-2.0
 *
 * An OpenAI-compatible server (vLLM, llama.cpp, Ollama, ...) as engine.  How many
 * tokens a prompt has is the server's secret, so it is guessed from bytes: low
 * (what surely is too much is refused) and high (what max_tokens is lowered by).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/net/answer.h"
#include "node/json.h"
#include "node/openai.h"
#include "node/prompt.h"

#define KEY_BYTES_MAX 4096
#define COMPLETION_DEFAULT 16 /* OpenAI's, for completions without max_tokens */

/* Bytes per token, from below and above: words of English have 4 to 5. */
#define BYTES_LOW 8
#define BYTES_HIGH 3
#define MESSAGE_HIGH 8  /* tokens around a message in chat templates */
#define OTHER_HIGH 1500 /* an image or a piece of sound */

static enum err openai_measure(struct engine *e, enum endpoint ep, const json_t *body,
			       struct prompt_size *out)
{
	struct prompt p = { 0 };
	enum err r = prompt_read(ep, body, &p);
	uint64_t bytes = p.text.n + p.beside;

	(void)e;
	if (r == ERR_OK) {
		out->low = (bytes + BYTES_LOW - 1) / BYTES_LOW + p.tokens + p.others; /* none is free */
		out->high =
			bytes / BYTES_HIGH + 1 + p.tokens + p.messages * MESSAGE_HIGH + p.others * OTHER_HIGH;
	}
	prompt_free(&p);
	return r;
}

static uint64_t openai_default_tokens(const struct engine *e, enum endpoint ep)
{
	(void)e;
	return ep == EP_COMPLETIONS ? COMPLETION_DEFAULT : UINT64_MAX;
}

static bool openai_reachable(const struct engine *e)
{
	return !((const struct openai *)e)->away;
}

static void on_closed(uv_handle_t *h)
{
	free(h->data);
}

static void openai_close(struct engine *base)
{
	struct openai *e = (struct openai *)base;

	while (e->runs)
		openai_run_free(e->runs);
	openai_watch_stop(e);
	upstream_free(e->up);
	buf_free(&e->auth);
	free(e->url);
	uv_close((uv_handle_t *)&e->look, on_closed);
}

static const struct engine_ops openai_ops = {
	.takes_zero = false,
	.close = openai_close,
	.measure = openai_measure,
	.default_tokens = openai_default_tokens,
	.reachable = openai_reachable,
	.start = openai_start,
	.pause = openai_pause,
	.resume = openai_resume,
	.stop = openai_stop,
	.cancel = openai_cancel,
};

/* The first line of the key file, as a header's value. */
static enum err load_key(struct openai *e, const char *path)
{
	char line[KEY_BYTES_MAX] = "";
	FILE *f = fopen(path, "re");
	bool got = f && fgets(line, sizeof(line), f);
	size_t n = strcspn(line, "\r\n");

	if (f)
		fclose(f);
	if (!got || n == 0 || !answer_printable(slice_of(line, n))) {
		log_error("configuration", L_S("setting", "engine_key_file"),
			  L_S("what", "cannot be read, is empty, or has control characters"));
		mem_wipe(line, sizeof(line));
		return ERR_CONFIG;
	}
	e->auth.secret = true;
	buf_str(&e->auth, "Bearer ");
	buf_add(&e->auth, line, n);
	mem_wipe(line, sizeof(line));
	return ERR_OK;
}

enum err engine_openai_new(struct engine **out, const struct engine_opts *o)
{
	struct openai *e = mem_new(sizeof(*e));
	struct upstream_opts uo = { .ca_file = "" };
	size_t n = strlen(o->engine);

	while (n && o->engine[n - 1] == '/')
		n--;
	if (n > 3 && strncmp(o->engine + n - 3, "/v1", 3) == 0)
		n -= 3;
	e->base.ops = &openai_ops;
	e->o = *o;
	e->url = mem_strndup(o->engine, n);
	e->up = upstream_new(o->uv, &uo);
	openai_watch_open(e);
	if (!upstream_url(e->url)) {
		log_error("configuration", L_S("setting", "engine"),
			  L_S("what", "not a URL that can be asked"));
		openai_close(&e->base);
		return ERR_CONFIG;
	}
	if (*o->key_file && load_key(e, o->key_file) != ERR_OK) {
		openai_close(&e->base);
		return ERR_CONFIG;
	}
	*out = &e->base;
	return ERR_OK;
}
