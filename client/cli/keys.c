/* SPDX-License-Identifier: Apache-2.0
 *
 * sealway keys: makes the keys of the processes (CURVE between them, Ed25519 of
 * the proxy and of nodes) and lists them.  Formats: common/keys.h; the
 * allow-list `peers` is read by the broker (common/zauth.h).
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cli/args.h"
#include "client/cli/cli.h"
#include "client/cli/keys.h"
#include "common/b64.h"
#include "common/keys.h"

static bool made(enum err e, const char *dir, const char *name)
{
	if (e == ERR_OK)
		printf("made %s/%s.key and %s/%s.pub\n", dir, name, dir, name);
	else if (e == ERR_EXISTS)
		fprintf(stderr, "sealway keys: %s/%s.key exists already and is left as it is\n", dir, name);
	else
		fprintf(stderr, "sealway keys: cannot make %s/%s.key: %s\n", dir, name, strerror(errno));
	return e == ERR_OK;
}

static bool peer_line(FILE *to, const char *dir, const char *role)
{
	char path[4096], text[B64_LEN(32) + 1] = "";
	uint8_t key[32];

	snprintf(path, sizeof(path), "%s/%s.pub", dir, role);
	if (key_load_public(path, key))
		return false;
	b64_put(text, key, sizeof(key));
	return fprintf(to, "%s %s %s\n", role, text, role) > 0;
}

/* The broker's allow-list with the two keys just made. */
static bool write_peers(const char *dir)
{
	char path[4096];
	FILE *to;
	bool ok;
	int fd;

	snprintf(path, sizeof(path), "%s/peers", dir);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	to = fd < 0 ? NULL : fdopen(fd, "w");
	ok = to && fprintf(to, "# role, public key, name: who may connect to the broker\n") > 0 &&
	     peer_line(to, dir, "gateway") && peer_line(to, dir, "worker");
	if (to)
		ok = !fclose(to) && ok;
	if (ok)
		printf("made %s\n", path);
	else
		fprintf(stderr, "sealway keys: cannot write %s: %s\n", path, strerror(errno));
	return ok;
}

static int new_proxy(const char *dir)
{
	bool ok = made(key_new_curve(dir, "broker"), dir, "broker");

	ok = made(key_new_curve(dir, "gateway"), dir, "gateway") && ok;
	ok = made(key_new_curve(dir, "worker"), dir, "worker") && ok;
	ok = made(key_new_sign(dir, "proxy-request"), dir, "proxy-request") && ok;
	ok = made(key_new_sign(dir, "proxy-auth"), dir, "proxy-auth") && ok;
	return ok && write_peers(dir) ? EXIT_OK : EXIT_FAILED;
}

static int is_pub(const struct dirent *d)
{
	size_t n = strlen(d->d_name);

	return n > 4 && !strcmp(d->d_name + n - 4, ".pub");
}

static int list(const char *dir)
{
	struct dirent **names;
	int n = scandir(dir, &names, is_pub, alphasort), status = EXIT_OK;

	if (n < 0) {
		fprintf(stderr, "sealway keys: cannot read %s: %s\n", dir, strerror(errno));
		return EXIT_FAILED;
	}
	for (int i = 0; i < n; i++) {
		char path[4096], text[B64_LEN(32) + 1] = "";
		uint8_t key[32];

		snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
		if (key_load_public(path, key) == ERR_OK) {
			b64_put(text, key, sizeof(key));
			printf("%-20.*s %s\n", (int)strlen(names[i]->d_name) - 4, names[i]->d_name, text);
		} else {
			status = EXIT_FAILED;
		}
		free(names[i]);
	}
	free(names);
	return status;
}

bool keys_dir(const char *dir)
{
	if (!mkdir(dir, 0700) || errno == EEXIST)
		return true;
	fprintf(stderr, "sealway: cannot make the directory %s: %s\n", dir, strerror(errno));
	return false;
}

int cmd_keys(int argc, char **argv)
{
	static const struct command c = {
		"keys",
		"new|node|list",
		"Makes or lists the keys of the processes in one directory.",
		"new   broker, gateway, worker (between the processes), proxy-request and proxy-auth "
		"(towards\n"
		"      the nodes), and peers, the broker's list of who may connect\n"
		"node  the signing key of a node (default name: node)\n"
		"list  names and public keys\n\n"
		"NAME.key is secret (mode 0600), NAME.pub is public.  Nothing is ever overwritten.",
		1,
		1,
	};
	const char *dir = ".", *name = "node";
	const struct arg args[] = {
		{ "dir", ARG_TEXT, &dir, "DIR", "where the keys are (default: here)", 0, 0 },
		{ "name", ARG_TEXT, &name, "NAME", "name of the node's key files (default: node)", 0, 0 },
	};
	struct operands words;

	switch (args_parse(&c, args, 2, argc, argv, &words)) {
	case ARGS_HELP:
		return EXIT_OK;
	case ARGS_USAGE:
		return EXIT_USAGE;
	case ARGS_RUN:
		break;
	}
	if (sodium_init() < 0)
		return EXIT_FAILED;
	if (!strcmp(words.v[0], "list"))
		return list(dir);
	if (!strcmp(words.v[0], "new"))
		return keys_dir(dir) ? new_proxy(dir) : EXIT_FAILED;
	if (!strcmp(words.v[0], "node") && !strchr(name, '/'))
		return keys_dir(dir) && made(key_new_sign(dir, name), dir, name) ? EXIT_OK : EXIT_FAILED;
	fprintf(stderr, "sealway keys: new, node or list (see sealway keys --help)\n");
	return EXIT_USAGE;
}
