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
#include <sys/stat.h>
#include <unistd.h>

#include "common/b64.h"
#include "common/file.h"
#include "common/zauth_list.h"

#define HEAD "# role, public key, name: who may connect to the broker\n"

/* Whether word stands in text as its name or its key; the line may have a mistake. */
static bool is_of(const char *text, const char *word)
{
	char copy[ZAUTH_LINE_BYTES];
	struct zauth_line line;

	snprintf(copy, sizeof(copy), "%s", text);
	zauth_line_read(copy, &line);
	return (line.name && !strcmp(line.name, word)) || (line.key && !strcmp(line.key, word));
}

static int failed(const char *path, const char *what)
{
	fprintf(stderr, "sealway keys: cannot %s %s: %s\n", what, path,
		errno == EWOULDBLOCK ? "another program holds its lock" : strerror(errno));
	return -1;
}

/* Copies the list without the lines of name (NULL: with all) and appends more.
 * How many were left out. */
static int copy(FILE *from, FILE *to, const char *name, const char *more)
{
	char line[ZAUTH_LINE_BYTES] = HEAD;
	int n = 0;

	if (!from)
		fputs(HEAD, to);
	while (from && fgets(line, sizeof(line), from)) {
		if (name && is_of(line, name))
			n++;
		else
			fputs(line, to);
	}
	if (*more && !strchr(line, '\n'))
		fputc('\n', to);
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
	char line[ZAUTH_LINE_BYTES];
	FILE *f = fopen(path, "re");
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = is_of(line, name);
	if (f)
		fclose(f);
	return found;
}

/* Held from reading to renaming: else one of two changes at once would undo the other.  -1: said. */
static int lock_list(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0 && file_lock(fd))
		return fd;
	failed(dir, "lock");
	if (fd >= 0)
		close(fd);
	return -1;
}

bool peers_add(const char *dir, const char *role, const char *name, const uint8_t key[32])
{
	char path[4096], text[B64_LEN(32) + 1] = "", line[ZAUTH_LINE_BYTES];
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

bool peers_taken(const char *dir)
{
	struct zauth_list *list = zauth_list_new();
	struct zauth_fault fault;
	char path[4096];
	enum err e;

	snprintf(path, sizeof(path), "%s/peers", dir);
	e = zauth_list_read(list, path, &fault);
	zauth_list_free(list);
	if (e == ERR_IO)
		fprintf(stderr, "sealway keys: cannot read %s: %s\n", path, fault.why);
	else if (e != ERR_OK)
		fprintf(stderr, "sealway keys: %s:%u: %s: a broker takes none of a list with a mistake\n",
			path, fault.line, fault.why);
	return e == ERR_OK;
}

void peers_roles(const char *dir, const uint8_t key[32], char *out, size_t n)
{
	char path[4096], text[ZAUTH_LINE_BYTES];
	struct zauth_line line;
	FILE *f;

	*out = 0;
	snprintf(path, sizeof(path), "%s/peers", dir);
	f = fopen(path, "re");
	while (f && fgets(text, sizeof(text), f)) {
		size_t used = strlen(out);

		if (!zauth_line_read(text, &line) && line.role && !memcmp(line.key_bytes, key, 32))
			snprintf(out + used, n - used, "%s%s", used ? "," : "", line.role);
	}
	if (f)
		fclose(f);
}
