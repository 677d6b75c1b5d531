/* SPDX-License-Identifier: Apache-2.0
 *
 * Clients without connections (model_http.h).
 */
#include "tests/unit/gateway/model_http.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#define KEEP_ALIVE ": keep-alive\n\n"
#define ERROR_EVENT "event: error\n"

void http_init(struct hreq *r, const char *method, const char *path, struct buf *body)
{
	memset(r, 0, sizeof(*r));
	r->method = method;
	r->path = path;
	if (body)
		r->body = *body;
}

void http_fini(struct hreq *r)
{
	buf_free(&r->body);
	buf_free(&r->got);
}

void http_take(struct hreq *r, size_t n)
{
	if (n > r->waiting)
		n = r->waiting;
	r->waiting -= n;
	r->took += n;
	if (n && r->end == HTTP_OPEN && r->taken)
		r->taken(r->taken_arg, r, n);
}

void http_leave(struct hreq *r)
{
	if (r->end != HTTP_OPEN)
		return;
	r->end = HTTP_GONE;
	r->waiting = 0;
	r->gone(r->gone_arg, r);
}

/* --- common/httpd/httpd.h --- */

bool httpd_room(struct httpd *h, size_t n)
{
	(void)h, (void)n;
	return true;
}

struct slice hreq_method(const struct hreq *r)
{
	return slice_str(r->method);
}

struct slice hreq_path(const struct hreq *r)
{
	return slice_str(r->path);
}

struct slice hreq_header(const struct hreq *r, const char *name)
{
	(void)r;
	if (strcmp(name, "authorization") == 0)
		return SLICE_STR("Bearer t");
	if (strcmp(name, "content-type") == 0)
		return SLICE_STR("application/json");
	return slice_of(NULL, 0);
}

unsigned hreq_header_count(const struct hreq *r, const char *name)
{
	return hreq_header(r, name).p != NULL;
}

struct slice hreq_body(const struct hreq *r)
{
	return buf_slice(&r->body);
}

bool hreq_over_limit(const struct hreq *r)
{
	(void)r;
	return false;
}

unsigned hreq_version(const struct hreq *r)
{
	(void)r;
	return 0x101;
}

void hreq_drop_body(struct hreq *r)
{
	buf_free(&r->body);
}

void hreq_on_gone(struct hreq *r, void (*gone)(void *arg, struct hreq *r), void *arg)
{
	assert_int_equal(r->end, HTTP_OPEN);
	r->gone = gone;
	r->gone_arg = arg;
}

void hreq_respond(struct hreq *r, int status, const struct hheader *h, size_t nh, struct slice body)
{
	(void)h, (void)nh, (void)body;
	assert_int_equal(r->end, HTTP_OPEN);
	assert_false(r->begun);
	r->end = HTTP_RESPONDED;
	r->status = status;
}

void hreq_respond_static(struct hreq *r, int status, const struct hheader *h, size_t nh, struct slice body)
{
	hreq_respond(r, status, h, nh, body);
}

void hreq_begin(struct hreq *r, int status, const struct hheader *h, size_t nh, uint64_t length)
{
	(void)h, (void)nh;
	assert_int_equal(r->end, HTTP_OPEN);
	assert_false(r->begun);
	r->begun = true;
	r->status = status;
	r->length = length;
}

static bool between_events(const struct hreq *r)
{
	return r->got.n == 0 || (r->got.n > 1 && memcmp(r->got.p + r->got.n - 2, "\n\n", 2) == 0);
}

static bool has_at(struct slice s, size_t at, const char *text)
{
	return s.n >= at + strlen(text) && memcmp(s.p + at, text, strlen(text)) == 0;
}

void hreq_write(struct hreq *r, struct slice s)
{
	bool error = has_at(s, 0, ERROR_EVENT) || has_at(s, 0, "\n\n" ERROR_EVENT);

	assert_int_equal(r->end, HTTP_OPEN);
	assert_true(r->begun && !r->error_event);
	r->waiting += s.n;
	if (slice_is(s, KEEP_ALIVE)) {
		assert_true(between_events(r));
		return;
	}
	if (error) {
		assert_true(between_events(r) || s.p[0] == '\n');
		r->error_event = true;
		return;
	}
	buf_add(&r->got, s.p, s.n);
}

size_t hreq_pending(const struct hreq *r)
{
	assert_int_equal(r->end, HTTP_OPEN);
	return r->waiting;
}

void hreq_on_taken(struct hreq *r, void (*taken)(void *arg, struct hreq *r, size_t n), void *arg)
{
	r->taken = taken;
	r->taken_arg = arg;
}

void hreq_end(struct hreq *r)
{
	assert_int_equal(r->end, HTTP_OPEN);
	assert_true(r->begun && !r->error_event);
	r->end = HTTP_ENDED;
}

void hreq_abort(struct hreq *r)
{
	assert_int_equal(r->end, HTTP_OPEN);
	assert_true(r->begun);
	r->end = HTTP_ABORTED;
}
