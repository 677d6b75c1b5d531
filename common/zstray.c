/* SPDX-License-Identifier: Apache-2.0
 *
 * Strays by descriptor (zstray.h).  A descriptor may be another connection's by the time that a frame is
 * read: after a cut its number is left alone until what waited has been read.
 */
#include "common/zstray.h"

#include <stdlib.h>
#include <string.h>

#define STRAYS_MAX 16 /* as many topics as one XSUB of ours can have */
#define SETTLE_MS 100

struct zstray {
	unsigned n, n_refused;
	uint64_t refused[STRAYS_MAX]; /* topics: ours are said again with every heartbeat */
	struct buf half;              /* a frame upstream whose end has not come */
	uint64_t left_alone;          /* until then (ms) */
};

static struct zstray *of(struct zstrays *s, int fd)
{
	size_t i = (size_t)fd, cap = s->cap;

	if (i >= cap) {
		cap = i < 64 ? 64 : 2 * i;
		s->v = mem_grow(s->v, cap * sizeof(*s->v));
		memset(s->v + s->cap, 0, (cap - s->cap) * sizeof(*s->v));
		s->cap = cap;
	}
	if (!s->v[i])
		s->v[i] = mem_new(sizeof(*s->v[i]));
	return s->v[i];
}

/* One more that is too much. */
static bool count(struct zstray *t, bool at_once, uint64_t now)
{
	if (!at_once && ++t->n < STRAYS_MAX)
		return false;
	buf_free(&t->half);
	*t = (struct zstray){ .left_alone = now + SETTLE_MS };
	return true;
}

bool zstray_topic(struct zstrays *s, int fd, uint64_t topic, uint64_t now)
{
	struct zstray *t = of(s, fd);

	if (now < t->left_alone)
		return false;
	for (unsigned i = 0; i < t->n_refused; i++)
		if (t->refused[i] == topic)
			return false;
	if (t->n_refused < STRAYS_MAX)
		t->refused[t->n_refused++] = topic;
	return count(t, false, now);
}

bool zstray_upstream(struct zstrays *s, int fd, bool end, struct slice bytes, uint64_t now)
{
	struct zstray *t = of(s, fd);
	bool fits = end == (t->half.n > 0) && (!end || slice_eq(buf_slice(&t->half), bytes));

	if (now < t->left_alone)
		return false;
	buf_reset(&t->half);
	if (!end)
		buf_add(&t->half, bytes.p, bytes.n);
	return !fits && count(t, false, now);
}

bool zstray_other(struct zstrays *s, int fd, bool at_once, uint64_t now)
{
	struct zstray *t = of(s, fd);

	return now >= t->left_alone && count(t, at_once, now);
}

void zstrays_fini(struct zstrays *s)
{
	for (size_t i = 0; i < s->cap; i++) {
		if (s->v[i])
			buf_free(&s->v[i]->half);
		free(s->v[i]);
	}
	free(s->v);
	*s = (struct zstrays){ .v = NULL };
}
