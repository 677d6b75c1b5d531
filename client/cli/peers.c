/* SPDX-License-Identifier: Apache-2.0
 *
 * Changing the allow-list (peers.h).  A new file is written and renamed into
 * place, so that a broker that watches it sees the old list or the new one and
 * nothing between them.  Lines that are not touched, comments too, stay as they
 * are.
 */
#include "client/cli/peers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/b64.h"
#include "common/mem.h"

#define HEAD "# role, public key, name: who may connect to the broker\n"
#define LINE_MAX_BYTES 512 /* as the broker reads them */

struct entry {
	char role[32], key[64], name[256];
};

/* False for comments, empty lines and what is no entry. */
static bool entry_read(const char *line, struct entry *e)
{
	e->name[0] = 0;
	return sscanf(line, " %31[^ \t#\r\n] %63[^ \t#\r\n] %255[^ \t#\r\n]", e->role, e->key, e->name) >= 2;
}

static int failed(const char *path, const char *what)
{
	fprintf(stderr, "sealway keys: cannot %s %s: %s\n", what, path, strerror(errno));
	return -1;
}

/* Copies the list without the lines of name (NULL: with all) and appends more.
 * How many were left out. */
static int copy(FILE *from, FILE *to, const char *name, const char *more)
{
	char line[LINE_MAX_BYTES];
	struct entry e;
	int n = 0;

	if (!from)
		fputs(HEAD, to);
	while (from && fgets(line, sizeof(line), from)) {
		if (name && entry_read(line, &e) && (!strcmp(e.name, name) || !strcmp(e.key, name)))
			n++;
		else
			fputs(line, to);
	}
	fputs(more, to);
	return n;
}

/* Writes the new list beside the old one and puts it into its place. */
static int rewrite(const char *path, const char *name, const char *more)
{
	char temp[4096 + 8];
	FILE *from = fopen(path, "re"), *to;
	int fd, n;

	if (!from && (errno != ENOENT || name))
		return failed(path, "read");
	snprintf(temp, sizeof(temp), "%s.XXXXXX", path);
	fd = mkstemp(temp);
	to = fd < 0 ? NULL : fdopen(fd, "w");
	if (!to) {
		if (from)
			fclose(from);
		return failed(temp, "write");
	}
	n = copy(from, to, name, more);
	if (from && ferror(from))
		n = failed(path, "read");
	if (from)
		fclose(from);
	if (ferror(to) || fflush(to) || fchmod(fd, 0644) || fsync(fd))
		n = failed(temp, "write");
	if (fclose(to) && n >= 0)
		n = failed(temp, "write");
	if (n >= 0 && rename(temp, path) != 0)
		n = failed(path, "replace");
	if (n < 0)
		unlink(temp);
	return n;
}

static bool listed(const char *path, const char *name)
{
	char line[LINE_MAX_BYTES];
	FILE *f = fopen(path, "re");
	struct entry e;
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = entry_read(line, &e) && !strcmp(e.name, name);
	if (f)
		fclose(f);
	return found;
}

/* Held from reading to renaming: else one of two changes at once would undo the other.  -1: said. */
static int lock_list(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0 && !flock(fd, LOCK_EX))
		return fd;
	if (fd >= 0)
		close(fd);
	return failed(dir, "lock");
}

bool peers_add(const char *dir, const char *role, const char *name, const uint8_t key[32])
{
	char path[4096], text[B64_LEN(32) + 1] = "", line[LINE_MAX_BYTES];
	int lock = lock_list(dir);
	bool there, done = false;

	if (lock < 0)
		return false;
	snprintf(path, sizeof(path), "%s/peers", dir);
	b64_put(text, key, 32);
	snprintf(line, sizeof(line), "%s %s %s\n", role, text, name);
	there = listed(path, name);
	if (there)
		fprintf(stderr, "sealway keys: %s lists \"%s\" already\n", path, name);
	else
		done = rewrite(path, NULL, line) >= 0;
	close(lock);
	return done;
}

int peers_remove(const char *dir, const char *name)
{
	int lock = lock_list(dir), n;
	char path[4096];

	if (lock < 0)
		return -1;
	snprintf(path, sizeof(path), "%s/peers", dir);
	n = rewrite(path, name, "");
	close(lock);
	return n;
}

static bool is_role(const char *word)
{
	return !strcmp(word, "gateway") || !strcmp(word, "worker") || !strcmp(word, "broker");
}

/* What is wrong with a line, in the eyes of the broker (common/zauth.c); NULL: nothing. */
static const char *line_fault(char *line)
{
	static const char blanks[] = " \t\r\n";
	char *save, *word;
	uint8_t key[32];

	line[strcspn(line, "#")] = 0;
	word = strtok_r(line, blanks, &save);
	if (!word)
		return NULL;
	if (!is_role(word))
		return "the role is none of gateway, worker, broker";
	word = strtok_r(NULL, blanks, &save);
	if (!word || b64_decode_exact(slice_str(word), key, sizeof(key)))
		return "the key is not base64 of 32 bytes";
	return strtok_r(NULL, blanks, &save) && strtok_r(NULL, blanks, &save)
		       ? "there are words after the name"
		       : NULL;
}

static bool lines_taken(FILE *f, const char *path)
{
	char line[LINE_MAX_BYTES];
	const char *fault = NULL;
	unsigned n = 0;

	while (!fault && fgets(line, sizeof(line), f)) {
		n++;
		fault = strchr(line, '\n') || feof(f) ? line_fault(line) : "the line is too long";
	}
	if (ferror(f))
		return failed(path, "read") == 0;
	if (fault)
		fprintf(stderr, "sealway keys: %s:%u: %s: a broker takes none of a list with a mistake\n",
			path, n, fault);
	return !fault;
}

bool peers_taken(const char *dir)
{
	char path[4096];
	FILE *f;
	bool taken;

	snprintf(path, sizeof(path), "%s/peers", dir);
	f = fopen(path, "re");
	if (!f)
		return failed(path, "read") == 0;
	taken = lines_taken(f, path);
	fclose(f);
	return taken;
}

void peers_roles(const char *dir, const uint8_t key[32], char *out, size_t n)
{
	char path[4096], text[B64_LEN(32) + 1] = "", line[LINE_MAX_BYTES];
	struct entry e;
	FILE *f;

	*out = 0;
	snprintf(path, sizeof(path), "%s/peers", dir);
	f = fopen(path, "re");
	b64_put(text, key, 32);
	while (f && fgets(line, sizeof(line), f)) {
		size_t used = strlen(out);

		if (entry_read(line, &e) && !strcmp(e.key, text))
			snprintf(out + used, n - used, "%s%s", used ? "," : "", e.role);
	}
	if (f)
		fclose(f);
}
