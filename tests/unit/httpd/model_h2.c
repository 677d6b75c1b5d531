/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/2 as the model's clients speak it (model.h): uploads in any order, windows
 * that open little by little, resets.
 */
#include <stdio.h>
#include <string.h>

#include "tests/unit/httpd/h2client.h"
#include "tests/unit/httpd/model.h"

#define FRAME_MAX 16384
#define OWED_MAX 20
#define GREETING "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

static void say_window(struct client *c)
{
	h2_add_window(&c->out, (uint32_t)c->first_window);
	c->owed++;
}

void h2_say_hello(struct client *c)
{
	static const uint32_t windows[] = { 0, 1, 1000, 65535, 1u << 20 };

	c->first_window = windows[dice(5)];
	c->exact = dice(3) == 0;
	c->first_room = c->room = c->window = 65535;
	buf_str(&c->out, GREETING);
	say_window(c);
}

static void add_literal(struct buf *b, uint8_t index, struct slice value)
{
	const uint8_t head[2] = { index, (uint8_t)value.n };

	buf_add(b, head, 2);
	buf_add(b, value.p, value.n);
}

/* HEADERS, with CONTINUATION behind it as the dice fall. */
static void add_block(struct buf *out, struct slice block, uint32_t id, uint8_t flags)
{
	size_t n = dice(3) ? block.n : dice((unsigned)block.n + 1);

	h2_add(out, HEADERS, flags | (n == block.n ? END_HEADERS : 0), id, block.p, n);
	while (n < block.n) {
		size_t more = 1 + dice((unsigned)(block.n - n));

		h2_add(out, CONTINUATION, n + more == block.n ? END_HEADERS : 0, id, block.p + n, more);
		n += more;
	}
}

static void say_head(struct client *c)
{
	struct ask *a = c->ask[c->next++];
	struct buf b = { 0 };
	char path[16];

	a->stream = a->nth * 2 + 1;
	a->begged = true;
	a->window = c->first_window;
	a->room = c->first_room;
	snprintf(path, sizeof(path), "/%u", a->id);
	buf_str(&b, strcmp(a->method, "GET") == 0 ? "\x82" : "");
	if (!b.n)
		add_literal(&b, 2, slice_str(a->method));
	buf_str(&b, "\x86"); /* :scheme */
	add_literal(&b, 4, slice_str(path));
	add_literal(&b, 1, SLICE_STR("a"));
	buf_add(&b, "\0\6x-note", 8);
	buf_add(&b, &(uint8_t){ (uint8_t)strlen(a->note) }, 1);
	buf_str(&b, a->note);
	a->asked = a->body.n == 0 && !a->chunked;
	add_block(&c->out, buf_slice(&b), a->stream, a->asked ? END_STREAM : 0);
	a->said_to = c->moved + c->out.n;
	buf_free(&b);
}

/* The end of the body comes with its last bytes, behind them, or as trailers. */
static void say_end(struct client *c, struct ask *a)
{
	a->asked = true;
	if (dice(2))
		h2_add(&c->out, DATA, END_STREAM, a->stream, NULL, 0);
	else
		h2_add(&c->out, HEADERS, END_STREAM | END_HEADERS, a->stream, "\0\5x-sum\1\61", 9);
}

static void say_body(struct client *c, struct ask *a)
{
	size_t left = a->body.n - a->body_out, n = dice_size(left < FRAME_MAX ? left + 1 : FRAME_MAX);
	int64_t room = c->room < a->room ? c->room : a->room;
	bool last;

	if (a->asked || a->dropped || a->told_stop)
		return;
	n = dice(3) == 0 ? (left < FRAME_MAX ? left : FRAME_MAX) : n;
	n = room < (int64_t)n ? (room > 0 ? (size_t)room : 0) : n;
	last = n == left && dice(2);
	if (n > 0) {
		h2_add(&c->out, DATA, last ? END_STREAM : 0, a->stream, a->body.p + a->body_out, n);
		c->room -= (int64_t)n;
		a->room -= (int64_t)n;
		a->body_out += n;
		a->asked = last;
	}
	if (a->body_out == a->body.n && !a->asked)
		say_end(c, a);
	a->said_to = c->moved + c->out.n;
}

/* How much more the server is to be let say, at most. */
static int64_t wanted(const struct client *c, const struct ask *a)
{
	if (a->whole || a->cut || a->dropped)
		return 0;
	return c->exact ? (int64_t)a->payload.n - (int64_t)a->got - a->window : 50000 - a->window;
}

/* Lets the server say more. */
static void open_windows(struct client *c)
{
	for (unsigned i = 0; i < c->next; i++) {
		struct ask *a = c->ask[i];
		int64_t n = 1 + (int64_t)dice_size(dice(3) ? 100000 : 300);

		n = n < wanted(c, a) ? n : wanted(c, a);
		if (n <= 0 || dice(3))
			continue;
		h2_add_u32(&c->out, WINDOW_UPDATE, a->stream, (uint32_t)n);
		a->window += n;
	}
	if (c->window < 100000 && dice(2)) {
		h2_add_u32(&c->out, WINDOW_UPDATE, 0, 50000);
		c->window += 50000;
	}
}

static void drop(struct client *c, struct ask *a)
{
	static const uint32_t codes[] = { 8, 0, 2, 5 };

	h2_add_u32(&c->out, RST_STREAM, a->stream, codes[dice(4)]);
	a->dropped = true;
}

/* Not while an answer is on its way: the server ends the connection when that would open the window of a
 * stream whose last bytes are in a write (h2guard.c). */
static void widen_all(struct client *c)
{
	uint32_t n = dice(100000);

	for (unsigned i = 0; i < c->next; i++)
		if (!c->ask[i]->whole && !c->ask[i]->cut)
			return;
	for (unsigned i = 0; i < c->next; i++)
		c->ask[i]->window += n;
	c->first_window += n;
	say_window(c);
}

/* Not while many answers to the like are to come.  Who never pauses for 200 ms, and has a narrow socket, may
 * hear no more at all: its kernel announces less room than what the server's takes for a segment (1957 bytes
 * of 2048 were seen), and that sends less than a segment only after so long a time without a word of the
 * client's.  The drain waited in vain for the last bytes to go, until the round had no turns left. */
static void say_aside(struct client *c)
{
	struct ask *a = c->next ? c->ask[dice(c->next)] : NULL;
	static const uint8_t priority[5] = { 0, 0, 0, 0, 9 };

	if (c->owed >= OWED_MAX)
		return;
	switch (dice(12)) {
	case 0:
		h2_add(&c->out, PING, 0, 0, "12345678", 8);
		c->owed++;
		break;
	case 1:
		widen_all(c);
		break;
	case 2:
		if (a && (a->style == NEVER || dice(4) == 0) && !a->whole && !a->cut && !a->dropped)
			drop(c, a);
		break;
	case 3:
		if (a && !a->whole && !a->cut && !a->dropped)
			h2_add(&c->out, PRIORITY, 0, a->stream, priority, 5);
		break;
	default:
		break;
	}
}

void h2_say(struct client *c)
{
	if (c->out.n > 200000)
		return;
	if (c->next < c->n && !c->goaway && (c->pipelines || c->next == 0 || dice(8) == 0))
		say_head(c);
	for (unsigned i = dice(4); i > 0 && c->next; i--)
		say_body(c, c->ask[dice(c->next)]);
	open_windows(c);
	say_aside(c);
}

bool h2_done(const struct client *c)
{
	if (c->next < c->n && !c->goaway)
		return false;
	for (unsigned i = 0; i < c->next; i++) {
		const struct ask *a = c->ask[i];

		if (!a->whole && !a->cut && !a->dropped && (!c->goaway || a->stream <= c->max_id))
			return false;
		if (a->whole && !a->asked && !a->told_stop && !a->dropped)
			return false;
	}
	return true;
}
