/* SPDX-License-Identifier: Apache-2.0
 *
 * Processes of `up`.  Each is in a process group of its own (Ctrl-C reaches
 * only `up`, which stops them in order) and dies with `up`, however that ends
 * (PR_SET_PDEATHSIG).  The bearer token is in neither argument nor environment.
 */
#define _GNU_SOURCE /* close_range */

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client/cli/up.h"

#define LOG_BYTES_MAX (16 << 20) /* at a start a longer log is set aside */
#define LOG_TAIL 2000
#define BACKOFF_MS 100
#define BACKOFF_MAX_MS 5000

extern char **environ;

/* Settings and secrets of the person's own (SEALWAY_TOKEN, ...) are not the processes'. */
static char **clean_environment(void)
{
	size_t n = 0, k = 0;
	char **env;

	while (environ[n])
		n++;
	env = mem_new((n + 1) * sizeof(*env));
	for (size_t i = 0; i < n; i++)
		if ((strncmp(environ[i], "SEALWAY_", 8) || !strncmp(environ[i], "SEALWAY_LOG_LEVEL=", 18)) &&
		    strncmp(environ[i], "NOTIFY_SOCKET=", 14) && strncmp(environ[i], "WATCHDOG_", 9))
			env[k++] = environ[i];
	return env;
}

static int open_log(const char *name)
{
	char path[64], old[72];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "log/%s.log", name);
	snprintf(old, sizeof(old), "%s.1", path);
	if (!stat(path, &st) && st.st_size > LOG_BYTES_MAX)
		rename(path, old);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		fprintf(stderr, "sealway up: cannot write %s: %s\n", path, strerror(errno));
	return fd;
}

/* Between fork and exec: nothing but async-signal-safe calls. */
static void become(const char *program, char *const argv[], char *const env[], int log, pid_t parent)
{
	sigset_t none;

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || setpgid(0, 0))
		_exit(1);
	if (dup2(open("/dev/null", O_RDONLY), 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0)
		_exit(1);
	close_range(3, ~0U, 0);
	execve(program, argv, env);
	_exit(127);
}

static void ready_path(const struct up_child *c, char out[64])
{
	snprintf(out, 64, "run/%s.ready", c->name);
}

bool up_spawn(struct up *u, struct up_child *c)
{
	char conf[64], ready[64];
	char *argv[] = { u->programs[c->role], (char *)"--config", conf, NULL };
	char **env = clean_environment();
	pid_t parent = getpid(), pid = -1;
	int log = open_log(c->name);

	snprintf(conf, sizeof(conf), "conf/%s.ini", c->name);
	ready_path(c, ready);
	unlink(ready);
	if (log >= 0 && up_write_conf(u, c)) { /* else it is said */
		pid = fork();
		if (pid < 0)
			fprintf(stderr, "sealway up: cannot start %s: %s\n", c->name, strerror(errno));
	}
	if (pid == 0)
		become(u->programs[c->role], argv, env, log, parent);
	if (log >= 0)
		close(log);
	free(env);
	c->pid = pid > 0 ? pid : 0;
	c->wanted = true;
	c->started = uv_now(loop_uv(u->loop));
	return pid > 0;
}

static void say_end(const struct up *u, const struct up_child *c, int status, uint64_t wait)
{
	if (WIFSIGNALED(status))
		fprintf(stderr, "sealway up: %s was killed by signal %d (%s)", c->name, WTERMSIG(status),
			strsignal(WTERMSIG(status)));
	else
		fprintf(stderr, "sealway up: %s ended with status %d", c->name, WEXITSTATUS(status));
	fprintf(stderr, "; starting it again in %.1f s (log: %s/log/%s.log)\n", (double)wait / 1000, u->dir,
		c->name);
}

void up_reap(struct up *u, struct up_child *c)
{
	uint64_t now = uv_now(loop_uv(u->loop)), wait = BACKOFF_MS;
	int status;

	if (!c->pid || waitpid(c->pid, &status, WNOHANG) != c->pid)
		return;
	c->pid = 0;
	if (!c->wanted)
		return;
	c->deaths = now - c->started > UP_STEADY_MS ? 1 : c->deaths + 1;
	for (unsigned i = 1; i < c->deaths && wait < BACKOFF_MAX_MS; i++)
		wait *= 2;
	wait = wait < BACKOFF_MAX_MS ? wait : BACKOFF_MAX_MS;
	c->restart_at = now + wait;
	say_end(u, c, status, wait);
}

void up_show_log(const struct up_child *c)
{
	char path[64], text[LOG_TAIL + 1];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "log/%s.log", c->name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	if (lseek(fd, -LOG_TAIL, SEEK_END) < 0)
		lseek(fd, 0, SEEK_SET);
	n = read(fd, text, LOG_TAIL);
	if (n > 0)
		fprintf(stderr, "--- the end of %s\n%.*s", path, (int)n, text);
	close(fd);
}

bool up_child_ready(const struct up_child *c, const char *member, char *out, size_t n)
{
	char path[64];
	json_t *o;
	const char *text;

	ready_path(c, path);
	if (!c->pid || access(path, R_OK))
		return false;
	o = json_load_file(path, 0, NULL);
	text = json_string_value(json_object_get(o, member));
	snprintf(out, n, "%s", text ? text : "");
	json_decref(o);
	return o != NULL;
}
