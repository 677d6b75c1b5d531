/* SPDX-License-Identifier: Apache-2.0
 *
 * Log lines are built in a stack buffer and written at once (log.h).  What
 * does not fit is cut, never split over two writes.
 */
#include "common/log.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 4096
#define TEXT_MAX_BYTES 512

static const char *program = "sealway";
static enum log_level lowest = LOG_INFO;
static bool as_json, to_journal;

static const char *const level_names[] = { "debug", "info", "warn", "error" };
static const char *const journal_levels[] = { "<7>", "<6>", "<4>", "<3>" };

struct line {
	char s[LINE_MAX_BYTES];
	size_t n;
};

void log_init(const char *name, enum log_level level, bool json)
{
	program = name;
	lowest = level;
	as_json = json;
}

void log_find_journal(void)
{
	const char *named = getenv("JOURNAL_STREAM");
	char ours[64];
	struct stat st;

	if (!named || fstat(STDERR_FILENO, &st) != 0)
		return;
	snprintf(ours, sizeof(ours), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino);
	to_journal = strcmp(named, ours) == 0;
}

enum err log_level_parse(const char *s, enum log_level *out)
{
	for (unsigned i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
		if (strcmp(s, level_names[i]) == 0) {
			*out = (enum log_level)i;
			return ERR_OK;
		}
	}
	return ERR_CONFIG;
}

bool log_wants(enum log_level level)
{
	return level >= lowest;
}

void log_rid(char out[33], const uint8_t id[16])
{
	static const char label[] = "sealway-request-name-v1";
	crypto_generichash_state st;
	uint8_t h[32];

	crypto_generichash_init(&st, NULL, 0, sizeof(h));
	crypto_generichash_update(&st, (const uint8_t *)label, sizeof(label) - 1);
	crypto_generichash_update(&st, id, 16);
	crypto_generichash_final(&st, h, sizeof(h));
	sodium_bin2hex(out, 33, h, 16);
}

static void put(struct line *l, const char *s, size_t n)
{
	size_t room = sizeof(l->s) - 2 - l->n; /* the end of the line always fits */

	if (n > room)
		n = room;
	memcpy(l->s + l->n, s, n);
	l->n += n;
}

static void put_str(struct line *l, const char *s)
{
	put(l, s, strlen(s));
}

/* Quoted when anything in it could be taken for syntax; JSON always quotes. */
static void put_text(struct line *l, const char *s)
{
	size_t n = strnlen(s, TEXT_MAX_BYTES);
	bool quote = as_json || n == 0;
	char esc[8];

	for (size_t i = 0; i < n && !quote; i++)
		quote = (unsigned char)s[i] <= ' ' || s[i] == '"' || s[i] == '=' || s[i] == '\\' || s[i] == 127;
	if (quote)
		put_str(l, "\"");
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c == '"' || c == '\\')
			put(l, (char[]){ '\\', (char)c }, 2);
		else if (c < ' ' || c >= 127)
			put(l, esc, (size_t)snprintf(esc, sizeof(esc), "\\u%04x", c));
		else
			put(l, &s[i], 1);
	}
	if (quote)
		put_str(l, "\"");
}

static void put_key(struct line *l, const char *key)
{
	put_str(l, as_json ? ",\"" : " ");
	put_str(l, key);
	put_str(l, as_json ? "\":" : "=");
}

static void put_field(struct line *l, const struct log_field *f)
{
	char num[40];

	put_key(l, f->key);
	switch (f->type) {
	case LOG_T_TEXT:
		put_text(l, f->v.text ? f->v.text : "");
		break;
	case LOG_T_U64:
		put(l, num, (size_t)snprintf(num, sizeof(num), "%llu", (unsigned long long)f->v.u));
		break;
	case LOG_T_I64:
		put(l, num, (size_t)snprintf(num, sizeof(num), "%lld", (long long)f->v.i));
		break;
	case LOG_T_RID:
		log_rid(num, f->v.rid);
		put_text(l, num);
		break;
	case LOG_T_ERR:
		put_text(l, err_name(f->v.err));
		break;
	case LOG_T_NONE:
		put_text(l, "");
		break;
	}
}

static void put_head(struct line *l, enum log_level level, const char *event)
{
	struct timespec ts;
	struct tm tm;
	char when[64];

	clock_gettime(CLOCK_REALTIME, &ts);
	gmtime_r(&ts.tv_sec, &tm);
	snprintf(when, sizeof(when), "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ", tm.tm_year + 1900, tm.tm_mon + 1,
		 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec, ts.tv_nsec / 1000000);
	put_str(l, to_journal ? journal_levels[level] : "");
	put_str(l, as_json ? "{\"time\":\"" : "time=");
	put_str(l, when);
	put_str(l, as_json ? "\",\"level\":\"" : " level=");
	put_str(l, level_names[level]);
	put_str(l, as_json ? "\",\"program\":\"" : " program=");
	put_str(l, program);
	put_str(l, as_json ? "\",\"event\":" : " event=");
	put_text(l, event);
}

void log_write(enum log_level level, const char *event, const struct log_field *fields, size_t n)
{
	struct line l = { .n = 0 };
	ssize_t written;

	if (level < lowest)
		return;
	put_head(&l, level, event);
	for (size_t i = 1; i < n; i++)
		put_field(&l, &fields[i]);
	if (as_json)
		l.s[l.n++] = '}';
	l.s[l.n++] = '\n';
	written = write(STDERR_FILENO, l.s, l.n);
	(void)written; /* nowhere to report that logging fails */
}
