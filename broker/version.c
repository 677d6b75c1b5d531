/* SPDX-License-Identifier: Apache-2.0
 *
 * Peers of another version (version.h).  The number of the version stands in front
 * of every version's messages.  A form that was changed without a new number shows
 * in a peer that says HELLO over and over: it could not read the WELCOME, else it
 * would say PING.
 */
#include "broker/version.h"

#include <string.h>

#include "broker/news.h"
#include "broker/router.h"
#include "common/log.h"
#include "common/no_answer.h"

void version_other(struct broker *b, struct zmsg *parts, struct slice msg)
{
	struct welcome w = { .epoch = b->epoch, .instance = b->instance };
	uint8_t key[KEY_BYTES] = { 0 };
	struct buf out = { 0 };

	welcome_encode(&w, &out);
	if (!router_answer(b, parts, &out))
		return;
	zmsg_peer_key(&parts[0], key);
	if (news(key, broker_ms(b)))
		log_warn("peer_other_version", L_U("its_messages", msg_version(msg)),
			 L_U("our_messages", PROTO_VERSION), L_S("our_version", SEALWAY_VERSION),
			 L_S("why", "a gateway's or worker's messages are of another version than ours"),
			 L_S("do", OTHER_VERSION_REMEDY));
}

bool version_foreign(const struct broker *b, struct party *p)
{
	uint8_t who[KEY_BYTES] = { 0 };

	if (p->foreign || broker_ms(b) - p->hello_ms <= SILENT_INTERVALS * b->conf.heartbeat_ms)
		return false;
	p->foreign = true;
	memcpy(who, &p->instance, sizeof(p->instance));
	if (news(who, broker_ms(b)))
		log_warn("peer_other_version", L_S("role", peers_role(p->role)), L_S("name", p->name),
			 L_S("version", p->version), L_S("our_version", SEALWAY_VERSION),
			 L_S("why", "it does not understand our WELCOME, and gets nothing to do"),
			 L_S("do", OTHER_VERSION_REMEDY));
	return true;
}
