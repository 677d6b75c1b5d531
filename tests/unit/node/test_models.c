/* SPDX-License-Identifier: Apache-2.0
 *
 * The setting `models`.
 */
#include "tests/unit/node/unit.h"

#include "node/models.h"

static enum err parse(const char *text, struct models *m)
{
	*m = (struct models){ 0 };
	return models_parse(text, m);
}

static void test_full(void **state)
{
	struct models m;

	(void)state;
	assert_int_equal(parse("name=demo price=1000 max_concurrent=2 max_units=300 lock_units=40; "
			       "name=b/c-1; name=\xc3\xbc\"\\",
			       &m),
			 ERR_OK);
	assert_int_equal(m.n, 3);
	assert_string_equal(m.of[0].name, "demo");
	assert_int_equal(m.of[0].price, 1000);
	assert_int_equal(m.of[0].max_concurrent, 2);
	assert_int_equal(m.of[0].max_units, 300);
	assert_int_equal(m.of[0].lock_units, 40);
	assert_int_equal(m.of[1].max_concurrent, 64);
	assert_int_equal(m.of[1].lock_units, UNITS_DEFAULT);
	assert_ptr_equal(models_find(&m, S("b/c-1")), &m.of[1]);
	assert_null(models_find(&m, S("b/c")));
	assert_null(models_find(&m, S("")));
	models_free(&m);
	assert_int_equal(m.n, 0);
}

static void test_refused(void **state)
{
	static const char *const bad[] = { "",
					   " ; ",
					   "demo",
					   "price=1",
					   "name=a name=b",
					   "name=",
					   "name=a; name=a",
					   "name=a price=x",
					   "name=a price=-1",
					   "name=a price=9007199254740992",
					   "name=a colour=1",
					   "name=a max_concurrent=0",
					   "name=a max_units=0",
					   "name=a\x01",
					   "name=\x7f",
					   "name=\xff",
					   "name=\xc3" };
	struct models m;

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(parse(bad[i], &m), ERR_CONFIG);
		models_free(&m);
	}
}

static void test_too_many(void **state)
{
	struct buf b = { 0 };
	struct models m;

	(void)state;
	for (unsigned i = 0; i < MODELS_PER_NODE_MAX; i++)
		buf_fmt(&b, "name=m%u;", i);
	buf_add(&b, "", 1);
	assert_int_equal(parse((char *)b.p, &m), ERR_OK);
	models_free(&m);
	b.n--;
	buf_str(&b, "name=over");
	buf_add(&b, "", 1);
	assert_int_equal(parse((char *)b.p, &m), ERR_CONFIG);
	models_free(&m);
	buf_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_full), cmocka_unit_test(test_refused),
					    cmocka_unit_test(test_too_many) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
