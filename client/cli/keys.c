/* SPDX-License-Identifier: Apache-2.0
 *
 * sealway keys: makes the keys of the processes (CURVE between them, Ed25519 of
 * the proxy and of nodes), lists them, and keeps the list of who may connect.  Formats: common/keys.h; the
 * allow-list `peers` is read by the broker (common/zauth.h).
 */
#include <dirent.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client/cli/args.h"
#include "client/cli/cli.h"
#include "client/cli/keys.h"
#include "client/cli/peers.h"
#include "common/b64.h"
#include "common/keys.h"

#define NAME_MAX_BYTES 64

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

/* Puts the public key of DIR/NAME.pub on the broker's list. */
static bool allow(const char *dir, const char *role, const char *name)
{
	char path[4096];
	uint8_t key[32];

	snprintf(path, sizeof(path), "%s/%s.pub", dir, name);
	if (key_load_public(path, key) != ERR_OK || !peers_add(dir, role, name, key))
		return false;
	printf("allowed %s as a %s in %s/peers\n", name, role, dir);
	return peers_taken(dir);
}

static int new_proxy(const char *dir)
{
	bool ok = made(key_new_curve(dir, "broker"), dir, "broker");

	ok = made(key_new_curve(dir, "gateway"), dir, "gateway") && ok;
	ok = made(key_new_curve(dir, "worker"), dir, "worker") && ok;
	ok = made(key_new_sign(dir, "proxy-request"), dir, "proxy-request") && ok;
	ok = made(key_new_sign(dir, "proxy-auth"), dir, "proxy-auth") && ok;
	ok = ok && allow(dir, "gateway", "gateway") && allow(dir, "worker", "worker");
	return ok ? EXIT_OK : EXIT_FAILED;
}

/* One more key for a role, beside those that it has. */
static int new_peer(const char *dir, const char *role, const char *name)
{
	if (strcmp(role, "gateway") && strcmp(role, "worker")) {
		fprintf(stderr, "sealway keys: new gateway NAME, or new worker NAME\n");
		return EXIT_USAGE;
	}
	if (strlen(name) > NAME_MAX_BYTES || strpbrk(name, " \t\r\n#/") || *name == '.') {
		fprintf(stderr, "sealway keys: a name has up to %d characters and none of: space # /\n",
			NAME_MAX_BYTES);
		return EXIT_USAGE;
	}
	return keys_dir(dir) && made(key_new_curve(dir, name), dir, name) && allow(dir, role, name)
		       ? EXIT_OK
		       : EXIT_FAILED;
}

/* The key files stay: they are of no use any more, and not ours to delete. */
static int revoke(const char *dir, const char *name)
{
	int n = peers_remove(dir, name);
	bool taken = n > 0 && peers_taken(dir);

	if (n > 0)
		printf("revoked %s: %d line%s taken out of %s/peers; %s\n", name, n, n == 1 ? "" : "s", dir,
		       taken ? "a broker that runs cuts the peer now"
			     : "a broker that runs does not know, and the peer stays");
	else if (n == 0)
		fprintf(stderr,
			"sealway keys: %s/peers has nobody named \"%s\" (sealway keys list shows them)\n",
			dir, name);
	return taken ? EXIT_OK : EXIT_FAILED;
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
		char path[4096], text[B64_LEN(32) + 1] = "", roles[128];
		uint8_t key[32];

		snprintf(path, sizeof(path), "%s/%s", dir, names[i]->d_name);
		if (key_load_public(path, key) == ERR_OK) {
			b64_put(text, key, sizeof(key));
			peers_roles(dir, key, roles, sizeof(roles));
			printf("%-20.*s %s%s%s\n", (int)strlen(names[i]->d_name) - 4, names[i]->d_name, text,
			       *roles ? "  allowed: " : "", roles);
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

static int run(const struct command *c, const char *dir, const char *name, const struct operands *words)
{
	const char *what = words->v[0];

	if (!strcmp(what, "list") && words->n == 1)
		return list(dir);
	if (!strcmp(what, "new") && words->n == 1)
		return keys_dir(dir) ? new_proxy(dir) : EXIT_FAILED;
	if (!strcmp(what, "new") && words->n == 3)
		return new_peer(dir, words->v[1], words->v[2]);
	if (!strcmp(what, "revoke") && words->n == 2)
		return revoke(dir, words->v[1]);
	if (!strcmp(what, "node") && words->n == 1 && !strchr(name, '/'))
		return keys_dir(dir) && made(key_new_sign(dir, name), dir, name) ? EXIT_OK : EXIT_FAILED;
	return args_wrong(c);
}

int cmd_keys(int argc, char **argv)
{
	static const struct command c = {
		"keys",
		"new [gateway|worker NAME] | node | list | revoke NAME",
		"Makes, lists and revokes the keys of the processes in one directory.",
		"new   broker, gateway, worker (between the processes), proxy-request and proxy-auth "
		"(towards\n"
		"      the nodes), and peers, the broker's list of who may connect\n"
		"new gateway NAME, new worker NAME\n"
		"      one more key for that role, put on the list beside the others\n"
		"node  the signing key of a node (default name: node)\n"
		"list  names and public keys, and what peers allows them\n"
		"revoke NAME\n"
		"      takes a name (or a public key) off the list; a running broker cuts the peer at "
		"once\n\n"
		"NAME.key is secret (mode 0600), NAME.pub is public.  Nothing is ever overwritten.",
		1,
		3,
	};
	const char *dir = ".", *name = "node";
	const struct arg args[] = {
		{ "dir", ARG_TEXT, &dir, "DIR", "where the keys are (default: here)", 0, 0 },
		{ "name", ARG_TEXT, &name, "NAME", "name of the node's key files (default: node)", 0, 0 },
	};
	struct operands words;
	enum args_result r = args_parse(&c, args, 2, argc, argv, &words);

	if (r != ARGS_RUN)
		return r;
	if (sodium_init() < 0)
		return EXIT_FAILED;
	return run(&c, dir, name, &words);
}
