/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions that the broker answers from its memory: models, attestation
 * (PROTOCOL section 1).
 */
#include "gateway/serve.h"

#include <string.h>

#include "proto/query.h"

static void ask(struct call *c, struct query *m)
{
	struct buf head = { .p = NULL };

	memcpy(m->rid, c->rid, RID_BYTES);
	query_encode(m, &head);
	serve_send(c, PENDING_QUERY, &head, NULL);
}

void serve_models(struct call *c)
{
	struct query m = { .kind = QUERY_MODELS, .has_token = true };

	if (call_check_token(c, m.token_hash) != ERR_OK)
		call_refuse(c, ERR_AUTH, NULL);
	else
		ask(c, &m);
}

void serve_open_router(struct call *c)
{
	struct query m = { .kind = QUERY_OPEN_ROUTER };

	ask(c, &m);
}

void serve_attestation(struct call *c)
{
	struct query m = { .kind = QUERY_ATTESTATION, .number = c->route.node };

	ask(c, &m);
}
