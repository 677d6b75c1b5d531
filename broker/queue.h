/* SPDX-License-Identifier: Apache-2.0
 *
 * Jobs that wait for a worker: first in first out for each user, users in turn,
 * so that one user's flood delays only that user.
 */
#ifndef SEALWAY_BROKER_QUEUE_H
#define SEALWAY_BROKER_QUEUE_H

#include "broker/task.h"

struct queue;

/* An empty queue. */
struct queue *queue_new(void);

/* Frees the queue, not the jobs; NULL is fine. */
void queue_free(struct queue *q);

/* Puts j behind its user's others. */
void queue_add(struct queue *q, struct task *j);

/* Takes j out; fine when it is not in. */
void queue_remove(struct queue *q, struct task *j);

/* How many wait. */
unsigned queue_count(const struct queue *q);

/* The head of the user whose turn it is (NULL when empty); the turn passes on
 * with every call. */
struct task *queue_turn(struct queue *q);

/* How many users have something waiting: turns until the first comes again. */
unsigned queue_users(const struct queue *q);

#endif
