/* SPDX-License-Identifier: Apache-2.0
 *
 * POST /v1/nodes/lock (PROTOCOL section 6): the shape is checked here, the
 * node is picked and the units are reserved by the broker.
 */
#include "gateway/serve.h"

#include <string.h>

#include "gateway/api.h"

#define LOCK_BODY_MAX 65536 /* three short members; a scan of this takes some 10 us */

void serve_lock(struct call *c)
{
	struct buf model = { .p = NULL }, head = { .p = NULL };
	struct scan_fault fault = { NULL, NULL };
	struct lock_ask m;
	uint8_t token_hash[32];
	enum err e = call_check(c, LOCK_BODY_MAX, token_hash);

	if (e == ERR_OK)
		e = api_lock(hreq_body(c->http), &m, &model, &fault);
	if (e != ERR_OK) {
		call_refuse(c, e, &(struct refusal){ .param = slice_str(fault.param), .what = fault.what });
	} else {
		memcpy(m.rid, c->rid, RID_BYTES);
		memcpy(m.token_hash, token_hash, sizeof(m.token_hash));
		lock_ask_encode(&m, &head);
		serve_send(c, PENDING_LOCK, &head, NULL);
	}
	buf_free(&model);
}
