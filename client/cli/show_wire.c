/* SPDX-License-Identifier: Apache-2.0
 *
 * Shows bodies as the gateway sees them.  They hold no plaintext by
 * construction; the token is in a header and is not shown.
 */
#include "client/cli/show_wire.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/fault.h"
#include "common/jweigh.h"
#include "proto/limits.h"

#define SHOWN 40       /* characters of a ciphertext */
#define PARTS_MAX 4096 /* a gateway could fill memory and terminal with empty objects */

static void shorten(json_t *o)
{
	const char *text = json_string_value(json_object_get(o, "ciphertext"));
	struct buf b = { 0 };

	if (!text || strlen(text) <= SHOWN)
		return;
	buf_fmt(&b, "%.*s... (%zu characters)", SHOWN, text, strlen(text));
	json_object_set_new(o, "ciphertext", json_stringn((const char *)b.p, b.n));
	buf_free(&b);
}

static json_t *parse(struct slice json)
{
	size_t parts, values;

	jweigh(json, &parts, &values);
	if (parts > PARTS_MAX || values > PARTS_MAX)
		return NULL;
	return json_loadb((const char *)json.p, json.n, JSON_REJECT_DUPLICATES, NULL);
}

void show_wire(enum sealway_wire what, struct slice json)
{
	static const char *const names[] = {
		[SEALWAY_WIRE_LOCK] = "you -> gateway, lock",
		[SEALWAY_WIRE_LOCK_ANSWER] = "gateway -> you, lock",
		[SEALWAY_WIRE_REQUEST] = "you -> gateway, request",
		[SEALWAY_WIRE_ANSWER] = "gateway -> you, answer",
	};
	json_t *o = parse(json);
	char *text;

	if (json_is_object(o))
		shorten(o);
	text = o ? json_dumps(o, JSON_INDENT(2) | JSON_ENSURE_ASCII) : NULL;
	fprintf(stderr, "--- %s (%zu bytes)\n%s\n", names[what], json.n,
		text ? text : "(not JSON, or of more parts than any such body has)");
	free(text);
	json_decref(o);
}

void show_wire_summary(const char *model, uint64_t stack, const struct wire_count *w)
{
	char name[MODEL_BYTES_MAX + 1]; /* may come from the gateway's list */

	fault_safe(name, sizeof(name), slice_str(model));
	fprintf(stderr,
		"--- what the gateway saw\n"
		"who asked (the token), when, the model (%s), the stack (%" PRIu64
		"), the units billed, and sizes:\n"
		"%zu bytes of sealed request, %zu bytes of answer in %zu sealed object%s.\n"
		"Of the question and the answer: ciphertext, padded to multiples of 128 bytes.\n",
		name, stack, w->sent, w->got, w->objects, w->objects == 1 ? "" : "s");
}
