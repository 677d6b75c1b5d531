/* SPDX-License-Identifier: Apache-2.0
 *
 * Structured logs, one line per event on stderr, as key=value or JSON.
 * Fields are typed, and no type takes a prompt, a ciphertext, a token or a
 * key: text fields are for names of our own and of the configuration.  A
 * request id is the capability that stops a stream at the node, so it is
 * written only as a hash of it, the same hash that the client sees as
 * X-Request-Id when it sent none.
 */
#ifndef SEALWAY_COMMON_LOG_H
#define SEALWAY_COMMON_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "common/err.h"
#include "common/mem.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

enum log_type { LOG_T_NONE, LOG_T_TEXT, LOG_T_U64, LOG_T_I64, LOG_T_RID, LOG_T_ERR };

struct log_field {
	const char *key;
	enum log_type type;
	union {
		const char *text;
		uint64_t u;
		int64_t i;
		const uint8_t *rid; /* 16 bytes */
		enum err err;
	} v;
};

/* Text of ours or of the configuration; control bytes and quotes are escaped,
 * at most 512 bytes are written.  Never anything a client sent as content. */
#define L_S(k, s) { .key = (k), .type = LOG_T_TEXT, .v.text = (s) }
#define L_U(k, n) { .key = (k), .type = LOG_T_U64, .v.u = (n) }
#define L_I(k, n) { .key = (k), .type = LOG_T_I64, .v.i = (n) }
/* A request id (16 bytes), written as request=<32 hex digits of its hash>. */
#define L_RID(id) { .key = "request", .type = LOG_T_RID, .v.rid = (id) }
#define L_ERR(e) { .key = "error", .type = LOG_T_ERR, .v.err = (e) }

#define LOG(level, event, ...) \
	log_write((level), (event), (const struct log_field[]){ { .key = "" }, ##__VA_ARGS__ }, \
		  sizeof((const struct log_field[]){ { .key = "" }, ##__VA_ARGS__ }) / sizeof(struct log_field))
#define log_debug(event, ...) LOG(LOG_DEBUG, event, ##__VA_ARGS__)
#define log_info(event, ...) LOG(LOG_INFO, event, ##__VA_ARGS__)
#define log_warn(event, ...) LOG(LOG_WARN, event, ##__VA_ARGS__)
#define log_error(event, ...) LOG(LOG_ERROR, event, ##__VA_ARGS__)

/* Sets the program's name, the lowest level written and the form.  Until then
 * everything from LOG_INFO up is written as key=value.  Call before threads. */
void log_init(const char *program, enum log_level level, bool json);

/* From here on each line begins with its level as journald reads it ("<4>" for a warning), if standard
 * error is the stream that systemd names in $JOURNAL_STREAM: else a line is what log_init says and no more.
 * Call before threads. */
void log_find_journal(void);

/* "debug", "info", "warn", "error" -> *out; ERR_CONFIG for anything else. */
enum err log_level_parse(const char *s, enum log_level *out) MUST_USE;

/* True when a line of this level would be written. */
bool log_wants(enum log_level level);

/* Behind the macros.  fields[0] is empty and skipped: a list in C cannot have no
 * members.  One write(2) per line, so lines of several threads do not mix. */
void log_write(enum log_level level, const char *event, const struct log_field *fields, size_t n);

/* The public name of a request id (16 bytes): 32 lowercase hex digits and NUL
 * of H("sealway-request-name-v1" || id).  Safe to show; says nothing of id. */
void log_rid(char out[33], const uint8_t id[16]);

#endif
