/* SPDX-License-Identifier: Apache-2.0
 *
 * A ring of lanes, one per user with waiting jobs (queue.h).
 */
#include "broker/queue.h"

#include <stdlib.h>

struct lane {
	uint64_t user;
	struct task *head, *tail;
	struct lane *next, *prev; /* ring */
};

struct queue {
	struct map *lanes; /* user id */
	struct lane *turn;
	unsigned n;
};

struct queue *queue_new(void)
{
	struct queue *q = mem_new(sizeof(*q));

	q->lanes = map_new(sizeof(uint64_t));
	return q;
}

void queue_free(struct queue *q)
{
	size_t pos = 0;
	void *lane;

	if (!q)
		return;
	while ((lane = map_next(q->lanes, &pos)) != NULL)
		free(lane);
	map_free(q->lanes);
	free(q);
}

/* A lane for the user, last in turn when new. */
static struct lane *lane_of(struct queue *q, uint64_t user)
{
	struct lane *lane = map_get(q->lanes, &user);

	if (lane)
		return lane;
	lane = mem_new(sizeof(*lane));
	lane->user = user;
	lane->next = lane->prev = lane;
	if (q->turn) {
		lane->next = q->turn;
		lane->prev = q->turn->prev;
		lane->prev->next = lane;
		lane->next->prev = lane;
	} else {
		q->turn = lane;
	}
	map_put(q->lanes, &lane->user, lane);
	return lane;
}

static void lane_drop(struct queue *q, struct lane *lane)
{
	if (q->turn == lane)
		q->turn = lane->next == lane ? NULL : lane->next;
	lane->prev->next = lane->next;
	lane->next->prev = lane->prev;
	map_del(q->lanes, &lane->user);
	free(lane);
}

void queue_add(struct queue *q, struct task *j)
{
	struct lane *lane = lane_of(q, j->user->id);

	j->next_of_user = NULL;
	j->prev_of_user = lane->tail;
	if (lane->tail)
		lane->tail->next_of_user = j;
	else
		lane->head = j;
	lane->tail = j;
	j->in_queue = true;
	q->n++;
}

void queue_remove(struct queue *q, struct task *j)
{
	struct lane *lane;

	if (!j->in_queue)
		return;
	lane = lane_of(q, j->user->id);
	if (j->prev_of_user)
		j->prev_of_user->next_of_user = j->next_of_user;
	else
		lane->head = j->next_of_user;
	if (j->next_of_user)
		j->next_of_user->prev_of_user = j->prev_of_user;
	else
		lane->tail = j->prev_of_user;
	j->in_queue = false;
	q->n--;
	if (!lane->head)
		lane_drop(q, lane);
}

unsigned queue_count(const struct queue *q)
{
	return q->n;
}

struct task *queue_turn(struct queue *q)
{
	struct lane *lane = q->turn;

	if (!lane)
		return NULL;
	q->turn = lane->next;
	return lane->head;
}

unsigned queue_users(const struct queue *q)
{
	return (unsigned)map_count(q->lanes);
}
