/* SPDX-License-Identifier: Apache-2.0
 *
 * bench-node [--gateway URL --sign-key FILE --node-id N] [--processes N] [--model NAME] --ready-file FILE
 *
 * With a gateway it registers there like any node (node/register.c), and again
 * every 30 s.  More processes share the port and the keys: they are forked after
 * both exist, and end with their parent.
 */
#include <getopt.h>
#include <netinet/in.h>
#include <signal.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "common/httpd/admin.h"
#include "common/keys.h"
#include "common/log.h"
#include "common/conf.h"
#include "node/json.h"
#include "node/register.h"
#include "tests/bench/node/bench_node.h"

#define PROCESSES_MAX 16

struct opts {
	const char *gateway, *sign_key, *ready_file, *model;
	uint64_t node;
	unsigned processes;
};

static bool parse(int argc, char **argv, struct opts *o)
{
	static const struct option names[] = {
		{ "gateway", 1, 0, 'g' },
		{ "sign-key", 1, 0, 's' },
		{ "ready-file", 1, 0, 'r' },
		{ "processes", 1, 0, 'p' },
		{ "model", 1, 0, 'm' },
		{ "node-id", 1, 0, 'n' },
		{ 0 },
	};

	*o = (struct opts){ .gateway = "", .model = "bench", .node = 1, .processes = 1 };
	for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
		if (c == 'g')
			o->gateway = optarg;
		else if (c == 's')
			o->sign_key = optarg;
		else if (c == 'r')
			o->ready_file = optarg;
		else if (c == 'm')
			o->model = optarg;
		else if (c == 'p')
			o->processes = (unsigned)atoi(optarg);
		else if (c == 'n')
			o->node = strtoull(optarg, NULL, 10);
		else
			return false;
	}
	return optind == argc && o->ready_file && o->processes >= 1 && o->processes <= PROCESSES_MAX;
}

static int listener(uint16_t *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;
	socklen_t n = sizeof(a);

	a.sin_port = htons(*port);
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) || listen(fd, 4096) ||
	    getsockname(fd, (struct sockaddr *)&a, &n)) {
		perror("bench-node: listen");
		exit(1);
	}
	*port = ntohs(a.sin_port);
	return fd;
}

static void tell_ready(const struct opts *o, uint16_t port)
{
	char text[128];

	snprintf(text, sizeof(text), "{\"pid\":%ld,\"listen\":\"127.0.0.1:%u\"}\n", (long)getpid(), port);
	if (ready_file_write(o->ready_file, text) != ERR_OK)
		exit(1);
}

static struct sign_key *load_sign_key(const char *path)
{
	uint8_t seed[32];
	struct sign_key *k;

	randombytes_buf(seed, sizeof(seed));
	if (path && key_load(path, seed) != ERR_OK)
		exit(1);
	k = sign_key_new(seed);
	mem_wipe(seed, sizeof(seed));
	return k;
}

static void start_registrar(const struct opts *o, uv_loop_t *uv, uint16_t port, struct keys *keys,
			    const struct sign_key *sign)
{
	static struct models models;
	static struct registrar *registrar;
	char address[64], offer[320];
	struct registrar_opts r = { .uv = uv,
				    .gateways = o->gateway,
				    .ca_file = "",
				    .address = address,
				    .country = "ZZ",
				    .evidence_file = "",
				    .node = o->node,
				    .interval_s = 30,
				    .validity_s = 3600,
				    .sign = sign,
				    .keys = keys,
				    .models = &models };

	snprintf(address, sizeof(address), "http://127.0.0.1:%u", port);
	snprintf(offer, sizeof(offer),
		 "name=%s price=1 max_concurrent=1000000 max_units=1048576 lock_units=1000", o->model);
	if (models_parse(offer, &models) != ERR_OK || registrar_open(&registrar, &r) != ERR_OK)
		exit(1);
}

int main(int argc, char **argv)
{
	struct sign_key *sign;
	struct keys *keys;
	struct opts o;
	struct keys_opts ko = { .lifetime_s = 86400, .overlap_s = 600, .guard_max = 1000000 };
	uint16_t port = 0;
	unsigned child = 0;
	int fd[PROCESSES_MAX];

	if (sodium_init() < 0 || !parse(argc, argv, &o)) {
		fprintf(stderr, "usage: bench-node [--gateway URL --sign-key FILE --node-id N] "
				"[--processes N] [--model NAME] --ready-file FILE\n");
		return 2;
	}
	json_harden();
	log_init("bench-node", LOG_WARN, false);
	signal(SIGPIPE, SIG_IGN);
	sign = load_sign_key(o.sign_key);
	ko.node = o.node;
	ko.sign = sign;
	keys = keys_new(&ko, 0, (uint64_t)time(NULL) * 1000);
	for (unsigned i = 0; i < o.processes; i++)
		fd[i] = listener(&port);
	for (child = o.processes - 1; child > 0; child--) {
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			break;
		}
	}
	serve(uv_default_loop(), fd[child], answers_new(keys, sign));
	if (child == 0) {
		if (*o.gateway)
			start_registrar(&o, uv_default_loop(), port, keys, sign);
		tell_ready(&o, port);
	}
	return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
