/* SPDX-License-Identifier: Apache-2.0
 *
 * The one failure of an exchange: its status and a sentence for people.  The
 * first failure is the one that is told; later ones are its consequences.
 */
#ifndef SEALWAY_CLIENT_FAULT_H
#define SEALWAY_CLIENT_FAULT_H

#include <stdbool.h>

#include "client/sealway.h"
#include "common/mem.h"

#define FAULT_TEXT 512

struct fault {
	enum sealway_status status; /* SEALWAY_OK: no failure yet */
	int http;                   /* status of a refusal, 0 otherwise */
	char text[FAULT_TEXT];
};

/* Records a failure unless there is one already.  Always false, so that a
 * check can end with `return fault(...)`. */
bool fault(struct fault *f, enum sealway_status status, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* The failure of an answer that this machine has no memory for. */
bool fault_memory(struct fault *f);

/* Copies bytes of a peer for showing: control bytes and anything beyond ASCII
 * become '?', at most n - 1 characters, NUL-terminated. */
void fault_safe(char *out, size_t n, struct slice bytes);

#endif
