/* SPDX-License-Identifier: Apache-2.0
 *
 * Replies of the broker for people: tables with the members of the objects as
 * columns, in the order in which the broker names them.  A member that is an
 * object or a list is told in words: "name=demo price=1000; name=other ...".
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/cli/admin.h"
#include "client/fault.h"

#define COLUMNS_MAX 24
#define WIDTH_MAX 96 /* what is wider is printed whole, and pushes the rest of its row */

/* Members that are times come as numbers, of days or seconds since 1970; 0 is none. */
static bool put_time(struct buf *out, const char *name, const json_t *v)
{
	static const char *const seconds[] = { "created",       "last_used",  "seen",
					       "admitted",      "expires",    "last_probe",
					       "evidence_time", "not_before", "not_after",
					       "superseded",    "at" };
	bool day = !strcmp(name, "day"), time = day;
	time_t t = (time_t)json_integer_value(v) * (day ? 86400 : 1);
	char text[32];
	struct tm tm;

	for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++)
		time = time || !strcmp(name, seconds[i]);
	if (!time || !json_is_integer(v) || t < 0 || !gmtime_r(&t, &tm))
		return false;
	strftime(text, sizeof(text), day ? "%Y-%m-%d" : "%Y-%m-%dT%H:%M:%SZ", &tm);
	buf_str(out, t ? text : "-");
	return true;
}

static void put_text(struct buf *out, const char *s)
{
	size_t at = out->n, n = strlen(s);

	buf_reserve(out, n + 1);
	fault_safe((char *)out->p + at, n + 1, slice_of(s, n));
	out->n += n;
}

static void put(struct buf *out, const char *name, const json_t *v);

static void put_object(struct buf *out, const json_t *object)
{
	const char *key, *between = "";
	json_t *v;

	json_object_foreach((json_t *)object, key, v)
	{
		buf_str(out, between);
		put_text(out, key);
		buf_str(out, "=");
		put(out, key, v);
		between = " ";
	}
}

static void put_list(struct buf *out, const json_t *list)
{
	json_t *v;
	size_t i;

	json_array_foreach(list, i, v)
	{
		buf_str(out, i ? "; " : "");
		put(out, "", v);
	}
}

/* Nothing, or a list or an object of nothing. */
static bool is_none(const json_t *v)
{
	return !v || json_is_null(v) || (json_is_array(v) && !json_array_size(v)) ||
	       (json_is_object(v) && !json_object_size(v));
}

static void put(struct buf *out, const char *name, const json_t *v)
{
	if (is_none(v))
		buf_str(out, "-");
	else if (json_is_string(v))
		put_text(out, json_string_value(v));
	else if (json_is_object(v))
		put_object(out, v);
	else if (json_is_array(v))
		put_list(out, v);
	else if (json_is_boolean(v))
		buf_str(out, json_is_true(v) ? "true" : "false");
	else if (json_is_real(v))
		buf_fmt(out, "%.10g", json_real_value(v));
	else if (!put_time(out, name, v))
		buf_fmt(out, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
}

/* A member in words; free it. */
static char *cell(const char *name, const json_t *v)
{
	struct buf b = { 0 };
	char *text;

	put(&b, name, v);
	text = mem_strndup((const char *)b.p, b.n);
	buf_free(&b);
	return text;
}

static void row(const json_t *object, const char *const names[], const size_t widths[], size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char *text = object ? cell(names[i], json_object_get(object, names[i])) : NULL;

		printf("%-*s%s", i + 1 < n ? (int)widths[i] : 0, text ? text : names[i],
		       i + 1 < n ? "  " : "\n");
		free(text);
	}
}

static size_t width(const json_t *object, const char *name)
{
	char *text = cell(name, json_object_get(object, name));
	size_t n = strlen(text);

	free(text);
	return n < WIDTH_MAX ? n : WIDTH_MAX;
}

static void table(const json_t *array)
{
	const char *names[COLUMNS_MAX];
	size_t widths[COLUMNS_MAX], n = 0, i;
	json_t *object, *v;
	const char *key;

	json_object_foreach(json_array_get(array, 0), key, v)
	{
		if (n == COLUMNS_MAX)
			break;
		widths[n] = strlen(key);
		names[n++] = key;
	}
	json_array_foreach(array, i, object)
	{
		for (size_t k = 0; k < n; k++) {
			size_t w = width(object, names[k]);

			widths[k] = w > widths[k] ? w : widths[k];
		}
	}
	if (n)
		row(NULL, names, widths, n);
	json_array_foreach(array, i, object) row(object, names, widths, n);
	if (!json_array_size(array))
		printf("(none)\n");
}

void admin_print(const struct admin_where *w, const json_t *reply, const char *member)
{
	const json_t *array = member ? json_object_get(reply, member) : NULL;
	const char *key;
	json_t *v;

	if (w->json) {
		json_dumpf(reply, stdout, JSON_INDENT(2));
		printf("\n");
	} else if (json_is_array(array)) {
		table(array);
	} else {
		json_object_foreach((json_t *)reply, key, v)
		{
			char *text = cell(key, v);

			printf("%s %s\n", key, text);
			free(text);
		}
	}
}
