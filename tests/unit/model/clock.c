/* SPDX-License-Identifier: Apache-2.0
 *
 * The clock that libuv asks is this file's clock_gettime (clock.h): a program's own comes before the C
 * library's.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* syscall */
#endif
#include "tests/unit/model/clock.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)
#define ROUNDS_MS 1500
#define ROUNDS_LONG_MS 120000

#define BEGINNING (1000 * NS_PER_S)

static uint64_t now_ns = BEGINNING;
static uint64_t state = 1;

int clock_gettime(clockid_t id, struct timespec *ts)
{
	if (id != CLOCK_MONOTONIC && id != CLOCK_MONOTONIC_COARSE)
		return (int)syscall(SYS_clock_gettime, id, ts);
	ts->tv_sec = (time_t)(now_ns / NS_PER_S);
	ts->tv_nsec = (long)(now_ns % NS_PER_S);
	return 0;
}

void model_pass(uint64_t ms)
{
	now_ns += ms * NS_PER_MS;
}

uint64_t model_real_ms(void)
{
	struct timespec ts;

	syscall(SYS_clock_gettime, CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / NS_PER_MS;
}

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
	now_ns = BEGINNING;
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
	const char *given = getenv("SEALWAY_SEED");
	unsigned first = given ? (unsigned)strtoul(given, NULL, 10) : 1, rounds = 0;
	uint64_t end = model_real_ms() + (getenv("SEALWAY_LONG") ? ROUNDS_LONG_MS : ROUNDS_MS);

	while (rounds < least || model_real_ms() < end) {
		seed = first + rounds++;
		model_seed(seed);
		round();
	}
	return rounds;
}
