/* SPDX-License-Identifier: Apache-2.0
 *
 * sealway completion bash: a script that asks this program for the words, so that
 * it never knows others than the program does.
 */
#include <stdio.h>
#include <string.h>

#include "client/cli/args.h"
#include "client/cli/cli.h"

static const char bash[] =
	"# Completion of sealway for bash: source it, or put it into bash-completion's directory.\n"
	"_sealway()\n"
	"{\n"
	"\tlocal program=${COMP_WORDS[0]/#\\~\\//$HOME/} current=${COMP_WORDS[COMP_CWORD]} words\n"
	"\twords=$(\"$program\" \"${COMP_WORDS[@]:1:COMP_CWORD-1}\" --completions 2>/dev/null)\n"
	"\tCOMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
	"}\n"
	"complete -o default -F _sealway sealway\n";

int cmd_completion(int argc, char **argv)
{
	static const struct command c = {
		"completion",
		"bash",
		"Prints the completion of commands for bash.",
		"source <(sealway completion bash)",
		1,
		1,
	};
	struct operands words;
	enum args_result r = args_parse(&c, NULL, 0, argc, argv, &words);

	if (r != ARGS_RUN)
		return r;
	if (strcmp(words.v[0], "bash") != 0)
		return args_wrong(&c);
	fputs(bash, stdout);
	return EXIT_OK;
}
