/* SPDX-License-Identifier: Apache-2.0
 *
 * Table-driven configuration.  One table per process names every setting once;
 * it parses the INI file (libinih), the environment and the flags, checks,
 * prints --help and writes the example file in deploy/.  Later sources win:
 * default < file (--config FILE or SEALWAY_CONFIG) < environment < flags.
 *
 * A setting "max_body" is max_body = N in the file (no section, or a section
 * named after the process), SEALWAY_MAX_BODY in the environment and
 * --max-body N as a flag.  Booleans take true/false/yes/no/on/off/1/0 in files and
 * environment; as flags also --x alone.  Numbers take optional suffixes K, M, G
 * (binary) when the unit is "bytes".
 */
#ifndef SEALWAY_COMMON_CONF_H
#define SEALWAY_COMMON_CONF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "common/err.h"

enum conf_type {
	CONF_STR,  /* member: char *, owned; "" when unset and def is "" */
	CONF_U64,  /* member: uint64_t, checked against min and max */
	CONF_BOOL, /* member: bool */
};

struct conf_opt {
	const char *name; /* lower case, underscores */
	enum conf_type type;
	size_t offset;   /* of the member in the process's struct */
	const char *def; /* as it would stand in the file */
	uint64_t min, max;
	const char *unit; /* "ms", "s", "bytes", "units", "micro-USD" or "" */
	const char *help; /* one sentence, says why one would change it */
};

struct conf_spec {
	const char *program; /* "sealway-gateway" */
	const char *summary; /* one line for --help */
	const struct conf_opt *opts;
	size_t n;
	const char *sighup; /* what SIGHUP does, for the manual page; NULL: nothing */
	/* What no single setting shows, asked when each is in order: ERR_CONFIG after a log line that names
	 * the setting.  May complete the struct.  NULL: nothing. */
	enum err (*check)(void *conf);
	/* For --check-config, after check: what a start would find out by opening its parts, such as files
	 * that are not there or hold no key; serves, connects and writes nothing.  ERR_CONFIG after log
	 * lines. NULL: nothing. */
	enum err (*look)(const void *conf);
};

enum conf_action {
	CONF_RUN,   /* configuration is good: go on */
	CONF_EXIT,  /* --help, --version, --check-config or --example-config was served: exit 0 */
	CONF_ERROR, /* said on stderr what is wrong and where: exit 2 */
};

/* Fills *out (all zero before) from defaults, file, environment and flags.  Settings named log_level and
 * log_json are the log's (log_init) before anything of spec is asked.
 * Frees nothing on error: call conf_free in any case. */
enum conf_action conf_load(const struct conf_spec *spec, void *out, int argc, char **argv) MUST_USE;

/* Frees every string of *out and zeroes it. */
void conf_free(const struct conf_spec *spec, void *out);

/* For look: one more thing looked at; *all is ERR_CONFIG once any was not in order. */
static inline void conf_note(enum err *all, enum err one)
{
	if (one != ERR_OK)
		*all = ERR_CONFIG;
}

/* What conf_load prints when it is asked: the text of --help; the example file, which is every setting with
 * its help, unit, range and default, commented out; the manual page. */
void conf_help(const struct conf_spec *spec, FILE *to);
void conf_example(const struct conf_spec *spec, FILE *to);
void conf_man(const struct conf_spec *spec, FILE *to);

#endif
