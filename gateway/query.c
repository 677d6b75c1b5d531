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

static void ask_as_user(struct call *c, struct query *m)
{
	m->has_token = true;
	if (call_check_token(c, m->token_hash) != ERR_OK)
		call_refuse(c, ERR_AUTH, NULL);
	else
		ask(c, m);
}

void serve_models(struct call *c)
{
	struct query m = { .kind = QUERY_MODELS };

	ask_as_user(c, &m);
}

void serve_model(struct call *c)
{
	uint8_t name[MODEL_BYTES_MAX];
	struct query m = { .kind = QUERY_MODEL };

	m.model = slice_of(name, route_model(c->route.model, name));
	ask_as_user(c, &m);
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
