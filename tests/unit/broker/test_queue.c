/* SPDX-License-Identifier: Apache-2.0
 *
 * The queue: in order for each user, users in turn.
 */
#include "tests/unit/broker/test.h"

#include "broker/queue.h"

static struct user users[3] = { { .id = 1 }, { .id = 2 }, { .id = 3 } };

static void users_in_turn(void **state)
{
	struct queue *q = queue_new();
	struct task t[7] = { 0 };
	static const int owner[7] = { 0, 0, 0, 0, 1, 2, 2 }, order[7] = { 0, 4, 5, 1, 6, 2, 3 };

	(void)state;
	assert_null(queue_turn(q));
	for (int i = 0; i < 7; i++) {
		t[i].user = &users[owner[i]];
		queue_add(q, &t[i]);
	}
	assert_int_equal(queue_count(q), 7);
	assert_int_equal(queue_users(q), 3);
	for (int i = 0; i < 7; i++) {
		struct task *head = queue_turn(q);

		assert_ptr_equal(head, &t[order[i]]);
		queue_remove(q, head);
		assert_false(head->in_queue);
	}
	assert_int_equal(queue_count(q), 0);
	assert_int_equal(queue_users(q), 0);
	queue_free(q);
}

static void taking_out_of_the_middle(void **state)
{
	struct queue *q = queue_new();
	struct task t[3] = { { .user = &users[0] }, { .user = &users[0] }, { .user = &users[0] } };

	(void)state;
	queue_remove(q, &t[0]); /* not in: nothing happens */
	for (int i = 0; i < 3; i++)
		queue_add(q, &t[i]);
	queue_remove(q, &t[1]);
	assert_ptr_equal(queue_turn(q), &t[0]);
	queue_remove(q, &t[0]);
	assert_ptr_equal(queue_turn(q), &t[2]);
	queue_add(q, &t[1]);
	queue_remove(q, &t[1]); /* the last of the lane */
	queue_remove(q, &t[2]);
	assert_null(queue_turn(q));
	queue_add(q, &t[0]);
	queue_free(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(users_in_turn),
		cmocka_unit_test(taking_out_of_the_middle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
