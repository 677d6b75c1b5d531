/* SPDX-License-Identifier: Apache-2.0
 *
 * Parses the setting `models`: words of the form member=number, models parted
 * by semicolons.  Names therefore hold neither spaces nor semicolons.
 */
#include "node/models.h"

#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "proto/registration.h"

#define SPACE " \t\r\n"

static enum err bad(const char *what)
{
	log_error("configuration", L_S("setting", "models"), L_S("what", what));
	return ERR_CONFIG;
}

static enum err set_number(struct model *m, struct slice name, uint64_t v)
{
	if (slice_is(name, "price"))
		m->price = v;
	else if (slice_is(name, "max_concurrent"))
		m->max_concurrent = v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
	else if (slice_is(name, "max_units"))
		m->max_units = v;
	else if (slice_is(name, "lock_units"))
		m->lock_units = v;
	else
		return bad("unknown member");
	return ERR_OK;
}

static enum err set_member(struct model *m, struct slice word)
{
	const uint8_t *eq = memchr(word.p, '=', word.n);
	struct slice name, value;
	uint64_t v;

	if (!eq)
		return bad("a word without =");
	name = slice_of(word.p, (size_t)(eq - word.p));
	value = slice_of(eq + 1, word.n - name.n - 1);
	if (slice_is(name, "name")) {
		if (m->name || value.n == 0 || value.n > MODEL_BYTES_MAX)
			return bad("name given twice, empty or over 256 bytes");
		if (!msg_text_ok(value))
			return bad("a name with control characters, or that is no UTF-8");
		m->name = mem_strndup(value.p, value.n);
		return ERR_OK;
	}
	if (slice_u64(value, ID_MAX, &v) != ERR_OK)
		return bad("a number was expected");
	return set_number(m, name, v);
}

static enum err parse_one(struct models *out, struct slice text)
{
	struct model *m = &out->of[out->n++];
	size_t at = 0;

	*m = (struct model){ .max_concurrent = 64, .max_units = 1048576, .lock_units = UNITS_DEFAULT };
	while (at < text.n) {
		size_t len = 0;

		while (at + len < text.n && !strchr(SPACE, text.p[at + len]))
			len++;
		if (len && set_member(m, slice_of(text.p + at, len)) != ERR_OK)
			return ERR_CONFIG;
		at += len ? len : 1;
	}
	if (!m->name)
		return bad("a model without name");
	for (unsigned i = 0; i + 1 < out->n; i++) {
		if (strcmp(out->of[i].name, m->name) == 0)
			return bad("the same name twice");
	}
	return m->max_concurrent && m->max_units ? ERR_OK
						 : bad("max_concurrent and max_units must be over 0");
}

enum err models_parse(const char *text, struct models *out)
{
	const char *p = text;

	while (*p) {
		size_t len = strcspn(p, ";");

		if (strspn(p, SPACE) < len) {
			if (out->n == MODELS_PER_NODE_MAX)
				return bad("too many models");
			if (parse_one(out, slice_of(p, len)) != ERR_OK)
				return ERR_CONFIG;
		}
		p += len + (p[len] == ';');
	}
	return out->n ? ERR_OK : bad("no model");
}

void models_free(struct models *m)
{
	for (unsigned i = 0; i < m->n; i++)
		free(m->of[i].name);
	*m = (struct models){ 0 };
}

struct model *models_find(struct models *m, struct slice name)
{
	for (unsigned i = 0; i < m->n; i++) {
		if (slice_is(name, m->of[i].name))
			return &m->of[i];
	}
	return NULL;
}
