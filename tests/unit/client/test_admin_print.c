/* SPDX-License-Identifier: Apache-2.0
 *
 * What an operator sees of the broker's replies: tables whose cells are words, whole.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/cli/admin.h"

static char text[16384];

/* The reply (JSON with ' for ") as it is printed. */
static const char *printed(const char *reply, const char *member)
{
	struct admin_where w = { .json = false };
	char *json = strdup(reply);
	FILE *f = tmpfile();
	int kept = dup(STDOUT_FILENO);
	json_t *v;

	assert_true(json && f && kept >= 0);
	for (char *p = json; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	v = json_loads(json, 0, NULL);
	assert_non_null(v);
	fflush(stdout);
	dup2(fileno(f), STDOUT_FILENO);
	admin_print(&w, v, member);
	fflush(stdout);
	dup2(kept, STDOUT_FILENO);
	close(kept);
	rewind(f);
	text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	fclose(f);
	json_decref(v);
	free(json);
	return text;
}

static void a_table(void **state)
{
	(void)state;
	assert_string_equal(printed("{'users':[{'user':'a','id':7},{'user':'bob','id':12345}]}", "users"),
			    "user  id\n"
			    "a     7\n"
			    "bob   12345\n");
	assert_string_equal(printed("{'users':[]}", "users"), "(none)\n");
}

static void objects_and_lists_in_words(void **state)
{
	(void)state;
	assert_string_equal(printed("{'nodes':[{'node':1,'health':{'reached':true,'ms':0.5,'last_probe':0},"
				    "'models':[{'name':'a','price':1},{'name':'b','price':2}],'keys':[]}]}",
				    "nodes"),
			    "node  health                            models                          keys\n"
			    "1     reached=true ms=0.5 last_probe=-  name=a price=1; name=b price=2  -\n");
	assert_string_equal(
		printed("{'user':'a','prices':[],'ledger':{'ok':false,'problems':['x y','z']}}", NULL),
		"user a\nprices -\nledger ok=false problems=x y; z\n");
}

/* Also where they are wider than any terminal. */
static void cells_are_whole(void **state)
{
	char reply[4096], name[1001], want[4096];

	(void)state;
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	snprintf(reply, sizeof(reply), "{'rows':[{'name':'%s','id':1},{'name':'b','id':2}]}", name);
	snprintf(want, sizeof(want), "%-96s  id\n%s  1\n%-96s  2\n", "name", name, "b");
	assert_string_equal(printed(reply, "rows"), want);
}

static void times(void **state)
{
	(void)state;
	assert_string_equal(printed("{'created':1795825656,'last_used':0,'day':20785,'id':1795825656}", NULL),
			    "created 2026-11-28T00:27:36Z\nlast_used -\nday 2026-11-28\nid 1795825656\n");
}

/* Text of others moves no cursor. */
static void only_visible_text(void **state)
{
	(void)state;
	assert_string_equal(printed("{'name':'a\\u001b[2Jb','of':[{'k\\u0007':'\\u009b'}]}", NULL),
			    "name a?[2Jb\nof k?=??\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_table),           cmocka_unit_test(objects_and_lists_in_words),
		cmocka_unit_test(cells_are_whole),   cmocka_unit_test(times),
		cmocka_unit_test(only_visible_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
