/* SPDX-License-Identifier: Apache-2.0
 *
 * Allow-lists in memory and in files (zauth_list.h).
 */
#include "common/zauth_list.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/b64.h"
#include "common/map.h"
#include "common/mem.h"

#define KEYS_MAX 4096

struct entry {
	uint8_t key[32];
	unsigned roles;
};

struct zauth_list {
	struct map *keys;
};

struct zauth_list *zauth_list_new(void)
{
	struct zauth_list *l = mem_new(sizeof(*l));

	l->keys = map_new(32);
	return l;
}

void zauth_list_free(struct zauth_list *l)
{
	size_t pos = 0;
	struct entry *e;

	if (!l)
		return;
	while ((e = map_next(l->keys, &pos)))
		free(e);
	map_free(l->keys);
	free(l);
}

enum err zauth_list_add(struct zauth_list *l, const uint8_t key[32], enum zauth_role role)
{
	struct entry *e = map_get(l->keys, key);

	if (e) {
		e->roles |= role;
		return ERR_OK;
	}
	if (map_count(l->keys) >= KEYS_MAX)
		return ERR_LIMIT;
	e = mem_new(sizeof(*e));
	memcpy(e->key, key, 32);
	e->roles = role;
	map_put(l->keys, e->key, e);
	return ERR_OK;
}

void zauth_list_remove(struct zauth_list *l, const uint8_t key[32])
{
	free(map_del(l->keys, key));
}

unsigned zauth_list_roles(const struct zauth_list *l, const uint8_t key[32])
{
	const struct entry *e = map_get(l->keys, key);

	return e ? e->roles : ZAUTH_NONE;
}

static enum zauth_role role_of(const char *s)
{
	if (strcmp(s, "gateway") == 0)
		return ZAUTH_GATEWAY;
	if (strcmp(s, "worker") == 0)
		return ZAUTH_WORKER;
	return strcmp(s, "broker") == 0 ? ZAUTH_BROKER : ZAUTH_NONE;
}

const char *zauth_line_read(char *line, struct zauth_line *out)
{
	static const char blanks[] = " \t\r\n";
	char *save;

	*out = (struct zauth_line){ .role = NULL };
	line[strcspn(line, "#")] = 0;
	out->role = strtok_r(line, blanks, &save);
	if (!out->role)
		return NULL;
	out->key = strtok_r(NULL, blanks, &save);
	out->name = strtok_r(NULL, blanks, &save);
	out->as = role_of(out->role);
	if (out->as == ZAUTH_NONE)
		return "the role is none of gateway, worker, broker";
	if (!out->key || b64_decode_exact(slice_str(out->key), out->key_bytes, 32) != ERR_OK)
		return "the key is not base64 of 32 bytes";
	return strtok_r(NULL, blanks, &save) ? "there are words after the name" : NULL;
}

/* Adds what a line lists.  What is wrong with it, or NULL. */
static const char *add_line(struct zauth_list *l, char *text)
{
	struct zauth_line line;
	const char *wrong = zauth_line_read(text, &line);

	if (wrong || !line.role)
		return wrong;
	return zauth_list_add(l, line.key_bytes, line.as) == ERR_OK ? NULL : "there are too many keys";
}

enum err zauth_list_read(struct zauth_list *l, const char *path, struct zauth_fault *fault)
{
	char text[ZAUTH_LINE_BYTES];
	const char *wrong = NULL;
	FILE *f = fopen(path, "re");
	unsigned n = 0;

	while (f && !wrong && fgets(text, sizeof(text), f)) {
		n++;
		wrong = strchr(text, '\n') || feof(f) ? add_line(l, text) : "the line is too long";
	}
	if (!f || ferror(f)) {
		*fault = (struct zauth_fault){ .why = strerror(errno) };
		if (f)
			fclose(f);
		return ERR_IO;
	}
	fclose(f);
	if (wrong)
		*fault = (struct zauth_fault){ .why = wrong, .line = n };
	return wrong ? ERR_CONFIG : ERR_OK;
}
