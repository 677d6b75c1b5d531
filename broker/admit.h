/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of admission share: admit.c (sealed requests, and the way that
 * all go once they are checked), plain.c (plain ones).
 */
#ifndef SEALWAY_BROKER_ADMIT_H
#define SEALWAY_BROKER_ADMIT_H

#include "broker/choose.h"
#include "broker/task.h"

struct admission {
	struct token *token;
	struct stack *stack;
	struct node *node;
	struct sub *sub;
	struct model *model;
	struct lock *lock;
	uint64_t units;
	const char *param;
	uint32_t retry_after_s;
	struct quota quota;   /* what the user has left, for the answer */
	struct choice choice; /* plain requests */
};

/* Who asks (a->token, ERR_AUTH), and whether that user may ask once more now
 * (ERR_RATE; a->quota, a->retry_after_s): the first checks of every request. */
enum err admit_user(const struct broker *b, const struct job *m, struct admission *a) MUST_USE;

/* Checks a plain request and picks its node; changes nothing.  a->stack stays
 * NULL. */
enum err plain_check(const struct broker *b, const struct job *m, struct admission *a) MUST_USE;

/* After all other checks: its stack, bought if need be.  ERR_BALANCE. */
enum err plain_stack(struct broker *b, struct admission *a) MUST_USE;

/* Alarm of a task whose commit takes too long: its client is told. */
void task_too_late(void *arg, struct alarm *a);

#endif
