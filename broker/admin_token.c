/* SPDX-License-Identifier: Apache-2.0
 *
 * token.create {user, name} -> the token, the only time it is shown;
 * token.list {user?}; token.revoke {user, name}.
 */
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "broker/admin.h"
#include "common/hash.h"
#include "common/log.h"

#define TOKEN_PREFIX "sk-sealway-"
#define TOKEN_RANDOM 32
#define TOKEN_BYTES (sizeof(TOKEN_PREFIX) - 1 + 43)

static void make_token(char out[TOKEN_BYTES + 1])
{
	uint8_t secret[TOKEN_RANDOM];

	randombytes_buf(secret, sizeof(secret));
	memcpy(out, TOKEN_PREFIX, sizeof(TOKEN_PREFIX) - 1);
	sodium_bin2base64(out + sizeof(TOKEN_PREFIX) - 1, 44, secret, sizeof(secret),
			  sodium_base64_VARIANT_URLSAFE_NO_PADDING);
	mem_wipe(secret, sizeof(secret));
}

void admin_token_create(struct admin_call *c, const json_t *args)
{
	struct broker *b = admin_broker(c);
	struct slice name = slice_str(arg_text(args, "name"));
	struct user *u = arg_user(c, args);
	uint8_t digest[HASH_BYTES];
	char token[TOKEN_BYTES + 1];
	struct store_op *op;
	enum err e;

	if (!u)
		return;
	make_token(token);
	hash(digest, slice_str(token));
	e = ledger_token_add(b->ledger, u, digest, name, token + TOKEN_BYTES - 4, broker_now(), &op);
	if (e == ERR_OK) {
		log_info("token_created", L_U("user", u->id));
		admin_commit(c, op,
			     json_pack("{s:s, s:s#, s:s}", "user", u->name, "name", name.p, name.n, "token",
				       token));
	} else if (e == ERR_EXISTS) {
		admin_fail(c, ERR_EXISTS, "the user has a token of that name");
	} else {
		admin_fail(c, ERR_BODY, "name: 1 to %d letters, digits and ._-@+", NAME_BYTES_MAX);
	}
	mem_wipe(token, sizeof(token));
}

void admin_token_list(struct admin_call *c, const json_t *args)
{
	const struct broker *b = admin_broker(c);
	struct user *only;
	json_t *list;
	const struct token *t;
	size_t pos = 0;

	if (!arg_user_if(c, args, &only))
		return;
	list = json_array();
	while ((t = ledger_next_token(b->ledger, &pos)) != NULL) {
		if (only && t->user != only)
			continue;
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:I, s:I, s:b}", "user", t->user->name,
						      "name", t->name, "last4", t->last4, "created",
						      (json_int_t)t->created, "last_used",
						      (json_int_t)t->last_used, "revoked", t->revoked != 0));
	}
	admin_ok(c, json_pack("{s:o}", "tokens", list));
}

void admin_token_revoke(struct admin_call *c, const json_t *args)
{
	struct broker *b = admin_broker(c);
	struct slice name = slice_str(arg_text(args, "name"));
	struct user *u = arg_user(c, args);
	struct token *t;

	if (!u)
		return;
	t = ledger_token_named(b->ledger, u, name);
	if (!t) {
		admin_fail(c, ERR_NOT_FOUND, "the user has no token of that name");
		return;
	}
	log_info("token_revoked", L_U("user", u->id));
	admin_commit(c, ledger_token_revoke(b->ledger, t, broker_now()),
		     json_pack("{s:s, s:s}", "user", u->name, "name", t->name));
}
