/* SPDX-License-Identifier: Apache-2.0
 *
 * Allow-lists: which files are taken, what is said of the others, and who is on them.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/zauth_list.h"
#include "common/mem.h"

#define KEY "AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="
#define SECOND "AgIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA="
#define ROLE "the role is none of gateway, worker, broker"
#define BASE64 "the key is not base64 of 32 bytes"
#define WORDS "there are words after the name"
#define LONG "the line is too long"

static uint8_t key[32], second[32];

static int setup(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 32; i++)
		key[i] = second[i] = (uint8_t)(i + 1);
	second[0] = 2;
	return 0;
}

static enum err read_text(struct zauth_list *l, const char *text, struct zauth_fault *fault)
{
	char path[] = "/tmp/sealway-list.XXXXXX";
	int fd = mkstemp(path);
	enum err e;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(close(fd), 0);
	e = zauth_list_read(l, path, fault);
	assert_int_equal(unlink(path), 0);
	return e;
}

static void test_files(void **state)
{
	static const struct {
		const char *text;
		unsigned line;   /* with the mistake; 0: there is none */
		const char *why; /* NULL: nothing */
	} files[] = {
		{ "", 0, NULL },
		{ "# nobody\n\n \t \r\n", 0, NULL },
		{ "gateway " KEY " a\nworker " SECOND "\nbroker " KEY " b # c d e", 0, NULL },
		{ "\tgateway\t" KEY "\ta\r\n", 0, NULL },
		{ "gateway " KEY "\nworker " KEY " a b\n", 2, WORDS },
		{ "gateways " KEY " a\n", 1, ROLE },
		{ "Gateway " KEY " a\n", 1, ROLE },
		{ "gateway\n", 1, BASE64 },
		{ "gateway # " KEY "\n", 1, BASE64 },
		{ "gateway " KEY "= a\n", 1, BASE64 },
		{ "gateway AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyA a\n", 1, BASE64 },
		{ "gateway AQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHyB= a\n", 1, BASE64 },
		{ "gateway AAAA a\n", 1, BASE64 },
		{ "gateway a " KEY "\n", 1, BASE64 },
		{ "gateway " KEY " a\nhello\nworker " SECOND " b\n", 2, ROLE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		struct zauth_list *l = zauth_list_new();
		struct zauth_fault fault = { .why = NULL };

		assert_int_equal(read_text(l, files[i].text, &fault), files[i].why ? ERR_CONFIG : ERR_OK);
		assert_int_equal(fault.line, files[i].line);
		if (files[i].why)
			assert_string_equal(fault.why, files[i].why);
		zauth_list_free(l);
	}
	zauth_list_free(NULL);
}

static void test_long_lines(void **state)
{
	char text[1200];

	(void)state;
	for (size_t n = 500; n < 1100; n += n < 520 ? 1 : 100) {
		struct zauth_list *l = zauth_list_new();
		struct zauth_fault fault = { .why = NULL };
		int bytes = snprintf(text, sizeof(text), "# %0*d\n", (int)n, 0);

		assert_int_equal(read_text(l, text, &fault), bytes < ZAUTH_LINE_BYTES ? ERR_OK : ERR_CONFIG);
		assert_string_equal(fault.why ? fault.why : LONG, LONG);
		zauth_list_free(l);
	}
}

static void test_who_is_listed(void **state)
{
	struct zauth_list *l = zauth_list_new();
	struct zauth_fault fault;

	(void)state;
	assert_int_equal(read_text(l,
				   "# peers\n\ngateway " KEY " gw-1\n  worker\t" SECOND " # no name\n"
				   "gateway " SECOND " again",
				   &fault),
			 ERR_OK);
	assert_int_equal(zauth_list_roles(l, key), ZAUTH_GATEWAY);
	assert_int_equal(zauth_list_roles(l, second), ZAUTH_WORKER | ZAUTH_GATEWAY);
	zauth_list_remove(l, second);
	zauth_list_remove(l, second);
	assert_int_equal(zauth_list_roles(l, second), ZAUTH_NONE);
	assert_int_equal(read_text(l, "broker " KEY "\n", &fault), ERR_OK); /* adds up */
	assert_int_equal(zauth_list_roles(l, key), ZAUTH_GATEWAY | ZAUTH_BROKER);
	zauth_list_free(l);
}

static void test_unreadable(void **state)
{
	struct zauth_list *l = zauth_list_new();
	struct zauth_fault fault;

	(void)state;
	assert_int_equal(zauth_list_read(l, "/nonexistent/peers", &fault), ERR_IO);
	assert_string_equal(fault.why, "No such file or directory");
	assert_int_equal(fault.line, 0);
	assert_int_equal(zauth_list_read(l, "/tmp", &fault), ERR_IO);
	assert_string_equal(fault.why, "Is a directory");
	zauth_list_free(l);
}

static void test_full(void **state)
{
	struct zauth_list *l = zauth_list_new();
	struct zauth_fault fault;
	uint8_t many[32] = { 0 };

	(void)state;
	for (uint32_t i = 0; i < 4096; i++) {
		put_be32(many, i);
		assert_int_equal(zauth_list_add(l, many, ZAUTH_GATEWAY), ERR_OK);
	}
	assert_int_equal(zauth_list_add(l, many, ZAUTH_WORKER), ERR_OK); /* a known one */
	assert_int_equal(zauth_list_add(l, key, ZAUTH_GATEWAY), ERR_LIMIT);
	assert_int_equal(zauth_list_roles(l, key), ZAUTH_NONE);
	assert_int_equal(read_text(l, "gateway " KEY "\n", &fault), ERR_CONFIG);
	assert_string_equal(fault.why, "there are too many keys");
	zauth_list_free(l);
}

/* The words of a line with a mistake are told, too: it is found by them to be taken out. */
static void test_words_of_a_line(void **state)
{
	char bad[] = "king 123 arthur\n", good[] = "gateway " KEY " a\n", none[] = " # nobody\n";
	struct zauth_line line;

	(void)state;
	assert_string_equal(zauth_line_read(bad, &line), ROLE);
	assert_string_equal(line.key, "123");
	assert_string_equal(line.name, "arthur");
	assert_null(zauth_line_read(good, &line));
	assert_int_equal(line.as, ZAUTH_GATEWAY);
	assert_memory_equal(line.key_bytes, key, 32);
	assert_null(zauth_line_read(none, &line));
	assert_null(line.role);
	assert_null(line.name);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),         cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_who_is_listed), cmocka_unit_test(test_unreadable),
		cmocka_unit_test(test_full),          cmocka_unit_test(test_words_of_a_line),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
