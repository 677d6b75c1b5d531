/* SPDX-License-Identifier: Apache-2.0
 *
 * The file `peers`: who may connect to the broker (common/zauth.h).
 */
#ifndef SEALWAY_CLIENT_CLI_PEERS_H
#define SEALWAY_CLIENT_CLI_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Puts key into DIR/peers as role under name; the file is made when it is not
 * there.  False, said on stderr: the name is on the list already, or the file
 * cannot be written. */
bool peers_add(const char *dir, const char *role, const char *name, const uint8_t key[32]);

/* Takes out every line of that name, or with that key in base64.  The number of lines, -1 with the reason
 * said on stderr. */
int peers_remove(const char *dir, const char *name);

/* Whether the broker takes the list; it takes none of one with a mistake.  False, said on stderr with the
 * line: it does not, or there is no reading it. */
bool peers_taken(const char *dir);

/* The roles of key on the list, separated by commas, into out; "" for none. */
void peers_roles(const char *dir, const uint8_t key[32], char *out, size_t n);

#endif
