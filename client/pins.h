/* SPDX-License-Identifier: Apache-2.0
 *
 * Pinned node signing keys (PROTOCOL section 4.9), one per line:
 *
 *	https://gateway.example 7 jQFcgy3KwkOjjyJWTOWONpzs9Rc15zyUw8ABVteb7JU=
 *
 * origin of the gateway, node_small_id, base64 of the Ed25519 key.  Lines that
 * start with # are kept.  Written by rename, under a lock on the directory.
 */
#ifndef SEALWAY_CLIENT_PINS_H
#define SEALWAY_CLIENT_PINS_H

#include "client/fault.h"
#include "proto/limits.h"

enum pins_found {
	PINS_ERROR, /* f is set */
	PINS_NEW,   /* nothing was known of this node */
	PINS_SAME,  /* the key on record */
};

/* The default file: $XDG_CONFIG_HOME/sealway/known_nodes, else below
 * ~/.config.  Owned text; NULL when neither variable is set. */
char *pins_default_path(void);

/* The key on record for (origin, node).  PINS_NEW leaves key as it was. */
enum pins_found pins_look(const char *path, const char *origin, uint64_t node, uint8_t key[KEY_BYTES],
			  struct fault *f);

/* Compares key with the record, and records it when there is none.  Another
 * key on record is PINS_ERROR: SEALWAY_VERIFY with a text that says what to do. */
enum pins_found pins_check(const char *path, const char *origin, uint64_t node, const uint8_t key[KEY_BYTES],
			   struct fault *f);

#endif
