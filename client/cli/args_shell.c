/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tables of options say to shells and to the manual (args.h).  The
 * operands of a command are alternatives ("add NAME | new [gateway|worker NAME]"):
 * words in small letters are typed as they are, all others stand for something.
 */
#define _GNU_SOURCE /* memmem */
#include <stdio.h>
#include <string.h>

#include "client/cli/args.h"
#include "common/mem.h"
#include "common/roff.h"

#define SMALL "abcdefghijklmnopqrstuvwxyz"

/* Takes what stands before sep off the front of *rest, and sep. */
static struct slice cut(struct slice *rest, const char *sep)
{
	size_t n = strlen(sep);
	const uint8_t *at = memmem(rest->p, rest->n, sep, n);
	struct slice first = slice_of(rest->p, at ? (size_t)(at - rest->p) : rest->n);

	rest->p += first.n + (at ? n : 0);
	rest->n -= first.n + (at ? n : 0);
	return first;
}

static bool fixed(struct slice word)
{
	for (size_t i = 0; i < word.n; i++)
		if (!memchr(SMALL, word.p[i], strlen(SMALL)))
			return false;
	return word.n > 0;
}

/* Without the brackets of what may be left out. */
static struct slice bare(struct slice token)
{
	if (token.n && token.p[0] == '[')
		token = slice_of(token.p + 1, token.n - 1);
	if (token.n && token.p[token.n - 1] == ']')
		token.n--;
	return token;
}

static bool takes(struct slice token, const char *word)
{
	bool any = false;

	token = bare(token);
	while (token.n && !any) {
		struct slice one = cut(&token, "|");

		any = !fixed(one) || slice_is(one, word);
	}
	return any;
}

/* The words of "gateway|worker", a line each. */
static void print_words(struct slice token)
{
	token = bare(token);
	while (token.n) {
		struct slice one = cut(&token, "|");

		if (fixed(one))
			printf("%.*s\n", (int)one.n, (const char *)one.p);
	}
}

/* What may come after these words. */
static void print_next(const char *operands, const struct operands *typed)
{
	struct slice rest = slice_str(operands);

	while (rest.n) {
		struct slice one = cut(&rest, " | ");
		size_t i = 0;

		while (i < typed->n && takes(cut(&one, " "), typed->v[i]))
			i++;
		if (i == typed->n)
			print_words(cut(&one, " "));
	}
}

void args_action(const struct command *c, const char *action, char *out, size_t cap)
{
	struct slice rest = slice_str(c->operands), one = { 0 };

	*out = '\0';
	while (rest.n) {
		one = cut(&rest, " | ");
		if (slice_is(cut(&one, " "), action))
			snprintf(out, cap, "%.*s", (int)one.n, (const char *)one.p);
	}
}

/* The option whose value is the next word, or NULL. */
static const struct arg *waits(const struct arg *args, size_t n, const char *word)
{
	for (size_t i = 0; i < n && !strncmp(word, "--", 2); i++)
		if (!strcmp(word + 2, args[i].name))
			return args[i].value ? &args[i] : NULL;
	return NULL;
}

static void completions(const struct command *c, const struct arg *args, size_t n, int words, char **word)
{
	struct operands typed = { .n = 0 };
	const struct arg *value = NULL;

	for (int i = 0; i < words; i++) {
		if (!strcmp(word[i], "=")) /* a word of its own for bash */
			continue;
		if (!value && word[i][0] != '-' && typed.n < OPERANDS_MAX)
			typed.v[typed.n++] = word[i];
		value = value ? NULL : waits(args, n, word[i]);
	}
	if (value) {
		print_words(slice_str(value->value));
		return;
	}
	print_next(c->operands, &typed);
	for (size_t i = 0; i < n; i++)
		printf("--%s\n", args[i].name);
	printf("--help\n");
}

static void man_part(const struct command *c, const struct arg *args, size_t n)
{
	char title[256];

	snprintf(title, sizeof(title), "sealway %s %s", c->name, c->operands);
	roff_sub(stdout, title);
	roff_text(stdout, c->summary);
	for (size_t i = 0; i < n; i++) {
		snprintf(title, sizeof(title), "--%s", args[i].name);
		roff_item(stdout, title, args[i].value, args[i].help);
	}
	if (*c->details)
		roff_text(stdout, c->details);
}

bool args_shell(const struct command *c, const struct arg *args, size_t n, int argc, char **argv)
{
	const char *last = argc > 1 ? argv[argc - 1] : "";

	if (!strcmp(last, ARGS_COMPLETIONS))
		completions(c, args, n, argc - 2, argv + 1);
	else if (!strcmp(last, ARGS_MAN_PART))
		man_part(c, args, n);
	else
		return false;
	return true;
}
