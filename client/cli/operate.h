/* SPDX-License-Identifier: Apache-2.0
 *
 * The operator's commands that are one verb of the broker's admin socket each
 * (sealway user, token, node, model, stack, request, peer, usage).
 */
#ifndef SEALWAY_CLIENT_CLI_OPERATE_H
#define SEALWAY_CLIENT_CLI_OPERATE_H

#include "client/cli/admin.h"

/* Options of a verb beyond where the broker is; bits of struct verb.options. */
enum {
	OPT_USER = 1,
	OPT_MONEY = 2,
	OPT_PRICE = 4,
	OPT_NODE = 8,
	OPT_OFF = 16,
	OPT_LIMITS = 32,
	OPT_GRANT = 64
};

struct verb {
	const char *action;   /* second word of the command line */
	const char *verb;     /* towards the broker */
	const char *member;   /* array in the reply that is shown as a table, or NULL */
	const char *names[3]; /* operands: names of the arguments */
	const char *kinds;    /* "s" text or "n" number for each */
	unsigned options;
};

/* sealway node with anything but admit. */
int node_other(int argc, char **argv);

/* Runs a command with these verbs; the first one is the default when there are
 * no operands.  Returns the exit status. */
int operate(const struct command *c, const struct verb *verbs, size_t n, int argc, char **argv);

#endif
