/* SPDX-License-Identifier: Apache-2.0
 *
 * The head of a request, and a chunked body's own length.  Pointers in a request
 * point into the bytes given: they hold until those move.
 */
#include <stdlib.h>

#include "common/b64.h"
#include "tests/bench/http1.h"
#include "tests/bench/node/bench_node.h"

#define HEAD_MAX 16384

static bool read_auth(const struct phr_header *h, struct authz *out)
{
	uint8_t raw[AUTH_BYTES];

	return h->value_len >= B64_LEN(AUTH_BYTES) &&
	       b64_decode_exact(slice_of(h->value, B64_LEN(AUTH_BYTES)), raw, sizeof(raw)) == ERR_OK &&
	       authz_decode(slice_of(raw, sizeof(raw)), out) == ERR_OK;
}

int request_head(const uint8_t *p, size_t n, struct request *q)
{
	struct phr_header h[HTTP_HEADERS];
	const struct phr_header *v;
	size_t hn = HTTP_HEADERS, mn, path_n;
	const char *method, *path;
	int minor,
		head = phr_parse_request((const char *)p, n, &method, &mn, &path, &path_n, &minor, h, &hn, 0);

	*q = (struct request){ 0 };
	if (head < 0)
		return head == -2 && n <= HEAD_MAX ? 0 : -1;
	q->head = (size_t)head;
	q->path = slice_of(path, path_n);
	q->chunked = HTTP_HEADER(h, hn, "transfer-encoding") != NULL;
	v = HTTP_HEADER(h, hn, "content-length");
	q->length = v ? strtoul(v->value, NULL, 10) : 0;
	v = HTTP_HEADER(h, hn, "x-sealway-auth");
	q->sealed = v != NULL;
	q->authentic = v && read_auth(v, &q->auth);
	return q->length <= BODY_MAX ? 1 : -1;
}

int request_unchunk(struct slice in, struct buf *out, size_t *used)
{
	struct phr_chunked_decoder d = { .consume_trailer = 1 };
	size_t len = in.n;
	ssize_t left;

	buf_reset(out);
	buf_add(out, in.p, in.n);
	left = phr_decode_chunked(&d, (char *)out->p, &len);
	if (left < 0)
		return left == -2 && in.n < BODY_MAX ? 0 : -1;
	out->n = len;
	*used = in.n - (size_t)left;
	return 1;
}
