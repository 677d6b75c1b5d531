/* SPDX-License-Identifier: Apache-2.0
 *
 * Replies of the broker for people: tables with the members of the objects as
 * columns, in the order in which the broker names them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/cli/admin.h"
#include "client/fault.h"

#define COLUMNS_MAX 24
#define CELL_MAX 96

/* Members that are times come as numbers: days or seconds since 1970. */
static bool as_time(const char *name, const json_t *v, char out[CELL_MAX])
{
	static const char *const seconds[] = { "created", "last_used", "seen", "admitted", "expires", "at" };
	bool day = !strcmp(name, "day"), time = day;
	time_t t = (time_t)json_integer_value(v);
	struct tm tm;

	for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++)
		time = time || !strcmp(name, seconds[i]);
	if (!time || t <= 0)
		return false;
	t *= day ? 86400 : 1;
	return gmtime_r(&t, &tm) && strftime(out, CELL_MAX, day ? "%Y-%m-%d" : "%Y-%m-%dT%H:%M:%SZ", &tm) > 0;
}

static void cell(const char *name, const json_t *v, char out[CELL_MAX])
{
	char *text = json_is_string(v) || !v ? NULL : json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
	const char *s = json_is_string(v) ? json_string_value(v) : json_is_null(v) ? "-" : text;

	if (!as_time(name, v, out))
		fault_safe(out, CELL_MAX, slice_str(s ? s : "-"));
	free(text);
}

static void row(const json_t *object, const char *const names[], const size_t widths[], size_t n)
{
	char text[CELL_MAX];

	for (size_t i = 0; i < n; i++) {
		if (object)
			cell(names[i], json_object_get(object, names[i]), text);
		else
			snprintf(text, sizeof(text), "%s", names[i]);
		printf("%-*s%s", i + 1 < n ? (int)widths[i] : 0, text, i + 1 < n ? "  " : "\n");
	}
}

static void table(const json_t *array)
{
	const char *names[COLUMNS_MAX];
	size_t widths[COLUMNS_MAX], n = 0, i;
	json_t *object, *v;
	const char *key;
	char text[CELL_MAX];

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
			cell(names[k], json_object_get(object, names[k]), text);
			if (strlen(text) > widths[k])
				widths[k] = strlen(text);
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
	char text[CELL_MAX];

	if (w->json) {
		json_dumpf(reply, stdout, JSON_INDENT(2));
		printf("\n");
	} else if (json_is_array(array)) {
		table(array);
	} else {
		json_object_foreach((json_t *)reply, key, v)
		{
			cell(key, v, text);
			printf("%s %s\n", key, text);
		}
	}
}
