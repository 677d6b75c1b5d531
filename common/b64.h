/* SPDX-License-Identifier: Apache-2.0
 *
 * Base64 by RFC 4648 section 4, strict and canonical: padding required, no
 * white space, no URL alphabet, no stray bits.
 */
#ifndef SEALWAY_COMMON_B64_H
#define SEALWAY_COMMON_B64_H

#include <stddef.h>
#include <stdint.h>

#include "common/err.h"
#include "common/mem.h"

/* Characters that encode n bytes, padding included. */
#define B64_LEN(n) (((n) + 2) / 3 * 4)

/* Checks text and gives the number of bytes it stands for in *bytes (may be
 * NULL).  ERR_FORMAT otherwise.  Looks at every character. */
enum err b64_check(struct slice text, size_t *bytes) MUST_USE;

/* Decodes exactly n bytes into out; any other length or a bad character is
 * ERR_FORMAT and leaves out as it was. */
enum err b64_decode_exact(struct slice text, void *out, size_t n) MUST_USE;

/* Appends the decoded bytes; at most max bytes, else ERR_LIMIT. */
enum err b64_decode(struct slice text, size_t max, struct buf *out) MUST_USE;

/* Appends the encoding of data. */
void b64_encode(struct buf *out, struct slice data);

/* Writes B64_LEN(n) characters to out, no NUL. */
void b64_put(char *out, const void *data, size_t n);

/* Lowercase hex of n bytes, 2n characters and a NUL. */
void hex_put(char *out, const void *data, size_t n);

/* Exactly n bytes from 2n hex digits, lowercase only; ERR_FORMAT otherwise. */
enum err hex_decode_exact(struct slice text, void *out, size_t n) MUST_USE;

#endif
