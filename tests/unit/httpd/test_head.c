/* SPDX-License-Identifier: Apache-2.0
 *
 * The second look at HTTP/1 heads: shapes that two parsers read differently.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "common/httpd/head.h"

#define H "Host: a\r\n"

static void accepts_ordinary_heads(void **state)
{
	static const char *const good[] = {
		"GET / HTTP/1.1\r\n" H "\r\n",
		"\r\nGET / HTTP/1.1\r\n" H "\r\n",
		"GET / HTTP/1.0\r\n\r\n",
		"GET / HTTP/1.0\r\n" H "\r\n",
		"POST /v1/x?y=1 HTTP/1.1\r\nhost: a:80\r\nContent-Length: 5\r\n\r\n",
		"POST / HTTP/1.1\r\nHOST: [::1]:80\r\nTransfer-Encoding: chunked\r\n\r\n",
		"POST / HTTP/1.1\r\n" H "transfer-encoding: \tChunked \r\n\r\n",
		"POST / HTTP/1.1\r\n" H "Content-Length:0\r\n\r\n",
		"GET / HTTP/1.1\r\n" H "X-A:\r\nX-A: two times is fine\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost:\r\n\r\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		if (!head_ok(slice_str(good[i])))
			fail_msg("refused: %s", good[i]);
	}
}

static void refuses_ambiguous_heads(void **state)
{
	static const char *const bad[] = {
		"GET / HTTP/1.1\r\n\r\n",                                                 /* no host */
		"GET / HTTP/1.1\r\n" H H "\r\n",                                          /* two */
		"GET / HTTP/1.0\r\n" H H "\r\n",                                          /* two */
		"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",                                   /* two in one */
		"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",                                    /* a path */
		"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",                                    /* a user */
		"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",                                    /* a blank */
		"POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", /* twice */
		"POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", /* different */
		"POST / HTTP/1.1\r\n" H "Content-Length: 5, 5\r\n\r\n",                   /* list */
		"POST / HTTP/1.1\r\n" H "Content-Length: +5\r\n\r\n",                     /* sign */
		"POST / HTTP/1.1\r\n" H "Content-Length: 0x5\r\n\r\n",                    /* hex */
		"POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n",                        /* empty */
		"POST / HTTP/1.1\r\n" H "Content-Length: 99999999999999999999\r\n\r\n",   /* too long */
		"POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
		"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
		"POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
		"POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n",
		"POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n",
		"POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n",
		"POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n",
		"GET / HTTP/1.1\r\n" H "X-A: b\r\n folded\r\n\r\n",
		"GET / HTTP/1.1\r\n" H "X-A: b\r\n\tfolded\r\n\r\n",
		"GET / HTTP/1.1\n" H "\r\n",
		"GET / HTTP/1.1\r\nHost: a\n\r\n",
		"GET / HTTP/1.1\r\n" H "X-A: b\nX-B: c\r\n\r\n",
		"GET / HTTP/1.1\r\n" H "\n",
		"GET / HTTP/1.1\r\n" H "X-A: b\rX-B: c\r\n\r\n",
		"GET / HTTP/1.1\r\n" H "X A: b\r\n\r\n",
		"GET / HTTP/1.1\r\n" H "X-A : b\r\n\r\n",
		"GET / HTTP/1.1\r\n" H ": b\r\n\r\n",
		"GET / HTTP/1.1\r\n" H "no colon\r\n\r\n",
		"GET / HTTP/1.2\r\n" H "\r\n",
		"GET / HTTP/2.0\r\n" H "\r\n",
		"GET  / HTTP/1.1\r\n" H "\r\n",
		"GET / x HTTP/1.1\r\n" H "\r\n",
		"GET /\r\n" H "\r\n",
		" GET / HTTP/1.1\r\n" H "\r\n",
		"GET / HTTP/1.1 \r\n" H "\r\n",
		"\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n",
		("GET / HTTP/1.1\r\n" H),
		"GET / HTTP/1.1\r\nHost: a\r\n\r\nmore",
		"",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (head_ok(slice_str(bad[i])))
			fail_msg("accepted: %s", bad[i]);
	}
}

/* Cut anywhere, a head is never fine; bytes outside US-ASCII in names neither. */
static void refuses_cut_heads(void **state)
{
	static const char whole[] = "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n";
	char copy[sizeof(whole)];

	(void)state;
	for (size_t n = 0; n < sizeof(whole) - 1; n++)
		assert_false(head_ok(slice_of(whole, n)));
	for (int c = 0x80; c < 0x100; c++) {
		memcpy(copy, whole, sizeof(whole));
		copy[20] = (char)c;
		assert_false(head_ok(slice_of(copy, sizeof(whole) - 1)));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(accepts_ordinary_heads),
		cmocka_unit_test(refuses_ambiguous_heads),
		cmocka_unit_test(refuses_cut_heads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
