/* SPDX-License-Identifier: Apache-2.0
 *
 * The models that this node serves, and how many of their answers run.
 */
#ifndef SEALWAY_NODE_MODELS_H
#define SEALWAY_NODE_MODELS_H

#include <stdint.h>

#include "common/err.h"
#include "common/mem.h"
#include "proto/limits.h"

struct model {
	char *name;              /* 1..256 bytes, owned by models */
	uint64_t price;          /* micro-USD per million units */
	uint32_t max_concurrent; /* answers at a time */
	uint64_t max_units;      /* prompt and completion of one request */
	uint64_t lock_units;     /* default of a lock */
	uint32_t running;        /* answers under way now */
};

struct models {
	unsigned n;
	struct model of[MODELS_PER_NODE_MAX];
};

/* Reads "name=demo price=1000 max_concurrent=64 max_units=1048576
 * lock_units=8192; name=..." into *out (all zero before).  All but name may be
 * left out.  ERR_CONFIG with a log line that says what is wrong; call
 * models_free in any case. */
enum err models_parse(const char *text, struct models *out) MUST_USE;

/* Frees the names. */
void models_free(struct models *m);

/* The model of that name, or NULL. */
struct model *models_find(struct models *m, struct slice name);

#endif
