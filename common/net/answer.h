/* SPDX-License-Identifier: Apache-2.0
 *
 * Parser of HTTP/1.1 responses (RFC 9112), fed piece by piece.  Stricter than the
 * RFC asks: lines end with CRLF, one Content-Length or "chunked" alone, never
 * both, no folded lines, nothing but what is printable in a header.  It knows
 * nothing of sockets.
 */
#ifndef SEALWAY_COMMON_NET_ANSWER_H
#define SEALWAY_COMMON_NET_ANSWER_H

#include "common/mem.h"

#define ANSWER_HEAD_MAX 16384 /* bytes of status lines and headers, interim answers included */
#define ANSWER_TRAILER_MAX 8192
#define ANSWER_SIZE_LINE_MAX 256 /* a chunk's size with its extensions */
#define ANSWER_INTERIM_MAX 8
#define ANSWER_TYPE_MAX 96 /* with its NUL; longer ones are cut */

enum answer_step {
	ANSWER_MORE, /* the input is used up */
	ANSWER_HEAD, /* status and type are known; once, never for an interim answer */
	ANSWER_DATA, /* *data is a piece of the body, inside the input */
	ANSWER_END,  /* the body ended as its head said; what is left of the input is not ours */
	ANSWER_BAD,  /* not HTTP, or over a limit; the only step from now on */
};

/* One response.  All zero but head_asked is its start. */
struct answer {
	bool head_asked;            /* by HEAD: no body follows */
	bool bounded;               /* the end of the body is marked */
	bool keep;                  /* the connection may carry another exchange */
	int status;                 /* 200 to 599 from ANSWER_HEAD on */
	char type[ANSWER_TYPE_MAX]; /* media type without parameters, lower case; "" if none */
	/* its own */
	unsigned char state, minor, interim;
	bool sized, chunked, line_used;
	size_t lines;    /* bytes of lines so far */
	uint64_t left;   /* of the body, or of the chunk */
	struct buf line; /* one that came in pieces */
};

/* The next step; takes what it used off *in. */
enum answer_step answer_next(struct answer *a, struct slice *in, struct slice *data);

/* Whether s may stand in a line of a head: no control characters but TAB. */
bool answer_printable(struct slice s);

/* Frees what a holds.  Not a itself. */
void answer_free(struct answer *a);

#endif
