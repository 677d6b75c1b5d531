/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/model/chance.h"

#include <sodium.h>
#include <stdio.h>

#include "tests/unit/clock.h"
#include "tests/unit/rounds.h"

#define ROUNDS_MS 1500

static uint64_t state = 1;

/* splitmix64 */
static uint64_t next(void)
{
	uint64_t z = state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

unsigned dice(unsigned n)
{
	return (unsigned)(next() % n);
}

static const char *sodium_name(void)
{
	return "model";
}

static uint32_t sodium_random(void)
{
	return (uint32_t)next();
}

static void sodium_buf(void *const buf, const size_t n)
{
	uint8_t *p = buf;

	for (size_t i = 0; i < n; i++)
		p[i] = (uint8_t)next();
}

void model_seed(uint64_t from)
{
	static struct randombytes_implementation ours = { .implementation_name = sodium_name,
							  .random = sodium_random,
							  .buf = sodium_buf };

	randombytes_set_implementation(&ours);
	state = from;
	clock_stop();
}

void model_spoil(struct buf *b)
{
	switch (b->n ? dice(5) : 0) {
	case 0: /* nothing of it is left */
		buf_reset(b);
		for (unsigned n = 1 + dice(40); n > 0; n--)
			buf_add(b, (const uint8_t[]){ (uint8_t)(0xa0 + dice(0x60)) }, 1);
		break;
	case 1:
		b->n = dice((unsigned)b->n);
		break;
	case 2: /* another version */
		if (b->n > 1)
			b->p[1] = (uint8_t)(2 + dice(100));
		break;
	case 3: /* a type that there is none of */
		if (b->n > 2)
			b->p[2] = (uint8_t)(40 + dice(80));
		break;
	default:
		for (unsigned n = 1 + dice(8); n > 0; n--)
			buf_add(b, (const uint8_t[]){ (uint8_t)dice(256) }, 1);
	}
}

static unsigned seed;

int model_say_seed(void **state_of_test)
{
	(void)state_of_test;
	printf("the last round was SEALWAY_SEED=%u\n", seed);
	return 0;
}

unsigned model_rounds(unsigned least, void (*round)(void))
{
	struct rounds r = rounds_begin(ROUNDS_MS);

	while (rounds_next(&r, least, &seed)) {
		model_seed(seed);
		round();
	}
	return r.n;
}
