/* SPDX-License-Identifier: Apache-2.0
 *
 * Allow-lists: one with a mistake changes nothing, and one that is taken allows
 * exactly the keys whose base64 stands in it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* memfd_create */
#endif

#include <string.h>

#include "common/b64.h"
#include "common/zauth.h"
#include "tests/fuzz/quiet.h"

static struct zctx *context;
static struct zauth *list;
static const uint8_t before[32] = "a key that was allowed before...";

static void start(void)
{
	static uv_loop_t uv;

	MUST(uv_loop_init(&uv) == 0);
	context = zctx_new();
	list = zauth_open(context, &uv, "");
}

static unsigned role_of(const char *word)
{
	if (!strcmp(word, "gateway"))
		return ZAUTH_GATEWAY;
	if (!strcmp(word, "worker"))
		return ZAUTH_WORKER;
	return !strcmp(word, "broker") ? ZAUTH_BROKER : ZAUTH_NONE;
}

/* A line of a list that was taken: nothing, or a role and a key that it allows. */
static void check_line(char *line)
{
	char role[600] = "", text[600] = "";
	uint8_t key[32];

	line[strcspn(line, "#")] = 0;
	if (sscanf(line, "%599[^ \t\r\n]%*[ \t\r\n]%599[^ \t\r\n]", role, text) < 1 &&
	    sscanf(line, "%*[ \t\r\n]%599[^ \t\r\n]%*[ \t\r\n]%599[^ \t\r\n]", role, text) < 1)
		return;
	MUST(role_of(role) != ZAUTH_NONE);
	MUST(b64_decode_exact(slice_str(text), key, sizeof(key)) == ERR_OK);
	MUST((zauth_roles(list, key) & role_of(role)) != 0);
}

static void check(const uint8_t *data, size_t n)
{
	char *copy = mem_strndup((const char *)data, n), *at = copy, *line;

	while ((line = strsep(&at, "\n")) != NULL)
		check_line(line);
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const uint8_t stranger[32] = "a key that nobody ever allowed..";
	enum err e;

	if (!list)
		start();
	MUST(zauth_allow(list, before, ZAUTH_WORKER) == ERR_OK);
	e = zauth_load(list, quiet_begin(data, n));
	quiet_end();
	MUST(e == ERR_OK || e == ERR_CONFIG);
	MUST(zauth_roles(list, stranger) == ZAUTH_NONE);
	if (e != ERR_OK)
		MUST(zauth_roles(list, before) == ZAUTH_WORKER);
	else if (!memchr(data, 0, n)) /* a line is read up to its NUL */
		check(data, n);
	zauth_revoke(list, before);
	return 0;
}
