/* SPDX-License-Identifier: Apache-2.0
 *
 * Nothing of a plaintext appears here: texts come from the error table, and
 * param names members of the clear envelope only.
 */
#include "node/answer.h"

#include "common/log.h"
#include "node/counts.h"

static const struct hheader json_type = { "content-type", { (const uint8_t *)"application/json", 16 } };

static void add_text(struct buf *b, const char *name, const char *text)
{
	buf_fmt(b, "\"%s\":", name);
	if (!text) {
		buf_str(b, "null");
		return;
	}
	buf_str(b, "\"");
	buf_json(b, slice_str(text));
	buf_str(b, "\"");
}

static void write_error(struct buf *b, enum err e, const char *param, const char *name)
{
	buf_str(b, "{\"error\":{");
	add_text(b, "code", err_code(e));
	buf_str(b, ",");
	add_text(b, "type", err_type(e));
	buf_str(b, ",");
	add_text(b, "message", err_text(e));
	buf_str(b, ",");
	add_text(b, "param", param);
	buf_str(b, ",");
	add_text(b, "reason", err_reason(e));
	buf_str(b, ",");
	add_text(b, "request_id", name);
	buf_str(b, "}}");
}

void answer_error(struct hreq *r, enum err e, const char *param, const uint8_t *rid)
{
	struct hheader h[3] = { json_type };
	struct buf b = { 0 };
	char name[33];
	size_t nh = 1;

	if (rid)
		log_rid(name, rid);
	write_error(&b, e, param, rid ? name : NULL);
	if (err_status(e) == 429 || err_status(e) == 503)
		h[nh++] = (struct hheader){ "retry-after", SLICE_STR("1") };
	if (e == ERR_METHOD)
		h[nh++] = (struct hheader){ "allow", SLICE_STR("GET, POST") };
	count_refusal(e);
	hreq_respond(r, err_status(e), h, nh, buf_slice(&b));
	buf_free(&b);
}

void answer_error_event(struct hreq *r, enum err e, const uint8_t *rid)
{
	struct buf b = { 0 };
	char name[33];

	log_rid(name, rid);
	buf_str(&b, "event: error\ndata: ");
	write_error(&b, e, NULL, name);
	buf_str(&b, "\n\n");
	hreq_write(r, buf_slice(&b));
	buf_free(&b);
}

void answer_json(struct hreq *r, struct slice json)
{
	hreq_respond(r, 200, &json_type, 1, json);
}
