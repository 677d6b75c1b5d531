/* SPDX-License-Identifier: Apache-2.0
 *
 * One reader for completions (a text, texts, token numbers, lists of them), chat
 * (messages with a text or with parts), embeddings and images.
 */
#include "node/prompt.h"

#include <string.h>

#include "node/json.h"

/* v as JSON, in bytes. */
static uint64_t bytes_of(const json_t *v)
{
	return v && !json_is_null(v) ? json_dumpb(v, NULL, 0, JSON_COMPACT | JSON_ENCODE_ANY) : 0;
}

static void add_text(struct buf *out, const json_t *v)
{
	struct slice s = json_text(v);

	if (out->n)
		buf_str(out, " ");
	buf_add(out, s.p, s.n);
}

static enum err add_item(const json_t *v, struct prompt *p, bool nested)
{
	size_t i;
	const json_t *token;

	if (json_is_string(v)) {
		add_text(&p->text, v);
	} else if (json_is_integer(v)) {
		p->tokens++;
	} else if (json_is_array(v) && nested) {
		json_array_foreach(v, i, token)
		{
			if (!json_is_integer(token))
				return ERR_BODY;
			p->tokens++;
		}
	} else {
		return ERR_BODY;
	}
	return ERR_OK;
}

static enum err read_input(const json_t *v, struct prompt *p)
{
	size_t i;
	const json_t *item;

	if (json_is_string(v))
		return add_item(v, p, false);
	if (!json_is_array(v) || json_array_size(v) == 0)
		return ERR_BODY;
	json_array_foreach(v, i, item)
	{
		if (add_item(item, p, true) != ERR_OK)
			return ERR_BODY;
	}
	return ERR_OK;
}

static bool is_one_of(const char *name, const char *const names[], size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (strcmp(name, names[i]) == 0)
			return true;
	}
	return false;
}

/* A part with any other member may be an image all the same: engines go by its type, or by what it has. */
static void read_part(json_t *part, struct prompt *p)
{
	static const char *const texts[] = { "text", "refusal", "thinking" };
	static const char *const beside[] = { "type", "cache_control", "annotations" };
	bool text = false, other = false;
	const char *name;
	json_t *v;

	json_object_foreach(part, name, v)
	{
		if (json_is_string(v) && is_one_of(name, texts, sizeof(texts) / sizeof(texts[0]))) {
			add_text(&p->text, v);
			text = true;
		} else if (!json_is_null(v) && !is_one_of(name, beside, sizeof(beside) / sizeof(beside[0]))) {
			other = true;
		}
	}
	p->others += other || !text;
}

static enum err read_parts(const json_t *parts, struct prompt *p)
{
	size_t i;
	const json_t *part;

	json_array_foreach(parts, i, part)
	{
		if (!json_is_object(part))
			return ERR_BODY;
		read_part((json_t *)part, p);
	}
	return ERR_OK;
}

static enum err read_message(const json_t *m, struct prompt *p)
{
	static const char *const beside[] = { "tool_calls", "function_call", "reasoning_content",
					      "reasoning" };
	const json_t *content = json_object_get(m, "content");

	if (!json_is_object(m) || !json_is_string(json_object_get(m, "role")))
		return ERR_BODY;
	p->messages++;
	for (size_t i = 0; i < sizeof(beside) / sizeof(beside[0]); i++)
		p->beside += bytes_of(json_object_get(m, beside[i]));
	if (!content || json_is_null(content))
		return ERR_OK; /* an assistant's tool calls */
	if (json_is_array(content))
		return read_parts(content, p);
	if (!json_is_string(content))
		return ERR_BODY;
	add_text(&p->text, content);
	return ERR_OK;
}

static enum err read_messages(const json_t *list, struct prompt *p)
{
	size_t i;
	const json_t *m;

	if (!json_is_array(list) || json_array_size(list) == 0)
		return ERR_BODY;
	json_array_foreach(list, i, m)
	{
		if (read_message(m, p) != ERR_OK)
			return ERR_BODY;
	}
	return ERR_OK;
}

enum err prompt_read(enum endpoint ep, const json_t *body, struct prompt *out)
{
	static const char *const beside[] = { "tools", "functions", "documents", "suffix",
					      "chat_template_kwargs" };
	const json_t *prompt = json_object_get(body, "prompt");

	out->text.secret = true;
	for (size_t i = 0; i < sizeof(beside) / sizeof(beside[0]); i++)
		out->beside += bytes_of(json_object_get(body, beside[i]));
	switch (ep) {
	case EP_COMPLETIONS:
		return read_input(prompt, out);
	case EP_CHAT:
		return read_messages(json_object_get(body, "messages"), out);
	case EP_EMBEDDINGS:
		return read_input(json_object_get(body, "input"), out);
	case EP_IMAGES:
		return json_is_string(prompt) ? read_input(prompt, out) : ERR_BODY;
	default:
		return ERR_BODY;
	}
}

void prompt_last_user(const json_t *body, struct buf *out)
{
	const json_t *list = json_object_get(body, "messages");
	struct prompt p = { .text.secret = true };

	for (size_t i = json_array_size(list); i-- > 0;) {
		const json_t *m = json_array_get(list, i);

		if (!slice_is(json_text(json_object_get(m, "role")), "user"))
			continue;
		if (read_message(m, &p) == ERR_OK)
			buf_add(out, p.text.p, p.text.n);
		break;
	}
	prompt_free(&p);
}

void prompt_free(struct prompt *p)
{
	buf_free(&p->text);
}

static bool is_space(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

bool words_next(struct slice text, size_t *pos, struct slice *word)
{
	size_t at = *pos, from;

	while (at < text.n && is_space(text.p[at]))
		at++;
	from = at;
	while (at < text.n && !is_space(text.p[at]))
		at++;
	*pos = at;
	if (at == from)
		return false;
	*word = slice_of(text.p + from, at - from);
	return true;
}

uint64_t words_count(struct slice text)
{
	struct slice word;
	uint64_t n = 0;

	for (size_t pos = 0; words_next(text, &pos, &word);)
		n++;
	return n;
}
