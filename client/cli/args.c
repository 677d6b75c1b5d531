/* SPDX-License-Identifier: Apache-2.0
 *
 * Option parsing by table.  Options and operands may be mixed; every option
 * takes its value from the next word or after "=".
 */
#include "client/cli/args.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/mem.h"

static void help(const struct command *c, const struct arg *args, size_t n)
{
	printf("usage: sealway %s%s%s%s\n\n%s\n", c->name, n ? " [options]" : "", *c->operands ? " " : "",
	       c->operands, c->summary);
	if (n)
		printf("\noptions:\n");
	for (size_t i = 0; i < n; i++) {
		char left[64];

		snprintf(left, sizeof(left), "--%s%s%s", args[i].name, args[i].value ? " " : "",
			 args[i].value ? args[i].value : "");
		printf("  %-22s %s\n", left, args[i].help);
	}
	if (*c->details)
		printf("\n%s\n", c->details);
}

static enum args_result bad(const struct command *c, const char *what, const char *which)
{
	fprintf(stderr, "sealway %s: %s%s (see sealway %s --help)\n", c->name, what, which, c->name);
	return ARGS_USAGE;
}

static const struct arg *find(const struct arg *args, size_t n, struct slice name)
{
	for (size_t i = 0; i < n; i++)
		if (slice_is(name, args[i].name))
			return &args[i];
	return NULL;
}

static enum args_result set(const struct command *c, const struct arg *a, const char *value)
{
	uint64_t u;

	if (a->type == ARG_TEXT) {
		*(const char **)a->to = value;
		return ARGS_RUN;
	}
	if (slice_u64(slice_str(value), a->max, &u) || u < a->min) {
		fprintf(stderr, "sealway %s: --%s takes a number from %" PRIu64 " to %" PRIu64 "\n", c->name,
			a->name, a->min, a->max);
		return ARGS_USAGE;
	}
	*(uint64_t *)a->to = u;
	return ARGS_RUN;
}

/* argv[*i] begins with "--"; takes the next word too when it is the value. */
static enum args_result option(const struct command *c, const struct arg *args, size_t n, int argc,
			       char **argv, int *i)
{
	const char *word = argv[*i] + 2, *eq = strchr(word, '=');
	struct slice name = eq ? slice_of(word, (size_t)(eq - word)) : slice_str(word);
	const struct arg *a = find(args, n, name);

	if (slice_is(name, "help")) {
		help(c, args, n);
		return ARGS_HELP;
	}
	if (!a)
		return bad(c, "unknown option ", argv[*i]);
	if (a->type == ARG_FLAG) {
		if (eq)
			return bad(c, "this option takes no value: --", a->name);
		*(bool *)a->to = true;
		return ARGS_RUN;
	}
	if (eq)
		return set(c, a, eq + 1);
	if (*i + 1 >= argc)
		return bad(c, "this option needs a value: --", a->name);
	return set(c, a, argv[++*i]);
}

static enum args_result operand(const struct command *c, struct operands *out, const char *word)
{
	if (out->n >= c->max_operands || out->n >= OPERANDS_MAX)
		return bad(c, c->max_operands ? "too many words: put the text in quotes" : "takes no words",
			   "");
	out->v[out->n++] = word;
	return ARGS_RUN;
}

enum args_result args_parse(const struct command *c, const struct arg *args, size_t n, int argc, char **argv,
			    struct operands *out)
{
	bool options = true;
	enum args_result r = ARGS_RUN;

	out->n = 0;
	if (args_shell(c, args, n, argc, argv))
		return ARGS_HELP;
	for (int i = 1; i < argc && r == ARGS_RUN; i++) {
		if (options && !strcmp(argv[i], "--"))
			options = false;
		else if (options && !strncmp(argv[i], "--", 2))
			r = option(c, args, n, argc, argv, &i);
		else if (options && !strcmp(argv[i], "-h"))
			r = option(c, args, n, 1, (char *[]){ (char *)"--help" }, &(int){ 0 });
		else if (options && argv[i][0] == '-' && argv[i][1])
			r = bad(c, "unknown option ", argv[i]);
		else
			r = operand(c, out, argv[i]);
	}
	if (r == ARGS_RUN && out->n < c->min_operands)
		return bad(c, "something is missing: ", c->operands);
	return r;
}

bool args_number(const char *word, uint64_t *out)
{
	return !slice_u64(slice_str(word), (UINT64_C(1) << 53) - 1, out) && *out;
}

int args_wrong(const struct command *c)
{
	fprintf(stderr, "usage: sealway %s [options] %s (see sealway %s --help)\n", c->name, c->operands,
		c->name);
	return EXIT_USAGE;
}

int args_missing(const struct command *c, const char *what)
{
	(void)bad(c, what, " is missing");
	return EXIT_USAGE;
}
