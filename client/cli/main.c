/* SPDX-License-Identifier: Apache-2.0
 *
 * `sealway`: finds the subcommand and runs it.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "client/cli/args.h"
#include "client/cli/cli.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *line;
} commands[] = {
#define X(name, fn, line) { name, fn, line },
	COMMANDS(X)
#undef X
};

static void overview(FILE *to)
{
	fprintf(to, "usage: sealway COMMAND [options] ...\n\nEnd-to-end encrypted inference: what you ask "
		    "and what "
		    "you get is\nreadable by you and the node that answers, by nothing in between.\n\n");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(to, "  %-10s %s\n", commands[i].name, commands[i].line);
	fprintf(to, "\nsealway COMMAND --help tells more.  First command to try: sealway up\n");
}

int main(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(name, commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	if (!strcmp(name, "--version")) {
		printf("sealway %s\n", SEALWAY_VERSION);
		return EXIT_OK;
	}
	if (!strcmp(name, "--help") || !strcmp(name, "-h") || !strcmp(name, "help")) {
		overview(stdout);
		return EXIT_OK;
	}
	if (argc > 1)
		fprintf(stderr, "sealway: no command \"%s\"\n\n", name);
	overview(stderr);
	return EXIT_USAGE;
}
