/* SPDX-License-Identifier: Apache-2.0
 *
 * What the files of the registry share.
 */
#ifndef SEALWAY_BROKER_NODE_PRIV_H
#define SEALWAY_BROKER_NODE_PRIV_H

#include "broker/node.h"
#include "common/map.h"

struct registry {
	struct map *nodes;       /* id */
	struct map *node_keys;   /* signing key */
	struct map *models;      /* id */
	struct map *model_names; /* H(name) */
};

/* Takes an offer out of the index, or from where it was set aside. */
void index_remove(struct model *m, struct sub *s);

/* Puts an active offer in its place. */
void index_insert(struct model *m, struct sub *s);

#endif
