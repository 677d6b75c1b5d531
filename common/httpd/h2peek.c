/* SPDX-License-Identifier: Apache-2.0
 *
 * Reads libh2o's HTTP/2 structs: which streams a connection has and what they
 * hold.  Tied to 2.2.5, whose internal header is installed; any other version
 * is refused at compile time.
 */
#include "common/httpd/internal.h"

#if H2O_VERSION_MAJOR != 2 || H2O_VERSION_MINOR != 2 || H2O_VERSION_PATCH != 5
#error "the guards are written against the inside of libh2o 2.2.5"
#endif

bool h2_closing(const h2o_http2_conn_t *h2)
{
	return h2->state >= H2O_HTTP2_CONN_STATE_IS_CLOSING;
}

h2o_http2_conn_t *h2_conn(const struct conn *c)
{
	h2o_http2_conn_t *h2 = c->sock->data;

	/* h2o stops reading (and so takes our hook away) before it frees its connection */
	if (c->state != CONN_HTTP2 || c->sock->_cb.read != h2guard_read)
		return NULL;
	return h2_closing(h2) ? NULL : h2;
}

h2o_http2_stream_t *h2_stream(const h2o_http2_conn_t *h2, uint32_t id)
{
	const khash_t(h2o_http2_stream_t) *t = h2->streams;

	for (uint32_t i = 0; i < t->n_buckets; i++)
		if (kh_in_use(t, i) && t->keys[i] == id)
			return t->vals[i];
	return NULL;
}

h2o_http2_stream_t *h2_in_flight(const h2o_http2_conn_t *h2, uint32_t id)
{
	const h2o_linklist_t *end = &h2->_write.streams_to_proceed;

	for (const h2o_linklist_t *l = end->next; l != end; l = l->next) {
		h2o_http2_stream_t *s = H2O_STRUCT_FROM_MEMBER(h2o_http2_stream_t, _refs.link, l);

		if (s->stream_id == id)
			return s;
	}
	return NULL;
}

static bool is_receiving(const h2o_http2_stream_t *s)
{
	return s->state == H2O_HTTP2_STREAM_STATE_RECV_HEADERS ||
	       s->state == H2O_HTTP2_STREAM_STATE_RECV_BODY;
}

bool h2_uploads(const h2o_http2_conn_t *h2)
{
	return h2->num_streams.pull.open > h2->num_streams.pull.half_closed;
}

bool h2_uploads_to(const h2o_http2_conn_t *h2, uint32_t last_id)
{
	const khash_t(h2o_http2_stream_t) *t = h2->streams;

	for (uint32_t i = 0; i < t->n_buckets; i++)
		if (kh_in_use(t, i) && is_receiving(t->vals[i]) && t->keys[i] <= last_id)
			return true;
	return false;
}

bool h2_over(const h2o_http2_conn_t *h2, uint32_t id)
{
	const h2o_http2_stream_t *s = h2_stream(h2, id);

	return id % 2 == 1 && id <= h2->pull_stream_ids.max_open &&
	       (s == NULL || s->state > H2O_HTTP2_STREAM_STATE_RECV_BODY);
}

bool h2_pass_over(h2o_http2_conn_t *h2, struct slice block)
{
	size_t length;
	const char *why = NULL;
	h2o_req_t nobody = { 0 };
	int e;

	h2o_mem_init_pool(&nobody.pool);
	e = h2o_hpack_parse_headers(&nobody, &h2->_input_header_table, block.p, block.n, NULL, &length, NULL,
				    &why);
	h2o_mem_clear_pool(&nobody.pool);
	return e == 0 || e == H2O_HTTP2_ERROR_INVALID_HEADER_CHAR;
}

/* At least what the request's fields take in memory; there are few of them (h2_too_many_fields). */
static size_t field_bytes(const h2o_req_t *req)
{
	size_t n = req->input.path.len + req->input.authority.len;

	for (size_t i = 0; i < req->headers.size; i++)
		n += sizeof(req->headers.entries[i]) + req->headers.entries[i].value.len;
	return n;
}

size_t h2_upload_bytes(const h2o_http2_conn_t *h2)
{
	const khash_t(h2o_http2_stream_t) *t = h2->streams;
	size_t n = 0;

	for (uint32_t i = 0; i < t->n_buckets; i++)
		if (kh_in_use(t, i) && is_receiving(t->vals[i])) {
			n += field_bytes(&t->vals[i]->req);
			n += t->vals[i]->_req_body != NULL ? t->vals[i]->_req_body->size : 0;
		}
	return n;
}

bool h2_too_many_fields(const h2o_http2_conn_t *h2)
{
	const khash_t(h2o_http2_stream_t) *t = h2->streams;

	for (uint32_t i = 0; h2_uploads(h2) && i < t->n_buckets; i++)
		if (kh_in_use(t, i) && is_receiving(t->vals[i]) && t->vals[i]->req.headers.size > FIELDS_MAX)
			return true;
	return false;
}

h2o_http2_stream_t *h2_oldest_upload(const h2o_http2_conn_t *h2, uint64_t *age_ms)
{
	const khash_t(h2o_http2_stream_t) *t = h2->streams;
	h2o_http2_stream_t *oldest = NULL;
	struct timeval now = *h2o_get_timestamp(h2->super.ctx, NULL, NULL), d;

	for (uint32_t i = 0; i < t->n_buckets; i++) {
		h2o_http2_stream_t *s = kh_in_use(t, i) ? t->vals[i] : NULL;

		if (s != NULL && is_receiving(s) && (oldest == NULL || s->stream_id < oldest->stream_id))
			oldest = s;
	}
	if (oldest == NULL)
		return NULL;
	timersub(&now, &oldest->req.timestamps.request_begin_at, &d);
	*age_ms = d.tv_sec < 0 ? 0 : (uint64_t)d.tv_sec * 1000 + (uint64_t)d.tv_usec / 1000;
	return oldest;
}

size_t h2_backlog(const h2o_http2_conn_t *h2)
{
	return h2->_write.buf->size + (h2->_write.buf_in_flight != NULL ? h2->_write.buf_in_flight->size : 0);
}

bool h2_reset(h2o_http2_conn_t *h2, h2o_http2_stream_t *s, int error)
{
	if (h2_closing(h2) || s->state == H2O_HTTP2_STREAM_STATE_END_STREAM)
		return false;
	h2o_http2__encode_rst_stream_frame(&h2->_write.buf, s->stream_id, error);
	h2o_http2_conn_request_write(h2);
	h2o_http2_stream_reset(h2, s);
	return true;
}

void h2_goaway(h2o_http2_conn_t *h2, uint32_t last_id)
{
	h2o_http2_encode_goaway_frame(&h2->_write.buf, last_id, -H2O_HTTP2_ERROR_NONE,
				      h2o_iovec_init(NULL, 0));
	h2o_http2_conn_request_write(h2);
}
