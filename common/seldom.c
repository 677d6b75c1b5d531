/* SPDX-License-Identifier: Apache-2.0
 *
 * How often a line is written (seldom.h).
 */
#include "common/seldom.h"

#define WINDOW_MS 10000

bool seldom(struct seldom *s, unsigned most, uint64_t now, uint64_t *times)
{
	if (now >= s->until) {
		s->until = now + WINDOW_MS;
		s->said = 0;
	}
	s->held++;
	if (s->said >= most)
		return false;
	s->said++;
	*times = s->held;
	s->held = 0;
	return true;
}
