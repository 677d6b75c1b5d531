/* SPDX-License-Identifier: Apache-2.0
 *
 * The fixed layouts: what decodes encodes to the same bytes, and within the
 * limits that the decoders promise.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/receipt.h"

#define MUST(cond)                                                                                           \
	do {                                                                                                 \
		if (!(cond))                                                                                 \
			abort();                                                                             \
	} while (0)

static void receipt(struct slice bytes)
{
	uint8_t again[RECEIPT_BYTES];
	struct receipt m;

	if (receipt_decode(bytes, &m) != ERR_OK)
		return;
	MUST(m.outcome <= 1 && m.endpoint >= 1 && m.endpoint <= 4);
	MUST(m.stack <= ID_MAX && m.prompt <= ID_MAX && m.completion <= ID_MAX && m.unix_s <= ID_MAX);
	receipt_encode(&m, again);
	MUST(slice_eq(bytes, slice_of(again, sizeof(again))));
}

static void statement(struct slice bytes)
{
	uint8_t again[STATEMENT_BYTES];
	struct statement m;

	if (statement_decode(bytes, &m) != ERR_OK)
		return;
	MUST(m.node <= ID_MAX && m.counter <= ID_MAX && m.not_before <= m.not_after && m.not_after <= ID_MAX);
	statement_encode(&m, again);
	MUST(slice_eq(bytes, slice_of(again, sizeof(again))));
}

static void authz(struct slice bytes)
{
	uint8_t again[AUTH_BYTES];
	struct authz m;

	if (authz_decode(bytes, &m) != ERR_OK)
		return;
	MUST(m.node <= ID_MAX && m.stack <= ID_MAX && m.units <= ID_MAX && m.not_after <= ID_MAX);
	authz_encode(&m, again);
	MUST(slice_eq(bytes, slice_of(again, sizeof(again))));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	receipt(slice_of(data, n));
	statement(slice_of(data, n));
	authz(slice_of(data, n));
	return 0;
}
