/* SPDX-License-Identifier: Apache-2.0
 *
 * Registration of this node at its gateways, in the full form of PROTOCOL
 * section 8.
 */
#ifndef SEALWAY_NODE_REGISTER_H
#define SEALWAY_NODE_REGISTER_H

#include <uv.h>

#include "common/sign.h"
#include "node/keys.h"
#include "node/models.h"

struct registrar;

struct registrar_opts {
	uv_loop_t *uv;
	const char *gateways; /* URLs by spaces; "" none */
	const char *ca_file;
	const char *address; /* public address of this node; copied */
	const char *country;
	const char *evidence_file; /* "" none */
	uint64_t node;
	uint64_t interval_s, validity_s;
	const struct sign_key *sign; /* this and the following outlive the registrar */
	struct keys *keys;           /* told about acknowledgements */
	const struct models *models;
};

/* Starts registering at once, and again at each interval; what fails is
 * repeated sooner.  ERR_CONFIG (a bad URL, unreadable or too large evidence)
 * with a log line. */
enum err registrar_open(struct registrar **out, const struct registrar_opts *o) MUST_USE;

/* Registers at once (the key was rotated). */
void registrar_now(struct registrar *r);

/* Registers for the last time, with no model and for a moment only: locks go to other nodes from then on.
 * Calls done when every gateway that had heard of this node has answered or cannot, at the latest after some
 * seconds; not from inside the call. */
void registrar_withdraw(struct registrar *r, void (*done)(void *arg), void *arg);

/* The present key is known to at least one gateway (or there is none to tell). */
bool registrar_acknowledged(const struct registrar *r);

/* Ends; frees once libuv has closed the handles.  NULL is fine. */
void registrar_close(struct registrar *r);

#endif
