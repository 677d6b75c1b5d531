/* SPDX-License-Identifier: Apache-2.0
 *
 * sealway top: samples of the broker, every few seconds, on a screen of its own
 * that is given back as it was, whatever ends it.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "client/cli/admin.h"
#include "client/cli/cli.h"
#include "client/cli/top.h"

#define ROWS_DEFAULT 1000 /* not a terminal */
#define SCREEN_ON "\033[?1049h\033[?25l"
#define SCREEN_OFF "\033[?25h\033[?1049l"
#define SCREEN_HOME "\033[H\033[J"

static volatile sig_atomic_t ended;

static void on_signal(int number)
{
	(void)number;
	ended = 1;
}

static json_t *sample(struct admin_where *w)
{
	json_t *now = admin_call(w, "top", json_object());

	w->dir = "."; /* the first call went there */
	return now;
}

static void show(const json_t *before, const json_t *now, bool live)
{
	struct winsize size = { .ws_row = ROWS_DEFAULT, .ws_col = ROWS_DEFAULT };
	struct buf out = { 0 };

	if (live && (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || !size.ws_row))
		size = (struct winsize){ .ws_row = 24, .ws_col = 80 };
	if (live)
		buf_str(&out, SCREEN_HOME);
	/* a line feed on the last line would scroll the first one away */
	top_view(&out, before, now, live ? size.ws_row - 1u : size.ws_row, size.ws_col);
	fwrite(out.p, 1, out.n, stdout);
	fflush(stdout);
	buf_free(&out);
}

static void wait_s(uint64_t seconds)
{
	struct timespec left = { .tv_sec = (time_t)seconds };

	nanosleep(&left, NULL); /* a signal ends it early: wanted */
}

static int live(struct admin_where *w, uint64_t seconds)
{
	const struct sigaction end = { .sa_handler = on_signal };
	json_t *before = NULL, *now = sample(w);

	if (!now)
		return EXIT_FAILED;
	sigaction(SIGINT, &end, NULL);
	sigaction(SIGTERM, &end, NULL);
	sigaction(SIGHUP, &end, NULL);
	fputs(SCREEN_ON, stdout);
	while (now && !ended) {
		show(before, now, true);
		json_decref(before);
		before = now;
		wait_s(seconds);
		now = ended ? NULL : sample(w);
	}
	json_decref(before);
	fputs(SCREEN_OFF, stdout);
	fflush(stdout);
	return ended ? EXIT_OK : EXIT_FAILED;
}

static int once(struct admin_where *w, uint64_t seconds)
{
	json_t *before = sample(w), *now = NULL;

	if (before && !w->json) {
		wait_s(seconds);
		now = sample(w);
	}
	if (now)
		show(before, now, false);
	else if (before && w->json)
		admin_print(w, before, NULL);
	json_decref(now);
	json_decref(before);
	return before && (now || w->json) ? EXIT_OK : EXIT_FAILED;
}

int cmd_top(int argc, char **argv)
{
	static const struct command c = {
		"top",
		"",
		"A live view of the broker: requests and units per second, nodes, workers.",
		"--json prints one sample: counters that only grow, and the ms at which they were read.\n"
		"Without a terminal, one view is printed.",
		0,
		0,
	};
	struct admin_where w;
	struct operands words;
	uint64_t seconds = 1;
	bool one = false;

	admin_where_init(&w);
	const struct arg args[] = {
		ADMIN_ARGS(&w),
		{ "once", ARG_FLAG, &one, NULL, "print one view and end", 0, 0 },
		{ "seconds", ARG_U64, &seconds, "N", "between samples (default: 1)", 1, 3600 },
	};
	enum args_result r = args_parse(&c, args, sizeof(args) / sizeof(args[0]), argc, argv, &words);

	if (r != ARGS_RUN)
		return r;
	return one || w.json || !isatty(STDOUT_FILENO) ? once(&w, seconds) : live(&w, seconds);
}
