/* SPDX-License-Identifier: Apache-2.0
 *
 * What a table of settings says of itself: --help, the example file, the manual page (conf.h).
 */
#include <stdio.h>

#include "common/conf.h"
#include "common/roff.h"

static const char *type_name(enum conf_type t)
{
	static const char *const names[] = {
		[CONF_STR] = "text", [CONF_U64] = "number", [CONF_BOOL] = "boolean"
	};

	return names[t];
}

static void flag_of(const struct conf_opt *o, char out[64])
{
	snprintf(out, 64, "--%s", o->name);
	for (char *p = out; *p; p++)
		*p = *p == '_' ? '-' : *p;
}

static void help_option(const struct conf_opt *o, FILE *to)
{
	char flag[64];

	flag_of(o, flag);
	fprintf(to, "  %-24s %s\n", flag, o->help);
	fprintf(to, "  %-24s (%s%s%s; default %s)\n", "", type_name(o->type), *o->unit ? ", " : "", o->unit,
		o->def && *o->def ? o->def : "none");
}

void conf_help(const struct conf_spec *spec, FILE *to)
{
	fprintf(to, "%s: %s\n\nUsage: %s [--config FILE] [--NAME VALUE ...]\n\n", spec->program,
		spec->summary, spec->program);
	fprintf(to, "  --config FILE            read settings from an INI file first\n"
		    "  --check-config           check everything, and the files named, and exit\n"
		    "  --example-config         print a commented file with every setting\n"
		    "  --man                    print the manual page\n"
		    "  --version, --help\n\nSettings (in the file as name = value, in the environment as "
		    "SEALWAY_NAME; flags win):\n\n");
	for (size_t i = 0; i < spec->n; i++)
		help_option(&spec->opts[i], to);
}

void conf_example(const struct conf_spec *spec, FILE *to)
{
	fprintf(to,
		"# %s: %s\n# Every setting with its default. Environment (SEALWAY_NAME) and flags (--name) "
		"win.\n",
		spec->program, spec->summary);
	for (size_t i = 0; i < spec->n; i++) {
		const struct conf_opt *o = &spec->opts[i];

		fprintf(to, "\n# %s\n# %s", o->help, type_name(o->type));
		if (o->type == CONF_U64)
			fprintf(to, " from %llu to %llu", (unsigned long long)o->min,
				(unsigned long long)o->max);
		fprintf(to, "%s%s\n#%s = %s\n", *o->unit ? ", " : "", o->unit, o->name, o->def ? o->def : "");
	}
}

static void man_option(const struct conf_opt *o, FILE *to)
{
	char flag[64], text[512];

	flag_of(o, flag);
	snprintf(text, sizeof(text), "%s Default: %s%s%s.", o->help, o->def && *o->def ? o->def : "none",
		 *o->unit ? " " : "", o->unit);
	roff_item(to, flag, type_name(o->type), text);
}

void conf_man(const struct conf_spec *spec, FILE *to)
{
	char usage[128], signals[256];

	roff_head(to, spec->program, 8, spec->summary);
	roff_section(to, "SYNOPSIS");
	snprintf(usage, sizeof(usage), "%s [--config FILE] [--NAME VALUE ...]", spec->program);
	roff_text(to, usage);
	roff_section(to, "OPTIONS");
	roff_item(to, "--config", "file", "Read settings from an INI file first.");
	roff_item(to, "--check-config", NULL, "Check everything, and the files named, and exit.");
	roff_item(to, "--example-config", NULL, "Print a commented file with every setting.");
	roff_item(to, "--man", NULL, "Print this page.");
	roff_item(to, "--version, --help", NULL, "Say what they say.");
	roff_section(to, "SETTINGS");
	roff_text(to, "In the file as name = value, in the environment as SEALWAY_NAME; flags win.");
	for (size_t i = 0; i < spec->n; i++)
		man_option(&spec->opts[i], to);
	roff_section(to, "SIGNALS");
	snprintf(signals, sizeof(signals),
		 "SIGTERM, SIGINT: drain: nothing new, what runs is finished, exit 0; a second one cuts.\n"
		 "SIGHUP: %s.",
		 spec->sighup ? spec->sighup : "nothing; restart it for other settings");
	roff_text(to, signals);
	roff_section(to, "EXIT STATUS");
	roff_text(to, "0 ended as asked, 1 could not serve or was cut, 2 wrong settings (said on standard error).");
	roff_section(to, "SEE ALSO");
	roff_text(to, "sealway(1)");
}
