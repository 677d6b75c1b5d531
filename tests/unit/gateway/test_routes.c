/* SPDX-License-Identifier: Apache-2.0
 *
 * Paths and methods (PROTOCOL section 1).
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "gateway/routes.h"

static enum err find(const char *method, const char *path, struct route *r)
{
	return route_find(slice_str(method), slice_str(path), r);
}

static void every_route(void **state)
{
	static const struct {
		const char *method, *path;
		enum route_id id;
		enum endpoint ep;
	} rows[] = {
		{ "POST", "/v1/confidential/completions", ROUTE_COMPLETIONS, EP_COMPLETIONS },
		{ "POST", "/v1/confidential/chat/completions", ROUTE_CHAT, EP_CHAT },
		{ "POST", "/v1/confidential/embeddings", ROUTE_EMBEDDINGS, EP_EMBEDDINGS },
		{ "POST", "/v1/confidential/images/generations", ROUTE_IMAGES, EP_IMAGES },
		{ "POST", "/v1/completions", ROUTE_PLAIN_COMPLETIONS, EP_PLAIN_COMPLETIONS },
		{ "POST", "/v1/chat/completions", ROUTE_PLAIN_CHAT, EP_PLAIN_CHAT },
		{ "POST", "/v1/embeddings", ROUTE_PLAIN_EMBEDDINGS, EP_PLAIN_EMBEDDINGS },
		{ "POST", "/v1/images/generations", ROUTE_PLAIN_IMAGES, EP_PLAIN_IMAGES },
		{ "POST", "/v1/nodes/lock", ROUTE_LOCK, EP_NONE },
		{ "POST", "/v1/nodes", ROUTE_REGISTER, EP_NONE },
		{ "GET", "/v1/nodes/7/attestation", ROUTE_ATTESTATION, EP_NONE },
		{ "GET", "/v1/models", ROUTE_MODELS, EP_NONE },
		{ "GET", "/v1/models/demo", ROUTE_MODEL, EP_NONE },
		{ "GET", "/v1/open_router/models", ROUTE_OPEN_ROUTER, EP_NONE },
		{ "GET", "/health", ROUTE_HEALTH, EP_NONE },
		{ "GET", "/openapi.json", ROUTE_OPENAPI, EP_NONE },
		{ "GET", "/docs", ROUTE_DOCS, EP_NONE },
	};
	struct route r;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *other = *rows[i].method == 'G' ? "POST" : "GET";

		assert_int_equal(find(rows[i].method, rows[i].path, &r), ERR_OK);
		assert_int_equal(r.id, rows[i].id);
		assert_int_equal(r.ep, rows[i].ep);
		assert_int_equal(find("OPTIONS", rows[i].path, &r), ERR_OK);
		assert_int_equal(find(other, rows[i].path, &r), ERR_METHOD);
		assert_string_equal(r.allow, *other == 'P' ? "GET, HEAD, OPTIONS" : "POST, OPTIONS");
		assert_int_equal(find("HEAD", rows[i].path, &r), *other == 'P' ? ERR_OK : ERR_METHOD);
		assert_int_equal(r.id, rows[i].id);
		assert_int_equal(find("DELETE", rows[i].path, &r), ERR_METHOD);
		assert_int_equal(find("post", rows[i].path, &r), ERR_METHOD); /* methods have a case */
	}
}

static void unknown_paths(void **state)
{
	static const char *const paths[] = { "",
					     "/",
					     "/v1",
					     "/health/",
					     "/Health",
					     "/docs/",
					     "/openapi.jso",
					     "/v1/confidential/completions/",
					     "/v1/confidential/completionsx",
					     "/v1/confidential",
					     "/v1/models/",
					     "/v1/model/demo",
					     "/v1/modelsx/demo",
					     "//v1/models/demo",
					     "/v1//models/demo",
					     "/v1/./models/demo",
					     "/x/../v1/models/demo",
					     "/v1/x%2f..%2fmodels/demo",
					     "/v1/models%2Fdemo",
					     "/v1/%6dodels",
					     "/v1/%6dodels/demo",
					     "/v1/./models",
					     "v1/models",
					     "/v1/nodes/",
					     "/v1/nodes/lock/",
					     "/v1/nodes//attestation",
					     "/v1/nodes/attestation",
					     "/v1/nodes/7",
					     "/v1/nodes/7/attestation/",
					     "/v1/nodes/07/attestation",
					     "/v1/nodes/-7/attestation",
					     "/v1/nodes/7x/attestation",
					     "/v1/nodes/9007199254740992/attestation",
					     "/v1/nodes/99999999999999999999999/attestation",
					     "/v1/nodes/7/8/attestation" };
	struct route r;

	(void)state;
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		if (find("GET", paths[i], &r) != ERR_NOT_FOUND ||
		    find("OPTIONS", paths[i], &r) != ERR_NOT_FOUND)
			fail_msg("found: %s", paths[i]);
		assert_int_equal(r.id, ROUTE_NONE);
	}
	assert_int_equal(route_find(SLICE_STR("GET"), SLICE_STR("/health\0"), &r), ERR_NOT_FOUND);
}

static void node_ids(void **state)
{
	struct route r;

	(void)state;
	assert_int_equal(find("GET", "/v1/nodes/0/attestation", &r), ERR_OK);
	assert_int_equal(r.node, 0);
	assert_int_equal(find("GET", "/v1/nodes/9007199254740991/attestation", &r), ERR_OK);
	assert_int_equal(r.node, ID_MAX);
}

/* What stands behind /v1/models/ and the name that it is; NULL: no name at all. */
static void model_names(void **state)
{
	static const struct {
		const char *path, *name;
	} rows[] = {
		{ "demo", "demo" },
		{ "%64em%6F", "demo" },
		{ "meta-llama/Llama-3.3-70B-Instruct", "meta-llama/Llama-3.3-70B-Instruct" },
		{ "meta-llama%2FLlama-3.3-70B-Instruct", "meta-llama/Llama-3.3-70B-Instruct" },
		{ "a%2fb/c", "a/b/c" },
		{ "/a//b/", "/a//b/" },
		{ "a%252Fb", "a%2Fb" }, /* once */
		{ "a+b%20c", "a+b c" },
		{ "..", ".." },
		{ "../health", "../health" },
		{ "%2e%2e%2Fhealth", "../health" },
		{ "./..%2f.", "./../." },
		{ "%c3%BC\xc3\xbc%FF", "\xc3\xbc\xc3\xbc\xff" },
		{ "a%0d%0ab%22%7f", "a\r\nb\"\x7f" },
		{ "1/attestation", "1/attestation" },
		{ "", NULL },
		{ "%", NULL },
		{ "a%", NULL },
		{ "a%4", NULL },
		{ "a%4g", NULL },
		{ "a%g4", NULL },
		{ "a%%41", NULL },
		{ "a% 41", NULL },
		{ "a%+4", NULL },
		{ "a%0x41", NULL },
		{ "a%00", NULL },
		{ "%00a", NULL },
	};
	struct route r;
	char path[128];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t name[MODEL_BYTES_MAX];
		size_t n;

		snprintf(path, sizeof(path), "/v1/models/%s", rows[i].path);
		if (find("GET", path, &r) != (rows[i].name ? ERR_OK : ERR_NOT_FOUND))
			fail_msg("%s", path);
		assert_int_equal(r.id, rows[i].name ? ROUTE_MODEL : ROUTE_NONE);
		n = route_model(slice_str(rows[i].path), name);
		if (!slice_is(slice_of(name, n), rows[i].name ? rows[i].name : ""))
			fail_msg("%s is \"%.*s\"", path, (int)n, (const char *)name);
		if (rows[i].name)
			assert_true(slice_is(r.model, rows[i].path));
	}
	assert_int_equal(route_find(SLICE_STR("GET"), SLICE_STR("/v1/models/a\0b"), &r), ERR_NOT_FOUND);
	/* an escape is not read beyond the end of the path */
	assert_int_equal(route_find(SLICE_STR("GET"), slice_of("/v1/models/%41", 13), &r), ERR_NOT_FOUND);
}

/* The limit is of the name, however it is spelled. */
static void long_model_names(void **state)
{
	static const char *const letters[] = { "m", "%6d" };
	struct buf b = { .p = NULL };
	struct route r;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		buf_reset(&b);
		buf_str(&b, "/v1/models/");
		for (int n = 0; n < MODEL_BYTES_MAX; n++)
			buf_str(&b, letters[i]);
		assert_int_equal(route_find(SLICE_STR("GET"), buf_slice(&b), &r), ERR_OK);
		assert_int_equal(r.id, ROUTE_MODEL);
		buf_str(&b, letters[i]);
		assert_int_equal(route_find(SLICE_STR("GET"), buf_slice(&b), &r), ERR_NOT_FOUND);
	}
	buf_free(&b);
}

static void names(void **state)
{
	(void)state;
	assert_string_equal(route_name(ROUTE_LOCK), "lock");
	assert_string_equal(route_name(ROUTE_MODEL), "model");
	assert_string_equal(route_name(ROUTE_NONE), "other");
	assert_string_equal(route_name((enum route_id)99), "other");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_route), cmocka_unit_test(unknown_paths),    cmocka_unit_test(node_ids),
		cmocka_unit_test(model_names), cmocka_unit_test(long_model_names), cmocka_unit_test(names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
