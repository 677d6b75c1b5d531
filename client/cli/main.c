/* SPDX-License-Identifier: Apache-2.0
 *
 * `sealway`: finds the subcommand and runs it.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "client/cli/args.h"
#include "client/cli/cli.h"
#include "common/roff.h"
#include "common/standard.h"

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
	fprintf(to, "\nsealway COMMAND --help tells more, sealway --man | man -l - everything.\n"
		    "First command to try: sealway up\n");
}

static void names(void)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		printf("%s\n", commands[i].name);
	printf("--help\n--man\n--version\n");
}

static void part_of(size_t i, const char *action)
{
	char words[3][32];
	char *argv[3] = { words[0], words[1], words[2] };

	snprintf(words[0], sizeof(words[0]), "%s", commands[i].name);
	snprintf(words[1], sizeof(words[1]), "%s", action ? action : ARGS_MAN_PART);
	snprintf(words[2], sizeof(words[2]), "%s", ARGS_MAN_PART);
	(void)commands[i].run(action ? 3 : 2, argv);
}

static void man_surroundings(void)
{
	static const char *const environment[][2] = {
		{ "SEALWAY_URL", "The gateway that is asked." },
		{ "SEALWAY_TOKEN", "Bearer token; arguments could be seen by others." },
		{ "SEALWAY_MODEL", "The model that is asked." },
		{ "SEALWAY_KNOWN_NODES", "File of pinned node keys." },
		{ "SEALWAY_DIR", "Data directory of sealway up, where operator's commands find the broker." },
		{ "SEALWAY_ADMIN", "The broker's admin socket instead." },
		{ "https_proxy, http_proxy, all_proxy, no_proxy",
		  "Proxies on the way to the gateway, as of curl; none to this machine itself." },
	};

	roff_section(stdout, "ENVIRONMENT");
	for (size_t i = 0; i < sizeof(environment) / sizeof(environment[0]); i++)
		roff_item(stdout, environment[i][0], NULL, environment[i][1]);
	roff_section(stdout, "FILES");
	roff_item(stdout, "~/.config/sealway/known_nodes", NULL, "Keys of nodes, pinned at first use.");
	roff_item(stdout, "sealway-data", NULL, "What sealway up keeps: ledger, keys, settings, logs.");
	roff_section(stdout, "EXIT STATUS");
	roff_text(stdout, "0 done, 1 failed (said on standard error), 2 mistyped.");
	roff_section(stdout, "SEE ALSO");
	roff_text(stdout, "sealway-gateway(8), sealway-broker(8), sealway-worker(8), sealway-node(8)");
}

/* Each command tells its own part. */
static void manual(void)
{
	roff_head(stdout, "sealway", 1, "end-to-end encrypted inference: ask, verify, operate");
	roff_section(stdout, "SYNOPSIS");
	roff_text(stdout, "sealway COMMAND [options] ...");
	roff_section(stdout, "COMMANDS");
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		part_of(i, NULL);
		if (!strcmp(commands[i].name, "node"))
			part_of(i, "admit"); /* the one action with options of its own */
	}
	man_surroundings();
}

static int dispatch(int argc, char **argv)
{
	const char *name = argc > 1 ? argv[1] : "";

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(name, commands[i].name))
			return commands[i].run(argc - 1, argv + 1);
	if (argc > 1 && !strcmp(argv[argc - 1], ARGS_COMPLETIONS)) { /* nothing follows --help */
		if (argc == 2)
			names();
		return EXIT_OK;
	}
	if (!strcmp(name, "--man")) {
		manual();
		return EXIT_OK;
	}
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

/* What could not be written was not told: no success, above all not for a token. */
int main(int argc, char **argv)
{
	int status;

	standard_open();
	signal(SIGPIPE, SIG_IGN);
	status = dispatch(argc, argv);
	if ((fflush(stdout) != 0 || ferror(stdout)) && status == EXIT_OK) {
		fprintf(stderr, "sealway: the output cannot be written\n");
		status = EXIT_FAILED;
	}
	return status;
}
