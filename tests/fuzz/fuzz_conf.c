/* SPDX-License-Identifier: Apache-2.0
 *
 * Configuration files, read by a table with every type of setting: what is
 * taken is within its limits, and the file that says it again in plain words is
 * taken for the same.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memfd_create */
#endif

#include <string.h>

#include "common/conf.h"
#include "common/mem.h"
#include "tests/fuzz/quiet.h"

struct settings {
	char *text, *path;
	uint64_t count, size;
	bool flag;
};

#define AT(member) offsetof(struct settings, member)

static const struct conf_opt opts[] = {
	{ "text", CONF_STR, AT(text), "", 0, 0, "", "A text." },
	{ "path", CONF_STR, AT(path), "/a", 0, 0, "", "Another." },
	{ "count", CONF_U64, AT(count), "7", 3, 1000000, "", "A number." },
	{ "size", CONF_U64, AT(size), "1M", 0, UINT64_C(1) << 40, "bytes", "One with a suffix." },
	{ "flag", CONF_BOOL, AT(flag), "false", 0, 0, "", "A switch." },
};

static const struct conf_spec spec = {
	.program = "sealway-fuzz", .summary = "none", .opts = opts, .n = sizeof(opts) / sizeof(opts[0])
};

static enum conf_action load(struct settings *s, const uint8_t *data, size_t n)
{
	char flag[128];
	char program[] = "sealway-fuzz";
	char *argv[] = { program, flag, NULL };
	enum conf_action a;

	memset(s, 0, sizeof(*s));
	snprintf(flag, sizeof(flag), "--config=%s", quiet_begin(data, n));
	a = conf_load(&spec, s, 2, argv);
	quiet_end();
	return a;
}

/* Texts that the file can hold as they are: no quotes, comments or outer blanks of its own. */
static bool plain(const char *s)
{
	size_t n = strlen(s);

	for (size_t i = 0; i < n; i++) {
		if (s[i] <= ' ' || s[i] == ';' || s[i] == '#' || s[i] == '"' || s[i] == 0x7f)
			return false;
	}
	return n < 100;
}

static void again(const struct settings *s)
{
	struct settings t;
	struct buf b = { 0 };

	buf_fmt(&b, "text = %s\npath = %s\ncount = %llu\nsize = %llu\nflag = %s\n", s->text, s->path,
		(unsigned long long)s->count, (unsigned long long)s->size, s->flag ? "yes" : "no");
	MUST(load(&t, b.p, b.n) == CONF_RUN);
	MUST(!strcmp(s->text, t.text) && !strcmp(s->path, t.path));
	MUST(s->count == t.count && s->size == t.size && s->flag == t.flag);
	conf_free(&spec, &t);
	buf_free(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct settings s;
	enum conf_action a = load(&s, data, n);

	MUST(a == CONF_RUN || a == CONF_ERROR);
	if (a == CONF_RUN) {
		MUST(s.text && s.path && s.count >= 3 && s.count <= 1000000 && s.size <= UINT64_C(1) << 40);
		if (plain(s.text) && plain(s.path))
			again(&s);
	}
	conf_free(&spec, &s);
	return 0;
}
