/* SPDX-License-Identifier: Apache-2.0
 *
 * The choice of pick.h, row by row.
 */
#include "broker/pick.h"

uint64_t pick_units(const struct pick_ask *ask, const struct pick_row *row)
{
	return ask->has_units ? ask->units : row->lock_units;
}

static bool better(const struct pick_ask *ask, const struct pick_row *a, const struct pick_row *b)
{
	bool room_a = a->room >= pick_units(ask, a);
	bool room_b = b->room >= pick_units(ask, b);

	if (room_a != room_b)
		return room_a;
	if (a->price != b->price)
		return a->price < b->price;
	return a->outstanding < b->outstanding;
}

/* ERR_OK when row can take the work. */
static enum err fit(const struct pick_ask *ask, const struct pick_row *row)
{
	if (!row->ready)
		return ERR_NO_NODE;
	if (row->max_units && pick_units(ask, row) > row->max_units)
		return ERR_RANGE;
	if (row->max_concurrent && row->running >= row->max_concurrent)
		return ERR_RATE;
	return ERR_OK;
}

/* What to say when nothing fits: the refusal that is nearest to success. */
static enum err nearer(enum err a, enum err b)
{
	if (a == ERR_RATE || b == ERR_RATE)
		return ERR_RATE;
	return a == ERR_RANGE || b == ERR_RANGE ? ERR_RANGE : ERR_NO_NODE;
}

enum err pick(const struct pick_ask *ask, const struct pick_row *rows, size_t n, size_t *best)
{
	enum err why = ERR_NO_NODE, e;
	const struct pick_row *found = NULL;

	for (size_t i = 0; i < n && i < PICK_LOOK_MAX; i++) {
		e = fit(ask, &rows[i]);
		if (e != ERR_OK)
			why = nearer(why, e);
		else if (!found || better(ask, &rows[i], found))
			found = &rows[i];
	}
	if (!found)
		return why;
	*best = (size_t)(found - rows);
	return ERR_OK;
}
