/* SPDX-License-Identifier: Apache-2.0
 *
 * Command lines of the subcommands: one table per subcommand parses, checks
 * and prints --help.
 */
#ifndef SEALWAY_CLIENT_CLI_ARGS_H
#define SEALWAY_CLIENT_CLI_ARGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum arg_type {
	ARG_FLAG, /* to: bool */
	ARG_TEXT, /* to: const char *, borrowed from argv */
	ARG_U64,  /* to: uint64_t, checked against min and max */
};

struct arg {
	const char *name; /* without the dashes */
	enum arg_type type;
	void *to;          /* holds the default before parsing */
	const char *value; /* name of the value in --help, NULL for flags */
	const char *help;
	uint64_t min, max;
};

#define OPERANDS_MAX 8

struct command {
	const char *name;     /* "complete" */
	const char *operands; /* "TEXT|-" as shown, "" for none */
	const char *summary;  /* one line */
	const char *details;  /* paragraphs under the options, "" for none */
	size_t min_operands, max_operands;
};

struct operands {
	const char *v[OPERANDS_MAX];
	size_t n;
};

/* As the last word these print the table for shells (what may follow the words
 * before, a word per line) and for the manual, instead of running anything. */
#define ARGS_COMPLETIONS "--completions"
#define ARGS_MAN_PART "--man-part"

/* Exit statuses of every subcommand. */
enum { EXIT_OK = 0, EXIT_FAILED = 1, EXIT_USAGE = 2 };

enum args_result {
	ARGS_RUN = -1,
	/* the command is to end with this as its status */
	ARGS_HELP = EXIT_OK,     /* --help or one of the above was served */
	ARGS_USAGE = EXIT_USAGE, /* said on stderr what is wrong */
};

/* Reads argv[1..] (argv[0] is the subcommand).  "--name value", "--name=value",
 * and "--" before operands that begin with dashes; a single "-" is an operand. */
enum args_result args_parse(const struct command *c, const struct arg *args, size_t n, int argc, char **argv,
			    struct operands *out);

/* Serves a call whose last word is one of the above; false for every other. */
bool args_shell(const struct command *c, const struct arg *args, size_t n, int argc, char **argv);

/* The operands of one action: of "list | add NAME" for add, "NAME". */
void args_action(const struct command *c, const char *action, char *out, size_t cap);

/* An operand that is an identifier: 1..2^53-1. */
bool args_number(const char *word, uint64_t *out);

/* Says on stderr how the operands should look; returns EXIT_USAGE. */
int args_wrong(const struct command *c);

/* Says on stderr that an option is missing, by its name; returns EXIT_USAGE. */
int args_missing(const struct command *c, const char *what);

#endif
