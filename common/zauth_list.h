/* SPDX-License-Identifier: Apache-2.0
 *
 * Allow-lists: which key may connect, in which roles.  A file of one has lines
 * "role base64-key name"; the name may be missing, # begins a comment.  The
 * broker lets in who is listed (zauth.h); `sealway keys` writes the file.
 */
#ifndef SEALWAY_COMMON_ZAUTH_LIST_H
#define SEALWAY_COMMON_ZAUTH_LIST_H

#include <stdint.h>

#include "common/err.h"

#define ZAUTH_LINE_BYTES 512 /* a line of a file, its end and a NUL included */

enum zauth_role { ZAUTH_NONE, ZAUTH_GATEWAY = 1, ZAUTH_WORKER = 2, ZAUTH_BROKER = 4 };

/* The words of a line, inside it; NULL for those that are missing, of an empty line all. */
struct zauth_line {
	const char *role, *key, *name;
	enum zauth_role as; /* what role says */
	uint8_t key_bytes[32];
};

/* Cuts line into its words.  What is wrong with it, for people, or NULL when the line is good. */
const char *zauth_line_read(char *line, struct zauth_line *out);

struct zauth_list;

/* An empty one. */
struct zauth_list *zauth_list_new(void);

/* Frees it; NULL is fine. */
void zauth_list_free(struct zauth_list *l);

/* Allows key in a role (roles add up).  At most 4096 keys: ERR_LIMIT. */
enum err zauth_list_add(struct zauth_list *l, const uint8_t key[32], enum zauth_role role) MUST_USE;

/* Takes a key off. */
void zauth_list_remove(struct zauth_list *l, const uint8_t key[32]);

/* The roles of a key, ZAUTH_NONE when it is not on the list. */
unsigned zauth_list_roles(const struct zauth_list *l, const uint8_t key[32]);

struct zauth_fault {
	const char *why; /* for people */
	unsigned line;   /* 0: of the file as a whole */
};

/* Adds what a file lists.  ERR_IO when there is no reading it, ERR_CONFIG when one of its lines is wrong;
 * then *fault says what is wrong, and part of the file may have been added. */
enum err zauth_list_read(struct zauth_list *l, const char *path, struct zauth_fault *fault) MUST_USE;

#endif
