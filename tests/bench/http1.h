/* SPDX-License-Identifier: Apache-2.0
 *
 * picohttpparser as libh2o exports it (without a header in Debian): what the
 * bench node and the load generator read HTTP/1 with.
 */
#ifndef SEALWAY_BENCH_HTTP1_H
#define SEALWAY_BENCH_HTTP1_H

#include <stddef.h>
#include <strings.h>

struct phr_header {
	const char *name;
	size_t name_len;
	const char *value;
	size_t value_len;
};

struct phr_chunked_decoder {
	size_t bytes_left_in_chunk;
	char consume_trailer;
	char _hex_count;
	char _state;
};

/* Bytes of the head, -2 when more are needed, -1 when it is no HTTP. */
int phr_parse_request(const char *buf, size_t len, const char **method, size_t *method_len, const char **path,
		      size_t *path_len, int *minor_version, struct phr_header *headers, size_t *num_headers,
		      size_t last_len);
int phr_parse_response(const char *buf, size_t len, int *minor_version, int *status, const char **msg,
		       size_t *msg_len, struct phr_header *headers, size_t *num_headers, size_t last_len);

/* Takes the framing out of buf in place; *bufsz is the length before and after.
 * -2 when more is to come, -1 when it is wrong, else bytes left behind the end. */
ssize_t phr_decode_chunked(struct phr_chunked_decoder *decoder, char *buf, size_t *bufsz);

#define HTTP_HEADERS 64

/* The value of a header, or NULL. */
static inline const struct phr_header *http_header(const struct phr_header *h, size_t n, const char *name,
						   size_t len)
{
	for (size_t i = 0; i < n; i++) {
		if (h[i].name_len == len && strncasecmp(h[i].name, name, len) == 0)
			return &h[i];
	}
	return NULL;
}

#define HTTP_HEADER(h, n, literal) http_header(h, n, literal, sizeof(literal) - 1)

#endif
