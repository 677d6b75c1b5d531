/* SPDX-License-Identifier: Apache-2.0
 *
 * Key files.  One key per file, base64 of 32 bytes and a newline; NAME.key is
 * secret (mode 0600, refused when group or others may read it), NAME.pub is
 * public.  Ed25519 secrets are the 32-byte seed.
 */
#ifndef SEALWAY_COMMON_KEYS_H
#define SEALWAY_COMMON_KEYS_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"

/* Reads a secret key file.  ERR_IO (errno), ERR_KEY for bad content or modes;
 * the log says which file and what to do. */
enum err key_load(const char *path, uint8_t key[32]) MUST_USE;

/* Whether the file at path is a secret key by its name (NAME.key), or by its mode beside a NAME.pub: its text
 * looks like a public one's, and would be given away as one. */
bool key_is_secret(const char *path);

/* Reads a public key file, same errors; ERR_KEY for a secret one, else no check of modes. */
enum err key_load_public(const char *path, uint8_t key[32]) MUST_USE;

/* Writes DIR/NAME.key (0600) and DIR/NAME.pub (0644), each by rename, durable.
 * ERR_EXISTS when NAME.key is there already: nothing is changed. */
enum err key_save_pair(const char *dir, const char *name, const uint8_t secret[32],
		       const uint8_t pub[32]) MUST_USE;

/* Makes a CURVE pair with key_save_pair. */
enum err key_new_curve(const char *dir, const char *name) MUST_USE;

/* Makes an Ed25519 pair with key_save_pair (secret = seed). */
enum err key_new_sign(const char *dir, const char *name) MUST_USE;

#endif
