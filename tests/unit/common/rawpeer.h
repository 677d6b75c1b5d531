/* SPDX-License-Identifier: Apache-2.0
 *
 * A peer that speaks ZMTP 3.1 (without CURVE) by hand, over tcp, and so can say what libzmq never would.
 */
#ifndef SEALWAY_TESTS_RAWPEER_H
#define SEALWAY_TESTS_RAWPEER_H

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/mem.h"

#define RAW_MORE 1u
#define RAW_LONG 2u
#define RAW_COMMAND 4u

/* All of b, to a peer that may have closed. */
static inline bool raw_write(int fd, const void *b, size_t n)
{
	return send(fd, b, n, MSG_NOSIGNAL) == (ssize_t)n;
}

/* One frame of at most 255 bytes. */
static inline bool raw_frame(int fd, uint8_t flags, struct slice s)
{
	uint8_t b[257] = { flags, (uint8_t)s.n };

	if (s.n > 0)
		memcpy(b + 2, s.p, s.n);
	return raw_write(fd, b, 2 + s.n);
}

/* The head of a frame of n bytes. */
static inline bool raw_head(int fd, uint8_t flags, uint64_t n)
{
	uint8_t b[9] = { flags | RAW_LONG };

	put_be64(b + 1, n);
	return raw_write(fd, b, sizeof(b));
}

static inline size_t raw_property(uint8_t *to, const char *name, struct slice value)
{
	size_t n = strlen(name);

	to[0] = (uint8_t)n;
	memcpy(to + 1, name, n);
	put_be32(to + 1 + n, (uint32_t)value.n);
	if (value.n > 0)
		memcpy(to + 5 + n, value.p, value.n);
	return 5 + n + value.n;
}

static inline void raw_read(int fd, uint8_t *b, size_t n)
{
	BUG_ON(recv(fd, b, n, MSG_WAITALL) != (ssize_t)n);
}

/* A connection to endpoint ("tcp://127.0.0.1:port") that has said its greeting. */
static inline int raw_greet(const char *endpoint)
{
	static const uint8_t greeting[64] = { 0xff, [9] = 0x7f, 3, 1, 'N', 'U', 'L', 'L' };
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	to.sin_port = htons((uint16_t)strtoul(strrchr(endpoint, ':') + 1, NULL, 10));
	BUG_ON(fd < 0 || connect(fd, (const struct sockaddr *)&to, sizeof(to)) != 0);
	BUG_ON(!raw_write(fd, greeting, sizeof(greeting)));
	return fd;
}

/* The same as a socket of that type with that routing id, after the handshake. */
static inline int raw_connect(const char *endpoint, const char *type, struct slice id)
{
	uint8_t greeting[64], ready[250] = "\x05READY";
	int fd = raw_greet(endpoint);
	size_t n = 6;

	n += raw_property(ready + n, "Socket-Type", slice_str(type));
	n += raw_property(ready + n, "Identity", id);
	BUG_ON(!raw_frame(fd, RAW_COMMAND, slice_of(ready, n)));
	raw_read(fd, greeting, sizeof(greeting));
	raw_read(fd, ready, 2); /* a word before the other's READY would be an error */
	raw_read(fd, ready + 2, ready[1]);
	return fd;
}

/* Whether the other side has cut fd by now; what it has sent is read and thrown away. */
static inline bool raw_cut(int fd)
{
	uint8_t b[4096];
	ssize_t n;

	do
		n = recv(fd, b, sizeof(b), MSG_DONTWAIT);
	while (n > 0);
	return n == 0 || errno == ECONNRESET;
}

#endif
