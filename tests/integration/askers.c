/* SPDX-License-Identifier: Apache-2.0
 *
 * libsealway on several threads at once, as its header allows: each has a client of its own, and all share
 * the file of known nodes.  Prints what went wrong, and how many answers came whole.
 * Usage: askers URL TOKEN KNOWN_NODES THREADS ROUNDS
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/sealway.h"

struct asker {
	pthread_t thread;
	const char *url, *token, *pins;
	unsigned rounds, done;
	char why[400];
};

static bool on_object(void *arg, const char *json, size_t n, bool last)
{
	(void)json;
	*(unsigned *)arg += last && n > 0;
	return true;
}

static bool proven(struct sealway *s, char *why, size_t n)
{
	struct sealway_receipt_info info;
	char *text = sealway_receipt(s);
	bool ok = text && sealway_receipt_verify(text, strlen(text), NULL, &info, why, n);

	sealway_text_free(text);
	return ok;
}

static bool once(struct sealway *s, struct asker *a, bool stream)
{
	static const char json[] = "{\"prompt\":\"a b\",\"max_tokens\":3}";
	struct sealway_request r = { .kind = SEALWAY_COMPLETIONS,
				     .model = "demo",
				     .stream = stream,
				     .json = json,
				     .json_n = sizeof(json) - 1,
				     .on_object = on_object,
				     .arg = &a->done };
	char *models = NULL;
	bool ok = sealway_run(s, &r) == SEALWAY_OK && sealway_fetch(s, "/v1/models", &models);

	if (!ok)
		snprintf(a->why, sizeof(a->why), "%s", sealway_error(s));
	sealway_text_free(models);
	return ok && proven(s, a->why, sizeof(a->why));
}

static void *ask(void *arg)
{
	struct asker *a = arg;
	struct sealway_opts o = { .url = a->url, .token = a->token, .known_nodes = a->pins };
	struct sealway *s = sealway_new(&o, a->why, sizeof(a->why));

	for (unsigned i = 0; s && i < a->rounds; i++)
		if (!once(s, a, i % 2 == 0))
			break;
	sealway_free(s);
	return NULL;
}

int main(int argc, char **argv)
{
	unsigned n = argc > 5 ? (unsigned)atoi(argv[4]) : 0, good = 0;
	struct asker *a = calloc(n + 1, sizeof(*a));

	for (unsigned i = 0; i < n; i++) {
		a[i] = (struct asker){
			.url = argv[1], .token = argv[2], .pins = argv[3], .rounds = (unsigned)atoi(argv[5])
		};
		if (pthread_create(&a[i].thread, NULL, ask, &a[i]))
			return 1;
	}
	for (unsigned i = 0; i < n; i++) {
		pthread_join(a[i].thread, NULL);
		good += a[i].done;
		if (a[i].why[0])
			printf("%u: %s\n", i, a[i].why);
	}
	printf("%u\n", good);
	free(a);
	return 0;
}
