/* SPDX-License-Identifier: Apache-2.0
 *
 * The command line's own parts: options and operands, and finding the text in
 * an answer.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/args.h"
#include "client/cli/show_wire.h"
#include "client/cli/text.h"
#include "client/cli/up_listen.h"

static struct {
	bool flag;
	const char *text;
	uint64_t number;
	struct operands words;
} got;

static const struct command command = { "test", "WORD", "Tests.", "", 1, 2 };

static enum args_result parse(int argc, const char *const *argv)
{
	const struct arg args[] = {
		{ "flag", ARG_FLAG, &got.flag, NULL, "a flag", 0, 0 },
		{ "text", ARG_TEXT, &got.text, "T", "a text", 0, 0 },
		{ "number", ARG_U64, &got.number, "N", "a number", 2, 10 },
	};

	memset(&got, 0, sizeof(got));
	return args_parse(&command, args, 3, argc, (char **)argv, &got.words);
}

#define PARSE(...)                                                                                           \
	parse((int)(sizeof((const char *[]){ "test", ##__VA_ARGS__ }) / sizeof(char *)),                     \
	      (const char *[]){ "test", ##__VA_ARGS__ })

static void options_and_operands(void **state)
{
	(void)state;
	assert_int_equal(PARSE("--flag", "a", "--text", "x", "--number=7"), ARGS_RUN);
	assert_true(got.flag);
	assert_string_equal(got.text, "x");
	assert_int_equal(got.number, 7);
	assert_int_equal(got.words.n, 1);
	assert_string_equal(got.words.v[0], "a");
	assert_int_equal(PARSE("-", "b"), ARGS_RUN); /* standard input is an operand */
	assert_int_equal(got.words.n, 2);
	assert_int_equal(PARSE("--text=", "a"), ARGS_RUN);
	assert_string_equal(got.text, "");
	assert_int_equal(PARSE("--", "--flag"), ARGS_RUN);
	assert_false(got.flag);
	assert_string_equal(got.words.v[0], "--flag");
	assert_int_equal(PARSE("--text", "--flag", "a"), ARGS_RUN); /* a value may look like anything */
	assert_string_equal(got.text, "--flag");
	assert_int_equal(PARSE("--help"), ARGS_HELP);
	assert_int_equal(PARSE("-h"), ARGS_HELP);
}

static void wrong_usage(void **state)
{
	(void)state;
	assert_int_equal(PARSE(), ARGS_USAGE);
	assert_int_equal(PARSE("a", "b", "c"), ARGS_USAGE);
	assert_int_equal(PARSE("--flags", "a"), ARGS_USAGE);
	assert_int_equal(PARSE("--fla", "a"), ARGS_USAGE);
	assert_int_equal(PARSE("-x", "a"), ARGS_USAGE);
	assert_int_equal(PARSE("--flag=yes", "a"), ARGS_USAGE);
	assert_int_equal(PARSE("a", "--text"), ARGS_USAGE);
	assert_int_equal(PARSE("a", "--number", "1"), ARGS_USAGE);
	assert_int_equal(PARSE("a", "--number", "11"), ARGS_USAGE);
	assert_int_equal(PARSE("a", "--number", "-3"), ARGS_USAGE);
	assert_int_equal(PARSE("a", "--number", "3x"), ARGS_USAGE);
	assert_int_equal(PARSE("a", "--number", "99999999999999999999999"), ARGS_USAGE);
}

static void identifiers(void **state)
{
	uint64_t n;

	(void)state;
	assert_true(args_number("17", &n));
	assert_int_equal(n, 17);
	assert_false(args_number("0", &n));
	assert_false(args_number("", &n));
	assert_false(args_number("9007199254740992", &n));
}

static void texts_of_answers(void **state)
{
	static const struct {
		const char *json, *text; /* NULL: not an answer */
	} cases[] = {
		{ "{\"choices\":[{\"text\":\"a\\nb\"}]}", "a\nb" },
		{ "{\"choices\":[{\"delta\":{\"content\":\"\\u00fc\"}}]}", "\xc3\xbc" },
		{ "{\"choices\":[{\"delta\":{\"role\":\"assistant\"}}]}", "" },
		{ "{\"choices\":[{\"delta\":{\"content\":null}}]}", "" },
		{ "{\"choices\":[{\"message\":{\"content\":\"hi\"}},{\"message\":{\"content\":\"no\"}}]}",
		  "hi" },
		{ "{\"choices\":[]}", "" },
		{ "{}", NULL },
		{ "{\"choices\":{}}", NULL },
		{ "{\"choices\":[7]}", NULL },
		{ "{\"choices\":[{}]}", NULL },
		{ "{\"choices\":[{\"message\":{\"content\":7}}]}", NULL },
		{ "", NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct buf out = { 0 };

		assert_int_equal(text_of(slice_str(cases[i].json), &out), cases[i].text != NULL);
		if (cases[i].text)
			assert_true(slice_is(buf_slice(&out), cases[i].text));
		buf_free(&out);
	}
}

static void units_to_lock(void **state)
{
	struct ask a = { 0 };

	(void)state;
	buf_str(&a.text, "four");
	assert_int_equal(ask_units(&a, 0), 0);
	assert_int_equal(ask_units(&a, 16), 0);
	assert_true(ask_units(&a, 100000) >= 100004);
	buf_free(&a.text);
}

static void addresses(void **state)
{
	char url[128];

	(void)state;
	up_url("127.0.0.1:8080", url, sizeof(url));
	assert_string_equal(url, "http://127.0.0.1:8080");
	up_url("0.0.0.0:81", url, sizeof(url));
	assert_string_equal(url, "http://127.0.0.1:81");
	up_url("[::]:81", url, sizeof(url));
	assert_string_equal(url, "http://[::1]:81");
	assert_true(up_check_listen("127.0.0.1:0"));
	assert_false(up_check_listen("127.0.0.1"));
	assert_false(up_check_listen("nowhere:80"));
	assert_false(up_check_listen(":80"));
	assert_false(up_check_listen("127.0.0.1:99999"));
}

static void engines(void **state)
{
	(void)state;
	assert_true(up_check_engine(&(struct up_opts){ .engine = "echo", .model = "demo" }));
	assert_true(up_check_engine(&(struct up_opts){ .engine = "echo:rate=5", .model = "demo" }));
	assert_true(
		up_check_engine(&(struct up_opts){ .engine = "http://127.0.0.1:1/v1", .model = "a/b-c" }));
	assert_false(up_check_engine(&(struct up_opts){ .engine = "llama", .model = "demo" }));
	assert_false(up_check_engine(&(struct up_opts){ .engine = "echo\nx=1", .model = "demo" }));
	assert_false(up_check_engine(&(struct up_opts){ .engine = "echo", .model = "a b" }));
	assert_false(up_check_engine(&(struct up_opts){ .engine = "echo", .model = "a;b" }));
	assert_false(up_check_engine(&(struct up_opts){ .engine = "echo", .model = "" }));
}

static FILE *heard;
static int real;

static void listen_to_stderr(void)
{
	heard = tmpfile();
	real = dup(STDERR_FILENO);
	assert_true(heard && real >= 0);
	fflush(stderr);
	dup2(fileno(heard), STDERR_FILENO);
}

/* What was said since, as far as there is room. */
static void said(char *out, size_t n)
{
	fflush(stderr);
	dup2(real, STDERR_FILENO);
	close(real);
	rewind(heard);
	out[fread(out, 1, n - 1, heard)] = '\0';
	fclose(heard);
}

/* The model's name may be one that the gateway listed. */
static void names_do_not_steer(void **state)
{
	const struct wire_count w = { .sent = 1, .got = 2, .objects = 3 };
	char text[1024];

	(void)state;
	listen_to_stderr();
	show_wire_summary("\033]0;title\007\nname", 7, &w);
	said(text, sizeof(text));
	assert_non_null(strstr(text, "the model (?]0;title??name)"));
	assert_null(strchr(text, '\033'));
}

/* Bodies are shown before anything of them is checked. */
static void bodies_of_a_hostile_gateway(void **state)
{
	struct buf body = { 0 };
	char text[1024];

	(void)state;
	buf_str(&body, "{\"ciphertext\":[{}");
	for (int i = 0; i < 100000; i++)
		buf_str(&body, ",{}");
	buf_str(&body, "]}");
	listen_to_stderr();
	show_wire(SEALWAY_WIRE_ANSWER, buf_slice(&body));
	said(text, sizeof(text));
	assert_non_null(strstr(text, "gateway -> you, answer (300019 bytes)\n(not JSON, or of more parts"));
	listen_to_stderr();
	show_wire(SEALWAY_WIRE_ANSWER, SLICE_STR("{\"ciphertext\":\"[{,{,{\"}"));
	said(text, sizeof(text));
	assert_non_null(strstr(text, "\"ciphertext\": \"[{,{,{\""));
	buf_free(&body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(options_and_operands),
		cmocka_unit_test(wrong_usage),
		cmocka_unit_test(identifiers),
		cmocka_unit_test(texts_of_answers),
		cmocka_unit_test(names_do_not_steer),
		cmocka_unit_test(bodies_of_a_hostile_gateway),
		cmocka_unit_test(units_to_lock),
		cmocka_unit_test(addresses),
		cmocka_unit_test(engines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
