/* SPDX-License-Identifier: Apache-2.0
 *
 * Checks of --listen, --engine and --model.
 */
#include "client/cli/up_listen.h"

#include <errno.h>
#include <jansson.h>
#include <netdb.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "client/sealway.h"

/* "127.0.0.1:8080" or "[::1]:8080" in two */
static bool split(const char *listen, char *host, size_t n, const char **port)
{
	const char *colon = strrchr(listen, ':');
	size_t len = colon ? (size_t)(colon - listen) : 0;

	if (!len || len >= n || !colon[1])
		return false;
	if (listen[0] == '[' && listen[len - 1] == ']') {
		listen++;
		len -= 2;
	}
	memcpy(host, listen, len);
	host[len] = '\0';
	*port = colon + 1;
	return true;
}

static bool can_bind(const struct addrinfo *a)
{
	int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1;
	bool ok = fd >= 0 && !setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) &&
		  !bind(fd, a->ai_addr, a->ai_addrlen);

	if (fd >= 0)
		close(fd);
	return ok;
}

bool up_check_listen(const char *listen)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
				  .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE };
	struct addrinfo *a = NULL;
	const char *port;
	char host[128];
	uint64_t number;
	bool ok;

	if (!split(listen, host, sizeof(host), &port) || slice_u64(slice_str(port), 65535, &number) ||
	    getaddrinfo(host, port, &hints, &a)) {
		fprintf(stderr, "sealway up: --listen takes ADDRESS:PORT, such as 127.0.0.1:8080\n");
		return false;
	}
	ok = can_bind(a);
	if (!ok)
		fprintf(stderr, "sealway up: cannot listen on %s: %s\n", listen, strerror(errno));
	freeaddrinfo(a);
	return ok;
}

bool up_claim_listen(const char *listen)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX }; /* a name, no file: as far as the port's own */
	int n = snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "sealway up %s", listen);
	socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
	size_t end = strlen(listen);
	int fd;

	if (end >= 2 && !strcmp(listen + end - 2, ":0"))
		return true;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && size <= sizeof(a) && !bind(fd, (struct sockaddr *)&a, size))
		return true;
	fprintf(stderr, "sealway up: cannot listen on %s: another sealway up has taken it (%s)\n", listen,
		strerror(errno));
	if (fd >= 0)
		close(fd);
	return false;
}

static bool plain(const char *s, size_t max)
{
	size_t n = strlen(s);

	for (size_t i = 0; i < n; i++)
		if (s[i] <= 0x20 || s[i] >= 0x7f || s[i] == ';' || s[i] == '#')
			return false;
	return n > 0 && n <= max;
}

bool up_check_engine(const struct up_opts *o)
{
	if (!plain(o->engine, 150) || (strncmp(o->engine, "echo", 4) && strncmp(o->engine, "http://", 7) &&
				       strncmp(o->engine, "https://", 8))) {
		fprintf(stderr, "sealway up: --engine takes echo, echo:rate=R or http(s)://host:port\n");
		return false;
	}
	if (!plain(o->model, 80)) {
		fprintf(stderr, "sealway up: --model takes 1 to 80 visible characters without ; and #\n");
		return false;
	}
	return true;
}

/* The id of the first model that the engine lists, and its context if it says that (vLLM, SGLang). */
static char *first_model(const char *body, uint64_t *context)
{
	json_t *o = json_loads(body, 0, NULL), *m = json_array_get(json_object_get(o, "data"), 0);
	const char *id = json_string_value(json_object_get(m, "id"));
	char *model = id ? mem_strndup(id, strlen(id)) : NULL;
	json_int_t n = json_integer_value(json_object_get(m, "max_model_len"));

	*context = n > 0 ? (uint64_t)n : 0;

	json_decref(o);
	return model;
}

char *up_engine_model(const char *engine, uint64_t *context)
{
	struct sealway_opts o = { .url = engine, .known_nodes = "unused", .timeout_s = 5 };
	size_t n = strlen(engine);
	bool v1 = n > 3 && !strcmp(engine + n - 3, "/v1");
	char why[256], *body = NULL, *model = NULL;
	struct sealway *s = sealway_new(&o, why, sizeof(why));

	if (s && sealway_get(s, v1 ? "/models" : "/v1/models", &body) == 200)
		model = first_model(body, context);
	if (!model)
		fprintf(stderr, "sealway up: %s lists no model (%s); name one with --model\n", engine,
			s ? *sealway_error(s) ? sealway_error(s) : "its answer is no list of models" : why);
	sealway_text_free(body);
	sealway_free(s);
	return model;
}

void up_url(const char *listen, char *out, size_t n)
{
	const char *port = strrchr(listen, ':');

	if (!strncmp(listen, "0.0.0.0:", 8))
		snprintf(out, n, "http://127.0.0.1%s", port);
	else if (!strncmp(listen, "[::]:", 5))
		snprintf(out, n, "http://[::1]%s", port);
	else
		snprintf(out, n, "http://%s", listen);
}
