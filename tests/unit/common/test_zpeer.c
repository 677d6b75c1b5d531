/* SPDX-License-Identifier: Apache-2.0
 *
 * Peers with an accepted key whose ZMTP is not libzmq's.
 */
#include "tests/unit/common/zfix.h"

#include "tests/unit/common/rawpeer.h"

/* Whose words come back to whom: each message goes back to the routing id that it came with. */
static void answer(void *arg, struct zsock *z, struct zmsg *parts, size_t n)
{
	inbox_take(arg, z, parts, n);
	if (zsock_send(z, parts, n) != ERR_OK)
		fail();
}

static void test_nobody_takes_anothers_place(void **state)
{
	struct zfix *f = *state;
	struct inbox at_router = { .want = 1 }, at_dealer = { .want = 1 };
	struct zsock_opts r = { .type = ZSOCK_ROUTER, .on_msg = answer, .arg = &at_router };
	struct zsock_opts d = { .type = ZSOCK_DEALER, .on_msg = inbox_take, .arg = &at_dealer };
	struct zsock *router = zsock_open(f->ctx, &f->uv, &r), *dealer = zsock_open(f->ctx, &f->uv, &d);
	int thief;

	assert_int_equal(zsock_bind(router, "tcp://127.0.0.1:*", true), ERR_OK);
	assert_int_equal(zsock_connect(dealer, zsock_endpoint(router), true), ERR_OK);
	while (zfix_send(dealer, SLICE_STR("one")) != ERR_OK)
		zfix_run(f, NULL, NULL, 10);
	assert_true(zfix_run(f, inbox_full, &at_dealer, 2000));
	thief = raw_connect(zsock_endpoint(router), "DEALER", slice_of(at_router.id, at_router.id_n));
	raw_frame(thief, 0, SLICE_STR("mine"));
	zfix_run(f, NULL, NULL, 100);
	at_dealer.want = 2;
	assert_int_equal(zfix_send(dealer, SLICE_STR("two")), ERR_OK);
	assert_true(zfix_run(f, inbox_full, &at_dealer, 2000));
	assert_int_equal(at_router.n, 2); /* and nothing of the thief */
	close(thief);
	zsock_close(dealer);
	zsock_close(router);
}

/* libzmq takes the first routing id from rand() and counts on from there. */
static void test_routing_ids_are_not_known_beforehand(void **state)
{
	int first, again;

	(void)state;
	srand(1); /* as it is when nobody calls srand */
	first = rand();
	srand(1);
	zctx_free(zctx_new());
	again = rand();
	assert_int_not_equal(again, first);
}

#define T(name) cmocka_unit_test_setup_teardown(name, zfix_up, zfix_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_nobody_takes_anothers_place),
		cmocka_unit_test(test_routing_ids_are_not_known_beforehand),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
