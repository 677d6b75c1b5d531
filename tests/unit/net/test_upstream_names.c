/* SPDX-License-Identifier: Apache-2.0
 *
 * Names and spellings that lead inside.  The resolver is replaced by one that
 * says what a hostile DNS server would, or nothing; the rule is the worker's.  The
 * only address that may be reached is the test's own server.
 */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/net/lookup.h"
#include "common/net/networks.h"
#include "common/net/upstream.h"
#include "tests/unit/net/fake_server.h"
#include "tests/unit/said.h"

typedef int (*resolver)(const char *, const char *, const struct addrinfo *, struct addrinfo **);

static const char *answers[3]; /* what the next question is answered with */
static bool unanswered;        /* it is not, while the silence lasts */
static int failure;            /* or this at once, when not 0 */

/* Names whose servers say nothing for as long as it lasts. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t over;
	bool lasts;
} silence = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false };

static void set_silence(bool lasts)
{
	pthread_mutex_lock(&silence.lock);
	silence.lasts = lasts;
	pthread_cond_broadcast(&silence.over);
	pthread_mutex_unlock(&silence.lock);
}

static int wait_in_vain(void)
{
	pthread_mutex_lock(&silence.lock);
	while (silence.lasts)
		pthread_cond_wait(&silence.over, &silence.lock);
	pthread_mutex_unlock(&silence.lock);
	return EAI_AGAIN;
}

static time_t ahead; /* of the clock that the loop reads */

int clock_gettime(clockid_t id, struct timespec *ts)
{
	long e = syscall(SYS_clock_gettime, id, ts);

	ts->tv_sec += ahead;
	return (int)e;
}

/* Stands before libc's. */
int getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
	resolver real = (resolver)dlsym(RTLD_NEXT, "getaddrinfo");
	struct addrinfo numeric = { .ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM }, **end = out;

	if (name && (strncmp(name, "silent", 6) == 0 || (unanswered && strcmp(name, "node.test") == 0)))
		return wait_in_vain();
	if (name && failure && strcmp(name, "node.test") == 0)
		return failure;
	if (!name || strcmp(name, "node.test") != 0)
		return real(name, service, hints, out);
	*out = NULL;
	for (int i = 0; i < 3 && answers[i]; i++) {
		if (real(answers[i], service, &numeric, end) != 0)
			return EAI_NONAME;
		while (*end)
			end = &(*end)->ai_next;
	}
	return *out ? 0 : EAI_NONAME;
}

struct side {
	uv_loop_t uv;
	struct networks *networks;
	struct upstream *up;
	struct fake_server *server;
	char url[64];
	bool done;
	enum upstream_result result;
	unsigned asked, requests;
};

static bool allow(void *arg, const struct sockaddr *sa, bool tls)
{
	struct side *s = arg;

	s->asked++;
	return networks_allow(s->networks, sa, tls);
}

static void on_request(void *arg, struct fake_conn *c, struct slice request)
{
	(void)request;
	((struct side *)arg)->requests++;
	fake_say(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
	fake_hang_up(c);
}

static void on_done(void *arg, enum upstream_result r)
{
	struct side *s = arg;

	s->done = true;
	s->result = r;
}

static void open_pool(struct side *s)
{
	struct upstream_opts o = { .ca_file = "", .allow_address = allow, .arg = s };

	s->up = upstream_new(&s->uv, &o);
}

static int setup(void **state)
{
	struct side *s = mem_new(sizeof(*s));
	struct fake_events ev = { on_request, NULL, s };

	uv_loop_init(&s->uv);
	s->server = fake_open(&s->uv, &ev);
	open_pool(s);
	assert_int_equal(networks_parse("127.0.0.1/32", &s->networks), ERR_OK);
	snprintf(s->url, sizeof(s->url), "http://node.test:%u/", fake_port(s->server));
	memset(answers, 0, sizeof(answers));
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	struct side *s = *state;

	set_silence(false);
	unanswered = false;
	failure = 0;
	ahead = 0;
	upstream_free(s->up);
	fake_close(s->server);
	networks_free(s->networks);
	uv_run(&s->uv, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&s->uv), 0);
	free(s);
	return 0;
}

static void start(struct side *s, const char *url)
{
	struct upstream_call c = { .method = "GET",
				   .url = url,
				   .connect_ms = 2000,
				   .first_byte_ms = 2000,
				   .on_done = on_done,
				   .arg = s };

	s->done = false;
	s->asked = 0;
	upstream_start(s->up, &c);
}

static enum upstream_result finish(struct side *s)
{
	assert_true(fake_run(&s->uv, &s->done, 5000));
	return s->result;
}

static enum upstream_result get(struct side *s, const char *url)
{
	start(s, url);
	return finish(s);
}

/* A pool of its own: nothing is remembered of what the name was. */
static enum upstream_result get_anew(struct side *s)
{
	upstream_free(s->up);
	open_pool(s);
	return get(s, s->url);
}

static void every_form(void **state)
{
	static const char *const inside[] = {
		"127.0.0.2",
		"0.0.0.0",
		"10.0.0.1",
		"172.16.0.1",
		"192.168.0.1",
		"100.64.0.1",
		"169.254.169.254",
		"224.0.0.1",
		"255.255.255.255",
		"::",
		"::1",
		"::ffff:127.0.0.2",
		"::ffff:10.0.0.1",
		"::127.0.0.1",
		"::ffff:0:10.0.0.1",
		"64:ff9b::10.0.0.1",
		"64:ff9b::127.0.0.1",
		"64:ff9b:1::1",
		"2002:0a00:0001::1",
		"2001:0:1:2::1",
		"fd00::1",
		"fe80::1",
		"fec0::1",
		"ff02::1",
	};
	struct side *s = *state;

	/* TLS alone does not help */
	snprintf(s->url, sizeof(s->url), "https://node.test:%u/", fake_port(s->server));
	for (size_t i = 0; i < sizeof(inside) / sizeof(inside[0]); i++) {
		answers[0] = inside[i];
		if (get_anew(s) != UPSTREAM_REFUSED || s->asked != 1)
			fail_msg("%s: %s", inside[i], upstream_result_name(s->result));
	}
	assert_int_equal(s->requests, 0);
	snprintf(s->url, sizeof(s->url), "http://node.test:%u/", fake_port(s->server));
	answers[0] = "127.0.0.1"; /* the one that node_networks names */
	assert_int_equal(get_anew(s), UPSTREAM_OK);
	answers[0] = "::ffff:127.0.0.1"; /* and its other form */
	(void)get_anew(s);
	assert_int_not_equal(s->result, UPSTREAM_REFUSED);
}

/* Good when the node registered, inside when the worker connects. */
static void a_name_that_changes_its_mind(void **state)
{
	struct side *s = *state;

	answers[0] = "127.0.0.1";
	assert_int_equal(get_anew(s), UPSTREAM_OK);
	assert_int_equal(s->requests, 1);
	answers[0] = "169.254.169.254";
	assert_int_equal(get_anew(s), UPSTREAM_REFUSED);
	answers[0] = "::1";
	assert_int_equal(get_anew(s), UPSTREAM_REFUSED);
	assert_int_equal(s->requests, 1);
	answers[0] = "127.0.0.1";
	assert_int_equal(get(s, s->url),
			 UPSTREAM_REFUSED); /* what was resolved is remembered, and judged again */
	assert_int_equal(s->asked, 1);
	assert_int_equal(get_anew(s), UPSTREAM_OK);
}

/* Of several addresses only those that may be are tried. */
static void good_and_bad_together(void **state)
{
	struct side *s = *state;

	answers[0] = "10.0.0.1";
	answers[1] = "127.0.0.1";
	assert_int_equal(get_anew(s), UPSTREAM_OK);
	assert_int_equal(s->asked, 2);
	assert_int_equal(s->requests, 1);
	answers[1] = "192.168.0.1";
	answers[2] = "127.0.0.2";
	assert_int_equal(get_anew(s), UPSTREAM_REFUSED);
	assert_int_equal(s->asked, 3);
	assert_int_equal(s->requests, 1);
}

/* Spellings of 127.0.0.2 and the like that slip past whoever compares text. */
static void spellings(void **state)
{
	static const char *const urls[] = {
		"https://2130706434/",
		"https://0x7f000002/",
		"https://0177.0.0.2/",
		"https://127.2/",
		"https://127.0.2/",
		"https://[::ffff:127.0.0.2]/",
		"https://[::ffff:7f00:2]/",
		"https://[::7f00:2]/",
		"https://[64:ff9b::7f00:2]/",
		"https://[2002:7f00:2::]/",
		"https://0/",
		"https://[::]/",
		"https://169.254.169.254/",
		"https://[fd00:ec2::254]/",
		"https://127.0.0.2./",
	};
	struct side *s = *state;

	for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
		enum upstream_result r = get(s, urls[i]);

		/* no URL to us, no name to the resolver, or refused at the connect */
		if (r != UPSTREAM_REFUSED && !(r == UPSTREAM_CONNECT && s->asked == 0))
			fail_msg("%s: %s", urls[i], upstream_result_name(r));
	}
	assert_int_equal(s->requests, 0);
}

/* Settings of the environment send nothing elsewhere, and neither does the node. */
static void nowhere_else(void **state)
{
	static const char *const names[] = { "http_proxy", "https_proxy", "ALL_PROXY", "HTTPS_PROXY" };
	struct side *s = *state;
	char proxy[64];

	snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%u", fake_port(s->server));
	for (size_t i = 0; i < 4; i++)
		setenv(names[i], proxy, 1);
	answers[0] = "10.0.0.1";
	assert_int_equal(get_anew(s), UPSTREAM_REFUSED);
	assert_int_equal(s->requests, 0);
	for (size_t i = 0; i < 4; i++)
		unsetenv(names[i]);
	assert_int_equal(get(s, "http://user:word@127.0.0.1/"), UPSTREAM_CONNECT);
	assert_int_equal(s->asked, 0);
}

static void on_vain(void *arg, enum upstream_result r)
{
	assert_int_equal(r, UPSTREAM_CONNECT);
	++*(unsigned *)arg;
}

/* As many names as lookups may run, none of which is answered. */
static void ask_silent_names(struct side *s, unsigned *ended)
{
	struct upstream_call c = { .method = "GET", .connect_ms = 20, .on_done = on_vain, .arg = ended };
	char url[64];

	*ended = 0;
	set_silence(true);
	for (unsigned i = 0; i < LOOKUP_MAX; i++) {
		snprintf(url, sizeof(url), "https://silent%u.test/", i);
		c.url = url;
		upstream_start(s->up, &c);
	}
	while (*ended < LOOKUP_MAX)
		uv_run(&s->uv, UV_RUN_ONCE);
}

/* Names without answer do not take the lookups from all others for good. */
static void silent_names_leave_room(void **state)
{
	struct side *s = *state;
	unsigned ended;

	ask_silent_names(s, &ended);
	set_silence(false);
	(void)fake_run(&s->uv, NULL, 50); /* the lookups end: now it is known of them */
	ask_silent_names(s, &ended);
	answers[0] = "127.0.0.1";
	assert_int_equal(get(s, s->url), UPSTREAM_OK);
}

/* Turns the loop without blocking: its clock is far ahead of ours. */
static enum upstream_result finish_at_once(struct side *s)
{
	while (!s->done)
		uv_run(&s->uv, UV_RUN_NOWAIT);
	return s->result;
}

static void a_new_name_waits_for_a_place(void **state)
{
	struct side *s = *state;
	unsigned ended;

	answers[0] = "127.0.0.1";
	ask_silent_names(s, &ended);
	start(s, s->url);
	assert_false(fake_run(&s->uv, &s->done, 20));
	set_silence(false);
	assert_false(fake_run(&s->uv, &s->done, 50)); /* the lookups end */
	ahead++;                                      /* the next sweep */
	assert_int_equal(finish_at_once(s), UPSTREAM_OK);
}

/* What was found once is used on while it cannot be looked up. */
static void old_addresses_do_meanwhile(void **state)
{
	struct side *s = *state;
	unsigned ended;

	answers[0] = "127.0.0.1";
	assert_int_equal(get(s, s->url), UPSTREAM_OK);
	ask_silent_names(s, &ended);
	ahead += 120;
	assert_int_equal(get(s, s->url), UPSTREAM_OK);
	assert_int_equal(s->asked, 1); /* and judged as ever */
	ahead += 900;
	start(s, s->url);
	uv_run(&s->uv, UV_RUN_NOWAIT);
	ahead += 2; /* its time to connect */
	assert_int_equal(finish_at_once(s), UPSTREAM_CONNECT);
}

/* So it is while the name server is away: for a moment at first, then without waiting; not for ever, and not
 * when the answer is that there is no such name. */
static void old_addresses_do_without_a_name_server(void **state)
{
	struct side *s = *state;

	answers[0] = "127.0.0.1";
	assert_int_equal(get(s, s->url), UPSTREAM_OK);
	unanswered = true;
	set_silence(true);
	ahead += 120;
	assert_int_equal(get(s, s->url), UPSTREAM_OK);
	assert_int_equal(s->asked, 1); /* and judged as ever */
	start(s, s->url);
	assert_true(fake_run(&s->uv, &s->done, 500));
	assert_int_equal(s->result, UPSTREAM_OK);
	set_silence(false); /* the resolver gives up */
	(void)fake_run(&s->uv, NULL, 50);
	assert_int_equal(get(s, s->url), UPSTREAM_OK);
	(void)fake_run(&s->uv, NULL, 50);
	ahead += 240;
	assert_int_equal(get(s, s->url), UPSTREAM_CONNECT);
}

/* Only a name server that says so takes a name away: not one that refuses to say, nor a process that has no
 * descriptor left to ask with. */
static void failures_that_say_nothing_of_the_name(void **state)
{
	static const int rows[] = { EAI_AGAIN, EAI_FAIL, EAI_SYSTEM, EAI_MEMORY };
	struct side *s = *state;

	answers[0] = "127.0.0.1";
	assert_int_equal(get(s, s->url), UPSTREAM_OK);
	ahead += 120;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		failure = rows[i];
		assert_int_equal(get(s, s->url), UPSTREAM_OK);
		(void)fake_run(&s->uv, NULL, 20);
		assert_int_equal(get(s, s->url), UPSTREAM_OK);
		(void)fake_run(&s->uv, NULL, 20);
	}
	failure = EAI_NONAME;
	(void)get(s, s->url);
	(void)fake_run(&s->uv, NULL, 20);
	assert_int_equal(get(s, s->url), UPSTREAM_CONNECT);
}

/* A node that starts again while the name server is away is where it was. */
static void old_addresses_do_for_who_was_away(void **state)
{
	struct sockaddr_in sa = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	socklen_t n = sizeof(sa);
	struct side *s = *state;

	assert_int_equal(bind(fd, (struct sockaddr *)&sa, n), 0); /* and nobody listens */
	assert_int_equal(getsockname(fd, (struct sockaddr *)&sa, &n), 0);
	snprintf(s->url, sizeof(s->url), "http://node.test:%u/", ntohs(sa.sin_port));
	answers[0] = "127.0.0.1";
	assert_int_equal(get(s, s->url), UPSTREAM_CONNECT);
	unanswered = true;
	assert_int_equal(get(s, s->url), UPSTREAM_CONNECT);
	assert_int_equal(s->asked, 1);
	(void)fake_run(&s->uv, NULL, 20);
	set_silence(true);
	assert_int_equal(get(s, s->url), UPSTREAM_CONNECT); /* not waiting for anything */
	assert_int_equal(s->asked, 1);
	set_silence(false);
	(void)fake_run(&s->uv, NULL, 20);
	unanswered = false;
	answers[0] = "127.0.0.2"; /* asked for anew at each failure, as ever */
	(void)get(s, s->url);
	(void)fake_run(&s->uv, NULL, 20);
	assert_int_equal(get(s, s->url), UPSTREAM_REFUSED);
	close(fd);
}

/* Operators are told why there is no connection: once, and once more after a minute. */
static void a_name_that_is_taken_away(void **state)
{
	struct side *s = *state;
	struct said said;
	char text[4096];

	answers[0] = "127.0.0.1";
	assert_int_equal(get(s, s->url), UPSTREAM_OK);
	ahead += 120;
	answers[0] = NULL;
	said_begin(&said);
	assert_int_equal(get(s, s->url), UPSTREAM_CONNECT);
	assert_int_equal(get(s, s->url), UPSTREAM_CONNECT);
	said_end(&said, text, sizeof(text));
	assert_non_null(strstr(text, "event=name.not_found host=node.test why=\"there is no such name\""));
	assert_null(strstr(strstr(text, "name.not_found") + 1, "name.not_found"));
	ahead += 61;
	said_begin(&said);
	assert_int_equal(get(s, s->url), UPSTREAM_CONNECT);
	assert_non_null(strstr(said_end(&said, text, sizeof(text)), "name.not_found"));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = { T(every_form),
					    T(a_name_that_changes_its_mind),
					    T(good_and_bad_together),
					    T(spellings),
					    T(nowhere_else),
					    T(silent_names_leave_room),
					    T(old_addresses_do_meanwhile),
					    T(old_addresses_do_without_a_name_server),
					    T(failures_that_say_nothing_of_the_name),
					    T(old_addresses_do_for_who_was_away),
					    T(a_name_that_is_taken_away),
					    T(a_new_name_waits_for_a_place) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
