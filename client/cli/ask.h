/* SPDX-License-Identifier: Apache-2.0
 *
 * What complete, chat, embed and image have in common: options, the text, the
 * client, output and the receipt file.
 */
#ifndef SEALWAY_CLIENT_CLI_ASK_H
#define SEALWAY_CLIENT_CLI_ASK_H

#include <stdio.h>

#include "client/cli/args.h"
#include "client/sealway.h"
#include "common/mem.h"

struct ask {
	/* options */
	const char *url, *token, *model, *ca_file, *known_nodes, *node_key, *receipt;
	uint64_t timeout_s;
	bool stream, json, show_wire, allow_foreign, quiet;
	/* while running */
	struct buf text;       /* what was asked, secret */
	const char *complaint; /* why an object could not be shown, static; NULL: fine */
	struct wire_count {
		size_t sent, got, objects;
	} wire;
};

/* Shows one decrypted object.  False: ask->complaint says why not. */
typedef bool (*ask_show_fn)(struct ask *a, struct slice json, bool last, void *arg);

/* The options of struct ask, for a subcommand's table; streaming: with --stream. */
#define ASK_ARGS(a)                                                                                            \
	{                                                                                                      \
		"url", ARG_TEXT, &(a)->url, "URL", "the gateway (SEALWAY_URL; default http://127.0.0.1:8080)", \
		0,     0                                                                                       \
	},                                                                                                     \
		{ "token",                                                                                     \
		  ARG_TEXT,                                                                                    \
		  &(a)->token,                                                                                 \
		  "TOKEN",                                                                                     \
		  "bearer token (better: SEALWAY_TOKEN, others can see arguments)",                            \
		  0,                                                                                           \
		  0 },                                                                                         \
		{ "model",                                                                                     \
		  ARG_TEXT,                                                                                    \
		  &(a)->model,                                                                                 \
		  "NAME",                                                                                      \
		  "model (SEALWAY_MODEL; default: the first one listed)",                                      \
		  0,                                                                                           \
		  0 },                                                                                         \
		{ "json", ARG_FLAG, &(a)->json, NULL, "print the decrypted objects as they are, one per line", \
		  0,      0 },                                                                                 \
		{ "show-wire",                                                                                 \
		  ARG_FLAG,                                                                                    \
		  &(a)->show_wire,                                                                             \
		  NULL,                                                                                        \
		  "tell on stderr what went over the wire and what the gateway saw",                           \
		  0,                                                                                           \
		  0 },                                                                                         \
		{ "receipt",                                                                                   \
		  ARG_TEXT,                                                                                    \
		  &(a)->receipt,                                                                               \
		  "FILE",                                                                                      \
		  "keep the proof of the answer (see sealway receipt)",                                        \
		  0,                                                                                           \
		  0 },                                                                                         \
		{ "known-nodes",                                                                               \
		  ARG_TEXT,                                                                                    \
		  &(a)->known_nodes,                                                                           \
		  "FILE",                                                                                      \
		  "pinned node keys (SEALWAY_KNOWN_NODES; default ~/.config/sealway/known_nodes)",             \
		  0,                                                                                           \
		  0 },                                                                                         \
		{ "node-key",                                                                                  \
		  ARG_TEXT,                                                                                    \
		  &(a)->node_key,                                                                              \
		  "KEY",                                                                                       \
		  "accept only the node with this signing key (base64)",                                       \
		  0,                                                                                           \
		  0 },                                                                                         \
		{ "allow-foreign",                                                                             \
		  ARG_FLAG,                                                                                    \
		  &(a)->allow_foreign,                                                                         \
		  NULL,                                                                                        \
		  "accept nodes that prove nothing: the gateway could be one, and read all",                   \
		  0,                                                                                           \
		  0 },                                                                                         \
		{ "ca-file", ARG_TEXT, &(a)->ca_file, "FILE", "certificates to trust instead of the system's", \
		  0,         0 },                                                                              \
		{ "timeout",                                                                                   \
		  ARG_U64,                                                                                     \
		  &(a)->timeout_s,                                                                             \
		  "SECONDS",                                                                                   \
		  "for all of it, with what is tried again (default 3600)",                                    \
		  1,                                                                                           \
		  86400 },                                                                                     \
	{                                                                                                      \
		"quiet", ARG_FLAG, &(a)->quiet, NULL, "no notes and no summary on stderr", 0, 0                \
	}

/* Said in every --help of these commands. */
#define ASK_TRUST                                                                                            \
	"The request is encrypted to a node's key, and the answer is decrypted and verified,\n"              \
	"here: the gateway sees ciphertext.  A node's signing key is pinned at first use.\n"                 \
	"Until attestation is verified end to end, this first use trusts the operator of the\n"              \
	"gateway; --node-key takes a key that you have from elsewhere.\n\n"                                  \
	"exit status: 0 the whole answer came and every check passed; 1 it did not; 2 usage"

/* Defaults from the environment. */
void ask_init(struct ask *a);

/* The text: the operand, or all of stdin for "-".  False: said on stderr. */
bool ask_text(struct ask *a, const char *operand);

/* Sends json as the request and shows each object; then the receipt file and
 * the summary.  Returns the exit status; everything is said on stderr. */
int ask_run(struct ask *a, enum sealway_kind kind, struct slice json, uint64_t units, ask_show_fn show,
	    void *arg);

/* Frees (and wipes) what a holds. */
void ask_fini(struct ask *a);

/* Units to lock for a text answer: 0 (the model's default) while that surely
 * covers it, else an upper bound of prompt and answer. */
uint64_t ask_units(const struct ask *a, uint64_t max_tokens);

/* Writes text to stdout at once; control characters become '?' on a terminal.
 * False when stdout is gone. */
bool ask_print(struct slice text);

#endif
