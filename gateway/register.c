/* SPDX-License-Identifier: Apache-2.0
 *
 * POST /v1/nodes (PROTOCOL section 8).  Authenticated by the node's signatures,
 * which the broker verifies; here only the shape is checked.
 */
#include "gateway/serve.h"

#include <string.h>

#include "gateway/api.h"

/* Evidence of 1 MiB is 1.34 MiB of base64.  Anybody may send one: scanning and
 * decoding it takes about 2 ms of the loop. */
#define REGISTER_BODY_MAX (2u << 20)

void serve_register(struct call *c)
{
	struct scan_fault fault = { NULL, NULL };
	struct buf head = { .p = NULL };
	struct api_register own = { .data = { .p = NULL } };
	struct registration_msg m;
	enum err e = call_check(c, REGISTER_BODY_MAX, NULL);

	if (e == ERR_OK)
		e = api_register(hreq_body(c->http), &m, &own, &fault);
	if (e != ERR_OK) {
		call_refuse(c, e, &(struct refusal){ .param = slice_str(fault.param), .what = fault.what });
	} else {
		memcpy(m.rid, c->rid, RID_BYTES);
		register_encode(&m, &head);
		serve_send(c, PENDING_REGISTER, &head, NULL);
	}
	api_register_free(&own);
}
