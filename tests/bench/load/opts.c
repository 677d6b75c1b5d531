/* SPDX-License-Identifier: Apache-2.0
 *
 * The command line of the load generator.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/bench/load/load.h"

static const char usage[] =
	"bench-load --to ADDRESS:PORT --path PATH [options]     result: JSON on standard output\n"
	"  --sealed            seal bodies for sealway; needs --token\n"
	"  --token T           bearer token\n"
	"  --header 'K: V'     one more header; may come more than once\n"
	"  --http2             HTTP/2 without TLS, --per-conn streams on each connection (32)\n"
	"  --lanes N           requests at a time (1)\n"
	"  --rate R            open loop: R requests per second on at most N lanes; without: closed loop\n"
	"  --once              each lane asks once, lanes start over --ramp seconds\n"
	"  --seconds S --warmup S --ramp S --drain S\n"
	"  --size BYTES        length of the prompt (2048)   --bodies N   different ones (64)\n"
	"  --chunks N          stream of N events, --gap-us G apart (0: flat out); 0 chunks: a whole answer\n"
	"  --singly            flat out, but the node writes each event by itself, its streams in turn\n"
	"  --answer BYTES      text of a whole answer (100)\n"
	"  --locks             each request is a lock, POST /v1/nodes/lock\n"
	"  --pairs             a lock before each sealed request (HTTP/1)\n"
	"  --tls --ca FILE     HTTP/1 over TLS 1.3; FILE has the server's certificate\n"
	"  --model NAME        of the node (bench)\n"
	"  --sources K         connect from 127.0.1.1 to 127.0.1.K in turn\n";

static const struct option names[] = {
	{ "to", 1, 0, 'a' },     { "path", 1, 0, 'p' },    { "token", 1, 0, 't' },
	{ "header", 1, 0, 'h' }, { "sealed", 0, 0, 'S' },  { "http2", 0, 0, '2' },
	{ "once", 0, 0, '1' },   { "lanes", 1, 0, 'n' },   { "per-conn", 1, 0, 'P' },
	{ "rate", 1, 0, 'r' },   { "seconds", 1, 0, 's' }, { "warmup", 1, 0, 'w' },
	{ "ramp", 1, 0, 'R' },   { "drain", 1, 0, 'd' },   { "size", 1, 0, 'z' },
	{ "bodies", 1, 0, 'b' }, { "chunks", 1, 0, 'c' },  { "gap-us", 1, 0, 'g' },
	{ "answer", 1, 0, 'A' }, { "locks", 0, 0, 'L' },   { "pairs", 0, 0, '3' },
	{ "tls", 0, 0, 'T' },    { "ca", 1, 0, 'C' },      { "sources", 1, 0, 'F' },
	{ "model", 1, 0, 'm' },  { "singly", 0, 0, 'y' },  { 0 },
};

static bool number(const char *text, double max, double *out)
{
	char *end;

	*out = strtod(text, &end);
	return end != text && *end == 0 && *out >= 0 && *out <= max;
}

static bool set_address(struct opts *o, char *text)
{
	char *colon = strrchr(text, ':');
	double port;

	if (!colon || !number(colon + 1, 65535, &port))
		return false;
	*colon = 0;
	o->host = text;
	o->port = (uint16_t)port;
	return true;
}

static void add_header(struct opts *o, const char *line)
{
	struct buf b = { 0 };

	buf_fmt(&b, "%s%s\r\n", o->headers, line);
	o->headers = mem_strndup(b.p, b.n);
	buf_free(&b);
}

static unsigned *unsigned_of(struct opts *o, int c)
{
	switch (c) {
	case 'n':
		return &o->lanes;
	case 'P':
		return &o->per_conn;
	case 'z':
		return &o->size;
	case 'b':
		return &o->bodies;
	case 'c':
		return &o->chunks;
	case 'g':
		return &o->gap_us;
	case 'A':
		return &o->answer;
	case 'F':
		return &o->sources;
	default:
		return NULL;
	}
}

static double *double_of(struct opts *o, int c)
{
	switch (c) {
	case 'r':
		return &o->rate;
	case 's':
		return &o->seconds;
	case 'w':
		return &o->warmup;
	case 'R':
		return &o->ramp;
	case 'd':
		return &o->drain;
	default:
		return NULL;
	}
}

static bool set(struct opts *o, int c, char *text)
{
	unsigned *u = unsigned_of(o, c);
	double *d = double_of(o, c), v;

	if (u && number(text, 1e9, &v)) {
		*u = (unsigned)v;
		return true;
	}
	if (d)
		return number(text, 1e9, d);
	if (c == 'a')
		return set_address(o, text);
	if (c == 'p')
		o->path = text;
	else if (c == 't')
		o->token = text;
	else if (c == 'm')
		o->model = text;
	else if (c == 'C')
		o->ca = text;
	else if (c == 'h')
		add_header(o, text);
	else
		return false;
	return true;
}

static bool set_flag(struct opts *o, int c)
{
	bool *b = c == 'S'   ? &o->sealed
		  : c == '2' ? &o->h2
		  : c == '1' ? &o->once
		  : c == 'L' ? &o->locks
		  : c == '3' ? &o->pairs
		  : c == 'T' ? &o->tls
		  : c == 'y' ? &o->singly
			     : NULL;

	if (b)
		*b = true;
	return b != NULL;
}

bool opts_parse(struct opts *o, int argc, char **argv)
{
	*o = (struct opts){ .headers = "",
			    .model = "bench",
			    .lanes = 1,
			    .per_conn = 32,
			    .bodies = 64,
			    .size = 2048,
			    .answer = 100,
			    .seconds = 2,
			    .drain = 30 };
	for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
		if (!set_flag(o, c) && (c == '?' || !set(o, c, optarg))) {
			fputs(usage, stderr);
			return false;
		}
	}
	if (optind != argc || !o->host || !o->path || (o->sealed && !o->token) || !o->lanes || !o->bodies ||
	    !o->per_conn || (o->gap_us && o->gap_us < 1000) || (o->h2 && (o->tls || o->pairs)) ||
	    (o->tls && !o->ca) || (o->pairs && !o->sealed) || (o->singly && (o->gap_us || !o->chunks))) {
		fputs(usage, stderr);
		return false;
	}
	return true;
}
