/* SPDX-License-Identifier: Apache-2.0
 *
 * Slices, buffers and byte order: growth, wiping, escapes, and numbers at the
 * edges of their range.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/mem.h"
#include "common/sanitized.h"

static void test_slices(void **state)
{
	(void)state;
	assert_true(slice_eq(SLICE_STR("ab"), slice_str("ab")));
	assert_false(slice_eq(SLICE_STR("ab"), SLICE_STR("abc")));
	assert_false(slice_eq(SLICE_STR("ab"), SLICE_STR("ac")));
	assert_true(slice_eq(slice_of(NULL, 0), SLICE_STR("")));
	assert_int_equal(slice_str(NULL).n, 0);
	assert_true(slice_is(SLICE_STR("ab"), "ab"));
	assert_false(slice_is(SLICE_STR("ab\0"), "ab"));
}

static void test_numbers(void **state)
{
	static const char *const bad[] = { "", "01", "00", "-1", "+1", "1 ", " 1", "1.0", "1e3", "0x1", "a" };
	uint64_t v = 7;

	(void)state;
	assert_int_equal(slice_u64(SLICE_STR("0"), 0, &v), ERR_OK);
	assert_int_equal(v, 0);
	assert_int_equal(slice_u64(SLICE_STR("18446744073709551615"), UINT64_MAX, &v), ERR_OK);
	assert_true(v == UINT64_MAX);
	v = 7;
	assert_int_equal(slice_u64(SLICE_STR("18446744073709551616"), UINT64_MAX, &v), ERR_RANGE);
	assert_int_equal(slice_u64(SLICE_STR("184467440737095516150"), UINT64_MAX, &v), ERR_RANGE);
	assert_int_equal(slice_u64(SLICE_STR("11"), 10, &v), ERR_RANGE);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(slice_u64(slice_str(bad[i]), UINT64_MAX, &v), ERR_FORMAT);
	assert_int_equal(v, 7);
}

static void test_buffer_grows(void **state)
{
	struct buf b = { 0 };

	(void)state;
	buf_add(&b, NULL, 0);
	assert_null(b.p);
	for (int i = 0; i < 1000; i++)
		buf_fmt(&b, "%03d", i);
	assert_int_equal(b.n, 3000);
	assert_memory_equal(b.p + 3 * 517, "517", 3);
	buf_consume(&b, 3 * 999);
	assert_true(slice_is(buf_slice(&b), "999"));
	buf_consume(&b, 0);
	buf_consume(&b, 3);
	assert_int_equal(b.n, 0);
	buf_str(&b, "x");
	buf_free(&b);
	assert_null(b.p);
	assert_int_equal(b.cap, 0);
	buf_str(&b, "usable again");
	buf_free(&b);
	buf_free(&b);
}

static bool all_zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

static void test_secret_buffer_is_wiped(void **state)
{
	struct buf b = { .secret = true };

	(void)state;
	buf_str(&b, "a prompt");
	buf_consume(&b, 2);
	assert_true(slice_is(buf_slice(&b), "prompt"));
	assert_true(all_zero(b.p + b.n, b.cap - b.n)); /* what moved away left nothing */
	buf_cut(&b, 3);
	assert_true(slice_is(buf_slice(&b), "pro"));
	assert_true(all_zero(b.p + b.n, b.cap - b.n));
	buf_reset(&b);
	assert_true(all_zero(b.p, b.cap));
	for (int i = 0; i < 5000; i++) /* growth keeps what was there */
		buf_add(&b, &(uint8_t){ (uint8_t)i }, 1);
	for (int i = 0; i < 5000; i++)
		assert_int_equal(b.p[i], (uint8_t)i);
	buf_free(&b);
}

static void test_json_escapes(void **state)
{
	struct buf b = { 0 };

	(void)state;
	buf_json(&b, SLICE_STR("\"\\/\b\t\n\v\f\r\x01\x1f\x7f\xc3\xbc\0"));
	assert_true(
		slice_is(buf_slice(&b), "\\\"\\\\/\\b\\t\\n\\u000b\\f\\r\\u0001\\u001f\x7f\xc3\xbc\\u0000"));
	buf_free(&b);
}

static void test_byte_order(void **state)
{
	uint8_t p[8];

	(void)state;
	put_be64(p, UINT64_C(0x0102030405060708));
	assert_memory_equal(p, "\1\2\3\4\5\6\7\10", 8);
	assert_true(get_be64(p) == UINT64_C(0x0102030405060708));
	put_be64(p, UINT64_MAX);
	assert_true(get_be64(p) == UINT64_MAX);
	put_be32(p, 0xfe020304);
	assert_memory_equal(p, "\xfe\2\3\4", 4);
	assert_int_equal(get_be32(p), 0xfe020304);
}

static void test_secrets(void **state)
{
	uint8_t a[3] = { 1, 2, 3 }, b[3] = { 1, 2, 4 };

	(void)state;
	assert_true(mem_same(a, a, 3));
	assert_false(mem_same(a, b, 3));
	assert_true(mem_same(a, b, 2));
	assert_true(mem_same(NULL, NULL, 0));
	mem_wipe(a, 3);
	assert_true(all_zero(a, 3));
	mem_wipe(NULL, 0);
}

static void test_owned_copies(void **state)
{
	char *s = mem_strndup("abc", 2);
	uint8_t *p = mem_new(64);

	(void)state;
	assert_string_equal(s, "ab");
	free(s);
	s = mem_strndup(NULL, 0);
	assert_string_equal(s, "");
	free(s);
	assert_true(all_zero(p, 64));
	p[63] = 9;
	p = mem_grow(p, 4096);
	assert_int_equal(p[63], 9);
	free(p);
}

static void give_too_much(struct buf *b)
{
	buf_consume(b, 1);
}

static void ask_for_everything(struct buf *b)
{
	b->n = 1;
	buf_reserve(b, SIZE_MAX);
}

/* Our own bugs end the process, in every build. */
static void assert_aborts(void (*bug)(struct buf *))
{
	struct buf b = { 0 };
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		close(STDERR_FILENO);
		signal(SIGABRT, SIG_DFL);
		bug(&b);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

/* Large blocks come from a heap that is kept: the second one costs no page faults.  A sanitizer's allocator
 * has ways of its own. */
static void test_freed_memory_is_kept(void **state)
{
	const size_t n = 11 << 20;
	struct rusage before, after;
	void *p;

	(void)state;
	mem_keep();
	p = mem_new(n);
	mem_wipe(p, n); /* memory fresh from the kernel is zero, and stays untouched until now */
	free(p);
	getrusage(RUSAGE_SELF, &before);
	p = mem_new(n);
	getrusage(RUSAGE_SELF, &after);
	free(p);
	assert_true(SANITIZED || after.ru_minflt - before.ru_minflt < 100); /* of 2,816 */
}

static void test_bugs_abort(void **state)
{
	(void)state;
	assert_aborts(give_too_much);
	assert_aborts(ask_for_everything);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slices),       cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_buffer_grows), cmocka_unit_test(test_secret_buffer_is_wiped),
		cmocka_unit_test(test_json_escapes), cmocka_unit_test(test_byte_order),
		cmocka_unit_test(test_secrets),      cmocka_unit_test(test_owned_copies),
		cmocka_unit_test(test_bugs_abort),   cmocka_unit_test(test_freed_memory_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
