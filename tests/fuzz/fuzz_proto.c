/* SPDX-License-Identifier: Apache-2.0
 *
 * Messages between processes, as a hostile peer may send them.  One source,
 * built once per file of proto/ (FUZZ_OF names its messages): whatever decodes
 * encodes to the same bytes, except that unknown errors become ERR_INTERNAL,
 * and what came out decodes to itself.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/mp.h"
#include "tests/unit/proto/families.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(cond)                                                                                           \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			abort();                                                                             \
	} while (0)

/* FUZZ_OF is "name,name," */
static bool mine(const struct family *f)
{
	const char *p = FUZZ_OF;
	size_t n = strlen(f->name);

	for (; *p; p += strcspn(p, ",") + 1)
		if (strncmp(p, f->name, n) == 0 && p[n] == ',')
			return true;
	return false;
}

static bool errors_change(const struct family *f)
{
	return f->type == MSG_REFUSE || f->type == MSG_RETURN || f->type == MSG_SETTLE ||
	       f->type == MSG_CHUNK || f->type == MSG_ADMIN_REPLY;
}

static void one(const struct family *f, struct slice in)
{
	struct buf out = { .n = 0 }, again = { .n = 0 };

	if (f->recode(in, &out) == ERR_OK) {
		MUST(errors_change(f) || slice_eq(in, buf_slice(&out)));
		MUST(f->recode(buf_slice(&out), &again) == ERR_OK);
		MUST(slice_eq(buf_slice(&out), buf_slice(&again)));
	}
	buf_free(&out);
	buf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice in = slice_of(data, size);
	enum msg_type type;

	if (msg_peek(in, &type) == ERR_OK)
		MUST(strcmp(msg_name(type), "?") != 0);
	for (size_t i = 0; i < N_FAMILIES; i++)
		if (mine(&FAMILIES[i]))
			one(&FAMILIES[i], in);
	return 0;
}
