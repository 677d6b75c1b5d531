/* SPDX-License-Identifier: Apache-2.0
 *
 * What a process has given up, tried in a child for each thing: it must still
 * be able to do its work.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* unshare */
#endif

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/loop.h"
#include "common/sandbox.h"
#include "common/sanitized.h"

/* Runs what in a child behind the filter; whether it said yes. */
static bool in_child(bool (*what)(void), bool filter)
{
	pid_t pid = fork();
	int status;

	assert_true(pid >= 0);
	if (pid == 0)
		_exit((!filter || sandbox_calls(true) == ERR_OK) && what() ? 0 : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status) == 0;
}

static bool refused(long result)
{
	return result == -1 && errno == EPERM;
}

static bool no_program(void)
{
	char *argv[] = { "true", NULL };

	return refused(execv("/bin/true", argv)) && refused(execveat(-1, "/bin/true", argv, NULL, 0));
}

static bool no_process(void)
{
	return SANITIZED || (refused(fork()) && refused(ptrace(PTRACE_TRACEME, 0, NULL, NULL)));
}

static bool no_other_memory(void)
{
	return refused(syscall(__NR_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0)) &&
	       refused(syscall(__NR_pidfd_getfd, 0, 0, 0));
}

static bool no_kernel(void)
{
	return refused(syscall(__NR_bpf, 0, NULL, 0)) && refused(syscall(__NR_mount, "", "/", "", 0, NULL)) &&
	       refused(syscall(__NR_io_uring_setup, 1, NULL)) && refused(unshare(CLONE_NEWUSER)) &&
	       refused(syscall(__NR_keyctl, 0, 0, 0, 0, 0)) &&
	       refused(syscall(__NR_init_module, NULL, 0, ""));
}

static bool no_odd_socket(void)
{
	return refused(socket(AF_PACKET, SOCK_RAW, 0)) && refused(socket(AF_VSOCK, SOCK_STREAM, 0)) &&
	       refused(socket(38 /* AF_ALG */, SOCK_SEQPACKET, 0));
}

/* What nobody thought of is refused, too; what is newer than the list is not there. */
static bool nothing_else(void)
{
	return refused(syscall(__NR_memfd_create, "x", 0)) && refused(syscall(__NR_setns, 0, 0)) &&
	       refused(syscall(__NR_pkey_mprotect, NULL, 0, 0, 0)) && refused(syscall(__NR_shmget, 0, 1, 0)) &&
	       refused(syscall(__NR_setuid, 0)) && refused(syscall(__NR_fanotify_init, 0, 0)) &&
	       refused(syscall(__NR_truncate, "/", 0)) && refused(syscall(__NR_landlock_create_ruleset, 0, 0, 1)) &&
	       syscall(5000) == -1 && errno == ENOSYS;
}

static bool no_written_code(void)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p != MAP_FAILED && refused(mprotect(p, 4096, PROT_READ | PROT_WRITE | PROT_EXEC)) &&
	       mmap(NULL, 4096, PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED &&
	       errno == EPERM && mprotect(p, 4096, PROT_READ) == 0;
}

static void *thread(void *arg)
{
	*(bool *)arg = refused(socket(AF_PACKET, SOCK_RAW, 0));
	return NULL;
}

/* Files, sockets and threads are as before; a new thread is under the filter, too. */
static bool work_goes_on(void)
{
	int in = socket(AF_INET, SOCK_STREAM, 0), in6 = socket(AF_INET6, SOCK_STREAM, 0),
	    un = socket(AF_UNIX, SOCK_STREAM, 0), file = open("/dev/null", O_WRONLY);
	bool bound = false;
	pthread_t t;

	return in >= 0 && (in6 >= 0 || errno == EAFNOSUPPORT) && un >= 0 && write(file, "x", 1) == 1 &&
	       pthread_create(&t, NULL, thread, &bound) == 0 && pthread_join(t, NULL) == 0 && bound;
}

static void test_calls(void **state)
{
	(void)state;
	assert_true(in_child(no_program, true));
	assert_true(in_child(no_process, true));
	assert_true(in_child(no_other_memory, true));
	assert_true(in_child(no_kernel, true));
	assert_true(in_child(no_odd_socket, true));
	assert_true(in_child(no_written_code, true));
	assert_true(in_child(nothing_else, true));
	assert_true(in_child(work_goes_on, true));
}

static bool off_is_off(void)
{
	int fds[2];

	return sandbox_calls(false) == ERR_OK && prctl(PR_GET_SECCOMP) == 0 && pipe(fds) == 0;
}

static void test_off(void **state)
{
	(void)state;
	assert_true(in_child(off_is_off, false));
}

/* A thread that is there already is bound with the rest. */
static int go[2];

static void *early(void *arg)
{
	char c;

	*(bool *)arg = read(go[0], &c, 1) == 1 && refused(socket(AF_PACKET, SOCK_RAW, 0));
	return NULL;
}

static bool all_threads(void)
{
	bool bound = false;
	pthread_t t;

	return pipe(go) == 0 && pthread_create(&t, NULL, early, &bound) == 0 &&
	       sandbox_calls(true) == ERR_OK && write(go[1], "x", 1) == 1 && pthread_join(t, NULL) == 0 &&
	       bound;
}

static void test_threads(void **state)
{
	(void)state;
	assert_true(in_child(all_threads, false));
}

static bool hardened(void)
{
	struct rlimit core = { 1, 1 };

	loop_harden();
	return getrlimit(RLIMIT_CORE, &core) == 0 && core.rlim_cur == 0 && core.rlim_max == 0 &&
	       prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 && prctl(PR_GET_DUMPABLE) == (SANITIZED ? 1 : 0) &&
	       umask(0) == 077;
}

static bool becomes_nobody(void)
{
	uid_t r, e, s;

	loop_harden();
	if (geteuid() != 0) /* only root can: anybody else hears so */
		return sandbox_user("root") == ERR_CONFIG;
	if (sandbox_user("nobody") != ERR_OK || getresuid(&r, &e, &s) != 0)
		return false;
	return r == e && e == s && r != 0 && getegid() != 0 && setuid(0) == -1 &&
	       prctl(PR_GET_DUMPABLE) == (SANITIZED ? 1 : 0) && sandbox_user("nobody") == ERR_OK &&
	       sandbox_user("root") == ERR_CONFIG && open("/etc/shadow", O_RDONLY) == -1;
}

static bool no_such_user(void)
{
	return sandbox_user("no such user") == ERR_CONFIG && sandbox_user("") == ERR_OK;
}

static void test_rights(void **state)
{
	(void)state;
	assert_true(in_child(hardened, false));
	assert_true(in_child(becomes_nobody, false));
	assert_true(in_child(no_such_user, false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls),
		cmocka_unit_test(test_off),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_rights),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
