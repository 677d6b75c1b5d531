/* SPDX-License-Identifier: Apache-2.0
 *
 * What a client reads from a hostile gateway or a damaged file: lock answers,
 * sealed objects, error bodies, stored receipts, decrypted answers.  The first
 * byte chooses.  Nothing may be accepted that is not signed, and no text for
 * people may hold control bytes.
 */
#include <stdlib.h>
#include <sodium.h>

#include "client/cli/text.h"
#include "client/open_response.h"
#include "client/refusal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_safe(const char *s)
{
	for (; *s; s++)
		if (*s < 0x20 || *s >= 0x7f)
			abort();
}

static void lock_answer(struct slice s)
{
	struct fault f = { 0 };
	struct node_lock l;

	if (lock_read(s, true, 1760000000, &l, &f) && l.own && l.signature[132])
		abort();
	check_safe(f.text);
}

/* Nobody knows the key, so nothing may open. */
static void sealed_object(struct slice s, bool own)
{
	struct sealed sealed = { .key = { 7 } };
	struct node_lock l = { .own = own };
	struct opener o = { .sealed = &sealed, .lock = &l, .kind = SEALWAY_CHAT, .model = "demo" };
	struct fault f = { 0 };
	struct buf plain = { .secret = true };

	randombytes_buf(sealed.key, sizeof(sealed.key));
	if (open_object(&o, s, &plain, &f) || plain.n || f.status == SEALWAY_OK)
		abort();
	buf_free(&plain);
	open_free(&o);
}

static void error_body(struct slice s)
{
	struct refusal r = { .status = 500 };
	struct fault f = { 0 };

	refusal_read(s, &r);
	refusal_tell(&r, "test", SEALWAY_REFUSED, &f);
	check_safe(f.text);
}

static void stored_receipt(struct slice s)
{
	struct sealway_receipt_info info;
	char why[256];

	if (!sealway_receipt_verify((const char *)s.p, s.n, NULL, &info, why, sizeof(why)) && !why[0])
		abort();
	check_safe(why);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct slice s = slice_of(data + 1, size ? size - 1 : 0);
	struct buf text = { 0 };

	if (!size)
		return 0;
	switch (data[0] % 6) {
	case 0:
		lock_answer(s);
		break;
	case 1:
	case 2:
		sealed_object(s, data[0] % 6 == 1);
		break;
	case 3:
		error_body(s);
		break;
	case 4:
		stored_receipt(s);
		break;
	case 5:
		text_of(s, &text);
		buf_free(&text);
		break;
	}
	return 0;
}
