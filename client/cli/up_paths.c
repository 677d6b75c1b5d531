/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the other programs are: beside this one (installed), in the folders of
 * a build tree (B/client/sealway, B/gateway/sealway-gateway), or in libexec.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cli/up.h"

static bool find(const char *here, const char *role, char out[PATH_MAX])
{
	char tries[3][PATH_MAX];

	snprintf(tries[0], PATH_MAX, "%s/sealway-%s", here, role);
	snprintf(tries[1], PATH_MAX, "%s/../%s/sealway-%s", here, role, role);
	snprintf(tries[2], PATH_MAX, "%s/../libexec/sealway/sealway-%s", here, role);
	for (int i = 0; i < 3; i++) {
		if (!access(tries[i], X_OK)) {
			memcpy(out, tries[i], PATH_MAX);
			return true;
		}
	}
	fprintf(stderr, "sealway: cannot find sealway-%s (looked beside %s and in ../%s)\n", role, here,
		role);
	return false;
}

/* The folder of this program.  False: said. */
static bool find_here(char here[PATH_MAX / 2])
{
	ssize_t n = readlink("/proc/self/exe", here, PATH_MAX / 2 - 1);

	if (n <= 0 || n >= PATH_MAX / 2 - 1) {
		fprintf(stderr, "sealway: cannot tell where this program is\n");
		return false;
	}
	here[n] = '\0';
	*strrchr(here, '/') = '\0';
	return true;
}

bool up_find_program(const char *role, char out[PATH_MAX])
{
	char here[PATH_MAX / 2];

	return find_here(here) && find(here, role, out);
}

bool up_find_programs(struct up *u)
{
	static const char *const roles[UP_ROLES] = { "broker", "worker", "gateway", "node" };

	for (int i = 0; i < UP_ROLES; i++)
		if (!up_find_program(roles[i], u->programs[i]))
			return false;
	return true;
}

/* The first sealway that a shell would find is this very file. */
static bool on_path(const struct stat *self)
{
	const char *p = getenv("PATH");
	char at[PATH_MAX];
	struct stat st;

	while (p && *p) {
		size_t n = strcspn(p, ":");

		snprintf(at, sizeof(at), "%.*s/sealway", (int)(n < PATH_MAX / 2 ? n : 0), p);
		if (!access(at, X_OK) && !stat(at, &st))
			return st.st_ino == self->st_ino && st.st_dev == self->st_dev;
		p += n + (p[n] == ':');
	}
	return false;
}

void up_command(char out[PATH_MAX])
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	struct stat st;

	if (n <= 0 || stat("/proc/self/exe", &st) || on_path(&st))
		n = snprintf(self, sizeof(self), "sealway");
	self[n] = '\0';
	memcpy(out, self, (size_t)n + 1);
}
