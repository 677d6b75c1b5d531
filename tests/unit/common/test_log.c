/* SPDX-License-Identifier: Apache-2.0
 *
 * Log lines as they come out of the process: one per event, whole, escaped,
 * and with request ids only as their public names.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/log.h"

static char line[8192];
static int ends[2], kept;

/* From here on standard error goes into a pipe. */
static void catch_log(void)
{
	fflush(stderr);
	kept = dup(STDERR_FILENO);
	assert_int_equal(pipe(ends), 0);
	dup2(ends[1], STDERR_FILENO);
	close(ends[1]);
}

/* Gives what was written since. */
static const char *caught(void)
{
	size_t n = 0;
	ssize_t r;

	dup2(kept, STDERR_FILENO);
	close(kept);
	while ((r = read(ends[0], line + n, sizeof(line) - 1 - n)) > 0)
		n += (size_t)r;
	close(ends[0]);
	line[n] = '\0';
	return line;
}

static void test_text_form(void **state)
{
	const char *s;

	(void)state;
	log_init("sealway-test", LOG_INFO, false);
	catch_log();
	log_info("started", L_S("file", "/a b"), L_U("n", UINT64_MAX), L_I("i", -5), L_ERR(ERR_BODY),
		 L_S("plain", "x"), L_S("empty", ""), L_S("none", NULL), L_S("eq", "a=b"));
	s = caught();
	assert_true(strncmp(s, "time=", 5) == 0);
	assert_non_null(strstr(s, " level=info program=sealway-test event=started file=\"/a b\" "
				  "n=18446744073709551615 i=-5 error=ERR_BODY plain=x empty=\"\" none=\"\" "
				  "eq=\"a=b\"\n"));
	assert_ptr_equal(strchr(s, '\n'), s + strlen(s) - 1);
}

static void test_levels(void **state)
{
	enum log_level level;

	(void)state;
	log_init("t", LOG_WARN, false);
	assert_false(log_wants(LOG_INFO));
	assert_true(log_wants(LOG_WARN));
	catch_log();
	log_debug("no");
	log_info("no");
	assert_string_equal(caught(), "");
	catch_log();
	log_error("yes");
	assert_non_null(strstr(caught(), "level=error"));
	assert_int_equal(log_level_parse("debug", &level), ERR_OK);
	assert_int_equal(level, LOG_DEBUG);
	assert_int_equal(log_level_parse("error", &level), ERR_OK);
	assert_int_equal(level, LOG_ERROR);
	assert_int_equal(log_level_parse("Error", &level), ERR_CONFIG);
	assert_int_equal(log_level_parse("", &level), ERR_CONFIG);
	assert_int_equal(level, LOG_ERROR);
}

/* Nobody who chooses a text can write a second line or a field of their own. */
static void test_injection(void **state)
{
	const char *s;

	(void)state;
	log_init("t", LOG_INFO, false);
	catch_log();
	log_info("e", L_S("name", "x\nlevel=error fake=\"1\"\\ \x1b[31m\x7f\xc3"));
	s = caught();
	assert_non_null(
		strstr(s, "name=\"x\\u000alevel=error fake=\\\"1\\\"\\\\ \\u001b[31m\\u007f\\u00c3\"\n"));
	assert_ptr_equal(strchr(s, '\n'), s + strlen(s) - 1);
}

static void test_json_form(void **state)
{
	json_error_t why;
	json_t *v;

	(void)state;
	log_init("t", LOG_INFO, true);
	catch_log();
	log_warn("odd", L_S("name", "a\"b\\c\n\x01"), L_U("n", 3), L_I("i", -4), L_ERR(ERR_IO),
		 L_S("none", NULL));
	v = json_loads(caught(), JSON_REJECT_DUPLICATES, &why);
	assert_non_null(v);
	assert_string_equal(json_string_value(json_object_get(v, "level")), "warn");
	assert_string_equal(json_string_value(json_object_get(v, "event")), "odd");
	assert_string_equal(json_string_value(json_object_get(v, "name")), "a\"b\\c\n\x01");
	assert_int_equal(json_integer_value(json_object_get(v, "n")), 3);
	assert_int_equal(json_integer_value(json_object_get(v, "i")), -4);
	assert_string_equal(json_string_value(json_object_get(v, "error")), "ERR_IO");
	json_decref(v);
}

static void test_request_ids_are_hashed(void **state)
{
	const uint8_t rid[16] = { 0xde, 0xad, 0xbe, 0xef, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12 };
	char name[33], other[33];
	uint8_t next[16];
	const char *s;

	(void)state;
	log_rid(name, rid);
	assert_int_equal(strlen(name), 32);
	assert_int_equal(strspn(name, "0123456789abcdef"), 32);
	memcpy(next, rid, 16);
	next[15]++;
	log_rid(other, next);
	assert_string_not_equal(name, other);
	log_init("t", LOG_INFO, false);
	catch_log();
	log_info("e", L_RID(rid));
	s = caught();
	assert_non_null(strstr(s, name));
	assert_non_null(strstr(s, " request="));
	assert_null(strstr(s, "deadbeef"));
}

/* Long texts are cut, and the line still ends. */
static void test_long(void **state)
{
	char text[2000];
	const char *s;

	(void)state;
	memset(text, 'y', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	log_init("t", LOG_INFO, false);
	catch_log();
	log_info("e", L_S("a", text), L_S("b", text));
	s = caught();
	assert_true(strlen(s) < 1200);
	memset(text, '\n', sizeof(text) - 1); /* six characters each: more than a line holds */
	catch_log();
	log_info("e", L_S("a", text), L_S("b", text));
	s = caught();
	assert_true(strlen(s) <= 4096);
	assert_ptr_equal(strchr(s, '\n'), s + strlen(s) - 1);
}

/* Gives what a warning looks like where $JOURNAL_STREAM names standard error, or a file that is not it. */
static const char *said_to_journal(bool json, unsigned off)
{
	const char *s;
	char stream[64];
	struct stat st;

	log_init("t", LOG_INFO, json);
	catch_log();
	assert_int_equal(fstat(STDERR_FILENO, &st), 0);
	snprintf(stream, sizeof(stream), "%llu:%llu", (unsigned long long)st.st_dev,
		 (unsigned long long)st.st_ino + off);
	setenv("JOURNAL_STREAM", stream, 1);
	log_find_journal();
	log_debug("not written");
	log_info("a");
	log_warn("b");
	log_error("c");
	s = caught();
	unsetenv("JOURNAL_STREAM");
	return s;
}

/* journald takes every line for "info" else, so that `journalctl -p warning` shows nothing of ours. */
static void test_levels_for_journald(void **state)
{
	const char *s;

	(void)state;
	s = said_to_journal(true, 1);
	assert_true(strncmp(s, "{\"time\":", 8) == 0);
	assert_null(strstr(s, "\n<"));
	s = said_to_journal(true, 0);
	assert_true(strncmp(s, "<6>{\"time\":", 11) == 0);
	s = said_to_journal(false, 0);
	assert_true(strncmp(s, "<6>time=", 8) == 0);
	assert_non_null(strstr(s, " event=a\n<4>time="));
	assert_non_null(strstr(s, " event=b\n<3>time="));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_form),
		cmocka_unit_test(test_levels),
		cmocka_unit_test(test_injection),
		cmocka_unit_test(test_json_form),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_request_ids_are_hashed),
		cmocka_unit_test(test_levels_for_journald),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
