/* SPDX-License-Identifier: Apache-2.0
 *
 * Configuration from one table (conf.h).  Every source is first collected as
 * text, with where it came from; only then is the text converted and checked,
 * so that one error message serves all sources.  libinih cuts lines at 200
 * bytes and joins indented lines to the value before: lines over that are
 * refused, and a long value may go on in indented lines.
 */
#include "common/conf.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "common/mem.h"

#define LINE_BYTES 199 /* what inih holds of a line, without its NUL */

/* One setting as text, before it is converted. */
struct raw {
	char *text;
	char from[160];
};

struct load {
	const struct conf_spec *spec;
	struct raw *raw; /* one per option */
	FILE *err;
	const char *path;
	FILE *file;
	int line;
	bool indented, failed;
};

static int find(const struct conf_spec *spec, const char *name, size_t n)
{
	for (size_t i = 0; i < spec->n; i++) {
		const char *o = spec->opts[i].name;
		size_t j = 0;

		while (j < n && o[j] && (o[j] == name[j] || (o[j] == '_' && name[j] == '-')))
			j++;
		if (j == n && !o[j])
			return (int)i;
	}
	return -1;
}

static void set(struct load *l, size_t i, const char *text, const char *from)
{
	free(l->raw[i].text);
	l->raw[i].text = mem_strndup(text, strlen(text));
	snprintf(l->raw[i].from, sizeof(l->raw[i].from), "%s", from);
}

/* --- the file --- */

static void say_unreadable(const struct load *l, const char *path)
{
	fprintf(l->err, "%s: cannot read the configuration: %s\n", path, strerror(errno));
}

static char *read_line(char *buf, int size, void *arg)
{
	struct load *l = arg;

	if (!fgets(buf, size, l->file)) {
		if (ferror(l->file)) { /* a directory can be opened, but not read */
			say_unreadable(l, l->path);
			l->failed = true;
		}
		return NULL;
	}
	l->line++;
	l->indented = isspace((unsigned char)buf[0]);
	if (!strchr(buf, '\n') && !feof(l->file)) {
		fprintf(l->err, "%s:%d: line over %d bytes; go on in an indented line\n", l->path, l->line,
			LINE_BYTES);
		l->failed = true;
		return NULL;
	}
	return buf;
}

static void join(struct load *l, size_t i, const char *more)
{
	struct buf b = { 0 };

	buf_fmt(&b, "%s %s", l->raw[i].text, more);
	free(l->raw[i].text);
	l->raw[i].text = mem_strndup(b.p, b.n);
	buf_free(&b);
}

static int on_pair(void *arg, const char *section, const char *name, const char *value)
{
	struct load *l = arg;
	const char *own = strchr(l->spec->program, '-');
	int i = find(l->spec, name, strlen(name));
	char from[160];

	own = own ? own + 1 : l->spec->program;
	if (section[0] && strcmp(section, own) != 0 && strcmp(section, l->spec->program) != 0)
		return 1; /* another process's section in a shared file */
	if (i < 0) {
		fprintf(l->err, "%s:%d: unknown setting \"%s\"; %s\n", l->path, l->line, name,
			strcmp(name, "config") ? "--help lists them all" : "a file cannot name another one");
		l->failed = true;
		return 1;
	}
	snprintf(from, sizeof(from), "%s:%d", l->path, l->line);
	if (l->indented && l->raw[i].text) {
		join(l, (size_t)i, value);
	} else if (strncmp(l->raw[i].from, l->path, strlen(l->path)) == 0) {
		fprintf(l->err, "%s: \"%s\" stands in the file twice (first at %s)\n", from, name,
			l->raw[i].from);
		l->failed = true;
	} else {
		set(l, (size_t)i, value, from);
	}
	return 1;
}

static enum err load_file(struct load *l, const char *path)
{
	int bad;

	l->path = path;
	l->line = 0;
	l->file = fopen(path, "re");
	if (!l->file) {
		say_unreadable(l, path);
		return ERR_CONFIG;
	}
	bad = ini_parse_stream(read_line, l, on_pair, l);
	fclose(l->file);
	if (bad > 0)
		fprintf(l->err, "%s:%d: not of the form \"name = value\"\n", path, bad);
	return bad || l->failed ? ERR_CONFIG : ERR_OK;
}

/* --- environment and flags --- */

static void load_env(struct load *l)
{
	char name[80], from[90];

	for (size_t i = 0; i < l->spec->n; i++) {
		const char *v;
		size_t n = (size_t)snprintf(name, sizeof(name), "SEALWAY_%s", l->spec->opts[i].name);

		for (size_t j = 0; j < n && j < sizeof(name); j++)
			name[j] = (char)toupper((unsigned char)name[j]);
		v = getenv(name);
		if (!v)
			continue;
		snprintf(from, sizeof(from), "%s", name);
		set(l, i, v, from);
	}
}

/* Takes one flag (argv[*i]) and perhaps its value. */
static enum err take_flag(struct load *l, int argc, char **argv, int *i)
{
	const char *a = argv[*i], *eq = strchr(a, '='), *value;
	char from[160];
	int o;

	snprintf(from, sizeof(from), "%.120s", a);
	if (strncmp(a, "--", 2) != 0) {
		fprintf(l->err, "%s: unexpected argument; --help shows what there is\n", from);
		return ERR_CONFIG;
	}
	o = find(l->spec, a + 2, eq ? (size_t)(eq - a - 2) : strlen(a + 2));
	if (o < 0) {
		fprintf(l->err, "%s: unknown option; --help shows what there is\n", from);
		return ERR_CONFIG;
	}
	if (eq)
		value = eq + 1;
	else if (l->spec->opts[o].type == CONF_BOOL)
		value = "true";
	else if (*i + 1 < argc)
		value = argv[++*i];
	else
		value = NULL;
	if (!value) {
		fprintf(l->err, "%s: needs a value\n", from);
		return ERR_CONFIG;
	}
	set(l, (size_t)o, value, from);
	return ERR_OK;
}

static bool is_config(const char *word)
{
	return strcmp(word, "--config") == 0 || strncmp(word, "--config=", 9) == 0;
}

/* The file that argv[*i] names, perhaps in the next word; NULL for none. */
static const char *config_value(int argc, char **argv, int *i)
{
	const char *eq = strchr(argv[*i], '='), *path;

	if (!eq && *i + 1 >= argc)
		return NULL;
	path = eq ? eq + 1 : argv[++*i];
	return *path ? path : NULL;
}

static enum err load_flags(struct load *l, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--check-config") == 0)
			continue;
		if (is_config(argv[i])) { /* read before all others */
			if (!config_value(argc, argv, &i)) {
				fprintf(l->err, "--config: needs the name of a file\n");
				return ERR_CONFIG;
			}
			continue;
		}
		if (take_flag(l, argc, argv, &i) != ERR_OK)
			return ERR_CONFIG;
	}
	return ERR_OK;
}

/* --- text to values --- */

static enum err convert_bool(const char *s, bool *out)
{
	static const char *const yes[] = { "true", "yes", "1", "on" };
	static const char *const no[] = { "false", "no", "0", "off" };

	for (int i = 0; i < 4; i++) {
		if (strcmp(s, yes[i]) == 0 || strcmp(s, no[i]) == 0) {
			*out = strcmp(s, yes[i]) == 0;
			return ERR_OK;
		}
	}
	return ERR_CONFIG;
}

static enum err convert_u64(const struct conf_opt *o, const char *s, uint64_t *out)
{
	static const char suffixes[] = "KMG";
	size_t n = strlen(s);
	const char *suffix = n > 1 && strcmp(o->unit, "bytes") == 0 ? strchr(suffixes, s[n - 1]) : NULL;
	uint64_t v;

	if (suffix)
		n--;
	if (slice_u64(slice_of(s, n), UINT64_MAX, &v) != ERR_OK)
		return ERR_CONFIG;
	if (suffix && __builtin_mul_overflow(v, UINT64_C(1) << (10 * (suffix - suffixes + 1)), &v))
		return ERR_CONFIG;
	if (v < o->min || v > o->max)
		return ERR_CONFIG;
	*out = v;
	return ERR_OK;
}

static void say_bad(const struct load *l, size_t i)
{
	const struct conf_opt *o = &l->spec->opts[i];
	const char *from = l->raw[i].from[0] ? l->raw[i].from : "default";

	if (o->type == CONF_U64)
		fprintf(l->err, "%s: %s = \"%s\" is not a number from %llu to %llu%s%s\n", from, o->name,
			l->raw[i].text, (unsigned long long)o->min, (unsigned long long)o->max,
			*o->unit ? " " : "", o->unit);
	else
		fprintf(l->err, "%s: %s = \"%s\" is not true or false\n", from, o->name, l->raw[i].text);
}

static enum err convert(struct load *l, void *out)
{
	enum err e = ERR_OK;

	for (size_t i = 0; i < l->spec->n; i++) {
		const struct conf_opt *o = &l->spec->opts[i];
		char *at = (char *)out + o->offset;
		enum err one = ERR_OK;

		if (!l->raw[i].text)
			set(l, i, o->def ? o->def : "", "");
		if (o->type == CONF_STR)
			*(char **)at = mem_strndup(l->raw[i].text, strlen(l->raw[i].text));
		else if (o->type == CONF_U64)
			one = convert_u64(o, l->raw[i].text, (uint64_t *)at);
		else
			one = convert_bool(l->raw[i].text, (bool *)at);
		if (one != ERR_OK) {
			say_bad(l, i);
			e = one;
		}
	}
	return e;
}

/* --- the whole --- */

/* The log is as the settings say from here on: what the checks have to say is lines of it.  A program
 * without these settings has a log as it is anyhow. */
static enum err start_log(const struct load *l, const void *out)
{
	int i = find(l->spec, "log_level", strlen("log_level"));
	int json = find(l->spec, "log_json", strlen("log_json"));
	enum log_level level;

	if (i < 0 || json < 0)
		return ERR_OK;
	if (log_level_parse(l->raw[i].text, &level) != ERR_OK) {
		fprintf(l->err, "%s: log_level = \"%s\" is none of debug, info, warn, error\n",
			*l->raw[i].from ? l->raw[i].from : "default", l->raw[i].text);
		return ERR_CONFIG;
	}
	log_init(l->spec->program, level, *(const bool *)((const char *)out + l->spec->opts[json].offset));
	return ERR_OK;
}

/* Settings that are of their type and still unusable. */
static enum err check(const struct load *l, void *out)
{
	enum err e = start_log(l, out);

	return e == ERR_OK && l->spec->check ? l->spec->check(out) : e;
}

static const char *config_path(int argc, char **argv)
{
	const char *path = getenv("SEALWAY_CONFIG");

	for (int i = 1; i < argc; i++)
		if (is_config(argv[i]))
			path = config_value(argc, argv, &i);
	return path;
}

static enum err collect(struct load *l, void *out, int argc, char **argv)
{
	const char *path = config_path(argc, argv);

	if (path && *path && load_file(l, path) != ERR_OK)
		return ERR_CONFIG;
	load_env(l);
	if (load_flags(l, argc, argv) != ERR_OK)
		return ERR_CONFIG;
	return convert(l, out) == ERR_OK ? check(l, out) : ERR_CONFIG;
}

static enum err load(const struct conf_spec *spec, void *out, int argc, char **argv)
{
	struct load l = { .spec = spec, .err = stderr };
	enum err e;

	l.raw = mem_new(spec->n * sizeof(*l.raw));
	e = collect(&l, out, argc, argv);
	for (size_t i = 0; i < spec->n; i++) {
		if (l.raw[i].text)
			mem_wipe(l.raw[i].text, strlen(l.raw[i].text));
		free(l.raw[i].text);
	}
	free(l.raw);
	return e;
}

static bool has_flag(int argc, char **argv, const char *flag)
{
	for (int i = 1; i < argc; i++)
		if (strcmp(argv[i], flag) == 0)
			return true;
	return false;
}

/* What was asked for instead of a run is on stdout; a file of settings that a full disk has cut is none. */
static enum conf_action printed(const struct conf_spec *spec)
{
	if (fflush(stdout) == 0 && !ferror(stdout))
		return CONF_EXIT;
	fprintf(stderr, "%s: the output cannot be written\n", spec->program);
	return CONF_ERROR;
}

enum conf_action conf_load(const struct conf_spec *spec, void *out, int argc, char **argv)
{
	if (has_flag(argc, argv, "--help") || has_flag(argc, argv, "-h")) {
		conf_help(spec, stdout);
		return printed(spec);
	}
	if (has_flag(argc, argv, "--version")) {
		printf("%s %s\n", spec->program, SEALWAY_VERSION);
		return printed(spec);
	}
	if (has_flag(argc, argv, "--man")) {
		conf_man(spec, stdout);
		return printed(spec);
	}
	if (has_flag(argc, argv, "--example-config")) {
		conf_example(spec, stdout);
		return printed(spec);
	}
	if (load(spec, out, argc, argv) != ERR_OK)
		return CONF_ERROR;
	if (has_flag(argc, argv, "--check-config")) {
		if (spec->look && spec->look(out) != ERR_OK)
			return CONF_ERROR;
		printf("%s: the configuration is good\n", spec->program);
		return printed(spec);
	}
	return CONF_RUN;
}

void conf_free(const struct conf_spec *spec, void *out)
{
	for (size_t i = 0; i < spec->n; i++) {
		char **s = (char **)((char *)out + spec->opts[i].offset);

		if (spec->opts[i].type != CONF_STR)
			continue;
		free(*s);
		*s = NULL;
	}
}
