/* SPDX-License-Identifier: Apache-2.0
 *
 * The subcommands of `sealway`.  Each takes its own argc/argv (argv[0] is the
 * subcommand's name) and returns the exit status: 0, 1 failed, 2 wrong usage.
 */
#ifndef SEALWAY_CLIENT_CLI_CLI_H
#define SEALWAY_CLIENT_CLI_CLI_H

#define COMMANDS(X) /* name, function, one line for the overview */                                          \
	X("complete", cmd_complete, "complete a text, sealed to a node")                                     \
	X("chat", cmd_chat, "answer a chat message, sealed to a node")                                       \
	X("embed", cmd_embed, "turn a text into a vector, sealed to a node")                                 \
	X("image", cmd_image, "paint a text, sealed to a node")                                              \
	X("receipt", cmd_receipt, "check a stored receipt without a network")                                \
	X("up", cmd_up, "run the whole service on this machine")                                             \
	X("keys", cmd_keys, "make and list keys of the processes")                                           \
	X("user", cmd_user, "operator: users and their balances")                                            \
	X("token", cmd_token, "operator: bearer tokens")                                                     \
	X("node", cmd_node, "operator: nodes")                                                               \
	X("model", cmd_model, "operator: models")                                                            \
	X("stack", cmd_stack, "operator: prepaid stacks")                                                    \
	X("request", cmd_request, "operator: requests, in flight and settled")                               \
	X("peer", cmd_peer, "operator: gateways and workers")                                                \
	X("usage", cmd_usage, "operator: what was billed")                                                   \
	X("ledger", cmd_ledger, "operator: prove, back up and export the ledger")                            \
	X("top", cmd_top, "operator: a live view of the broker")                                             \
	X("completion", cmd_completion, "print the completion of commands for bash")                         \
	X("status", cmd_status, "operator: the broker's state and its ledger check")

/* See COMMANDS: each reads its own arguments and says what went wrong on stderr. */
#define X(name, fn, line) int fn(int argc, char **argv);
COMMANDS(X)
#undef X

#endif
