/* SPDX-License-Identifier: Apache-2.0
 *
 * Rights given up after start (sandbox.h).  The filter is a list of what is
 * allowed.  It is classic BPF, laid out as
 *
 *	architecture is ours?  number of the other ABI?
 *	socket: family on the list?  mmap, mprotect: writable and executable?  clone: a thread?
 *	number on the list?
 *
 * Sanitized builds keep what their leak checker needs: another process that
 * traces this one.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* setresuid */
#endif

#include "common/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "common/log.h"
#include "common/sanitized.h"

#if defined(__x86_64__)
#define OUR_ARCH AUDIT_ARCH_X86_64
#define OTHER_ABI 0x40000000u /* x32 numbers have this bit */
#elif defined(__aarch64__)
#define OUR_ARCH AUDIT_ARCH_AARCH64
#define OTHER_ABI 0x80000000u
#endif

#ifdef OUR_ARCH

/* What the programs and the libraries below them may need once they have started, and what later versions of
 * these may use in its place; the most frequent first, since the filter is walked from the top where the
 * kernel does not remember.  Calls that some machine or kernel header does not have stand behind #ifdef. */
/* clang-format off */
static const int allowed[] = {
	/* reading, writing, waiting */
	__NR_recvmsg, __NR_recvfrom, __NR_sendmsg, __NR_sendto, __NR_read, __NR_write, __NR_readv, __NR_writev,
	__NR_epoll_pwait, __NR_epoll_ctl, __NR_futex, __NR_getpid, __NR_clock_gettime, __NR_ppoll, __NR_pread64,
	__NR_pwrite64, __NR_preadv, __NR_pwritev, __NR_preadv2, __NR_pwritev2, __NR_recvmmsg, __NR_sendmmsg,
	__NR_pselect6, __NR_epoll_create1, __NR_eventfd2, __NR_pipe2, __NR_sendfile, __NR_splice,
	__NR_timerfd_create, __NR_timerfd_settime, __NR_timerfd_gettime,
#ifdef __NR_poll
	__NR_poll, __NR_epoll_wait, __NR_select, __NR_epoll_create, __NR_eventfd, __NR_pipe,
#endif
#ifdef __NR_epoll_pwait2
	__NR_epoll_pwait2,
#endif
#ifdef __NR_futex_waitv
	__NR_futex_waitv,
#endif
	/* sockets; socket itself is looked at */
	__NR_accept, __NR_accept4, __NR_bind, __NR_connect, __NR_listen, __NR_shutdown, __NR_socketpair,
	__NR_getsockname, __NR_getpeername, __NR_getsockopt, __NR_setsockopt,
	/* files */
	__NR_openat, __NR_close, __NR_fstat, __NR_newfstatat, __NR_statx, __NR_statfs, __NR_fstatfs, __NR_lseek,
	__NR_fsync, __NR_fdatasync, __NR_sync_file_range, __NR_ftruncate, __NR_fallocate, __NR_flock,
	__NR_fcntl,
	__NR_ioctl, __NR_dup, __NR_dup3, __NR_faccessat, __NR_getdents64, __NR_getcwd, __NR_readlinkat,
	__NR_unlinkat, __NR_mkdirat, __NR_linkat, __NR_fchmod, __NR_fchmodat, __NR_fchown, __NR_fchownat,
	__NR_umask,
	__NR_utimensat, __NR_fadvise64, __NR_renameat2, __NR_copy_file_range, __NR_inotify_init1,
	__NR_inotify_add_watch, __NR_inotify_rm_watch,
#ifdef __NR_renameat
	__NR_renameat,
#endif
#ifdef __NR_open
	__NR_open, __NR_stat, __NR_lstat, __NR_access, __NR_readlink, __NR_unlink, __NR_mkdir, __NR_rmdir,
	__NR_rename,
	__NR_link, __NR_chmod, __NR_chown, __NR_dup2, __NR_getdents, __NR_utimes, __NR_inotify_init,
#endif
#ifdef __NR_openat2
	__NR_openat2,
#endif
#ifdef __NR_close_range
	__NR_close_range,
#endif
#ifdef __NR_faccessat2
	__NR_faccessat2,
#endif
	/* memory; mmap and mprotect are looked at */
	__NR_brk, __NR_munmap, __NR_mremap, __NR_madvise, __NR_mlock, __NR_mlock2, __NR_munlock, __NR_msync,
	__NR_mincore, __NR_membarrier, __NR_get_mempolicy,
	/* threads and signals; clone is looked at */
	__NR_exit, __NR_exit_group, __NR_set_robust_list, __NR_get_robust_list, __NR_set_tid_address,
	__NR_gettid,
	__NR_sched_yield, __NR_sched_getaffinity, __NR_sched_setaffinity, __NR_sched_getparam,
	__NR_sched_getscheduler, __NR_sched_setscheduler, __NR_sched_setparam, __NR_sched_get_priority_max,
	__NR_sched_get_priority_min, __NR_getcpu,
	__NR_rt_sigaction, __NR_rt_sigprocmask, __NR_rt_sigreturn, __NR_rt_sigpending, __NR_rt_sigsuspend,
	__NR_rt_sigtimedwait, __NR_sigaltstack, __NR_tgkill, __NR_tkill, __NR_kill, __NR_restart_syscall,
#ifdef __NR_rseq
	__NR_rseq,
#endif
	/* clocks, numbers, itself */
	__NR_clock_getres, __NR_clock_nanosleep, __NR_nanosleep, __NR_gettimeofday, __NR_getrandom, __NR_uname,
	__NR_sysinfo, __NR_getrusage, __NR_times, __NR_prlimit64, __NR_getrlimit, __NR_setrlimit, __NR_getuid,
	__NR_geteuid, __NR_getgid, __NR_getegid, __NR_getgroups, __NR_getresuid, __NR_getresgid, __NR_getppid,
	__NR_getpgid, __NR_getsid, __NR_getpriority, __NR_capget, __NR_prctl, __NR_seccomp,
#ifdef __NR_time
	__NR_time, __NR_arch_prctl, __NR_getpgrp,
#endif
#if SANITIZED
	__NR_ptrace, __NR_wait4, __NR_clone, __NR_clone3, __NR_sched_getattr,
#ifdef __NR_fork
	__NR_fork, __NR_vfork,
#endif
#endif
};
/* clang-format on */

/* The newest call that this list was made with.  Libraries try newer ones and take ENOSYS, not EPERM, for an
 * answer. */
#ifdef __NR_set_mempolicy_home_node
#define NEWEST __NR_set_mempolicy_home_node
#else
#define NEWEST __NR_statx
#endif

static const unsigned families[] = { AF_INET, AF_INET6, AF_UNIX, AF_NETLINK };

#define N_ALLOWED (sizeof(allowed) / sizeof(allowed[0]))
#define N_FAMILIES (sizeof(families) / sizeof(families[0]))
#define CODE_MAX (2 * N_ALLOWED + N_FAMILIES + 40)

struct code {
	struct sock_filter at[CODE_MAX];
	unsigned short n;
};

static void op(struct code *c, unsigned short code, unsigned k, unsigned char yes, unsigned char no)
{
	BUG_ON(c->n == CODE_MAX);
	c->at[c->n++] = (struct sock_filter)BPF_JUMP(code, k, yes, no);
}

static void load(struct code *c, size_t offset)
{
	op(c, BPF_LD | BPF_W | BPF_ABS, (unsigned)offset, 0, 0);
}

static void give(struct code *c, unsigned what)
{
	op(c, BPF_RET | BPF_K, what, 0, 0);
}

#define DENY (SECCOMP_RET_ERRNO | EPERM)
#define ARG(i) (offsetof(struct seccomp_data, args) + 8 * (i)) /* its low half, little-endian */

/* Behind it the number is loaded. */
static void check_abi(struct code *c)
{
	load(c, offsetof(struct seccomp_data, arch));
	op(c, BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCH, 1, 0);
	give(c, SECCOMP_RET_KILL_PROCESS);
	load(c, offsetof(struct seccomp_data, nr));
	op(c, BPF_JMP | BPF_JGE | BPF_K, OTHER_ABI, 0, 1);
	give(c, SECCOMP_RET_KILL_PROCESS);
}

static void check_list(struct code *c)
{
	for (size_t i = 0; i < N_ALLOWED; i++) {
		op(c, BPF_JMP | BPF_JEQ | BPF_K, (unsigned)allowed[i], 0, 1);
		give(c, SECCOMP_RET_ALLOW);
	}
	op(c, BPF_JMP | BPF_JGT | BPF_K, NEWEST, 0, 1);
	give(c, SECCOMP_RET_ERRNO | ENOSYS);
	give(c, DENY);
}

/* socket(family, ...). */
static void check_socket(struct code *c)
{
	op(c, BPF_JMP | BPF_JEQ | BPF_K, __NR_socket, 0, N_FAMILIES + 3);
	load(c, ARG(0));
	for (size_t i = 0; i < N_FAMILIES; i++)
		op(c, BPF_JMP | BPF_JEQ | BPF_K, families[i], (unsigned char)(N_FAMILIES - i), 0);
	give(c, DENY);
	give(c, SECCOMP_RET_ALLOW);
}

/* mmap and mprotect(address, length, protection, ...). */
static void check_memory(struct code *c, int number)
{
	op(c, BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 5);
	load(c, ARG(2));
	op(c, BPF_ALU | BPF_AND | BPF_K, PROT_WRITE | PROT_EXEC, 0, 0);
	op(c, BPF_JMP | BPF_JEQ | BPF_K, PROT_WRITE | PROT_EXEC, 0, 1);
	give(c, DENY);
	give(c, SECCOMP_RET_ALLOW);
}

#if !SANITIZED
/* clone(flags, ...): threads only.  clone3 has its flags in memory: libc falls back to clone. */
static void check_clone(struct code *c)
{
	op(c, BPF_JMP | BPF_JEQ | BPF_K, __NR_clone3, 0, 1);
	give(c, SECCOMP_RET_ERRNO | ENOSYS);
	op(c, BPF_JMP | BPF_JEQ | BPF_K, __NR_clone, 0, 4);
	load(c, ARG(0));
	op(c, BPF_JMP | BPF_JSET | BPF_K, 0x00010000 /* CLONE_THREAD */, 1, 0);
	give(c, DENY);
	give(c, SECCOMP_RET_ALLOW);
}
#endif

static enum err install(void)
{
	struct code c = { .n = 0 };
	struct sock_fprog prog;

	check_abi(&c);
	check_socket(&c);
	check_memory(&c, __NR_mmap);
	check_memory(&c, __NR_mprotect);
#if !SANITIZED
	check_clone(&c);
#endif
	check_list(&c);
	prog = (struct sock_fprog){ .len = c.n, .filter = c.at };
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER,
		    SECCOMP_FILTER_FLAG_TSYNC | SECCOMP_FILTER_FLAG_LOG, &prog) != 0)
		return ERR_IO;
	return ERR_OK;
}

#else

static enum err install(void)
{
	errno = ENOSYS;
	return ERR_IO;
}

#endif

enum err sandbox_calls(bool on)
{
	enum err e;

	if (!on) {
		log_warn("seccomp_off", L_S("why", "the setting seccomp is false"));
		return ERR_OK;
	}
	e = install();
	if (e != ERR_OK)
		log_error("seccomp", L_S("why", strerror(errno)),
			  L_S("do", "use a kernel with seccomp filters, or set seccomp = false"));
	return e;
}

static enum err become(const struct passwd *pw)
{
	if (initgroups(pw->pw_name, pw->pw_gid) != 0 || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) != 0 ||
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) != 0)
		return ERR_IO;
	prctl(PR_SET_DUMPABLE, SANITIZED ? 1 : 0); /* the kernel decides anew with every change of user */
	return pw->pw_uid != 0 && setuid(0) == 0 ? ERR_IO : ERR_OK; /* for good? */
}

/* NULL, said in the log: there is none. */
static const struct passwd *look_up(const char *user)
{
	const struct passwd *pw;

	errno = 0;
	pw = getpwnam(user);
	if (!pw)
		log_error("user", L_S("user", user), L_S("why", errno ? strerror(errno) : "no such user"));
	return pw;
}

enum err sandbox_user(const char *user)
{
	const struct passwd *pw;

	if (!*user) {
		if (geteuid() == 0)
			log_warn("running_as_root", L_S("do", "start it as a user of its own, or set user"));
		return ERR_OK;
	}
	pw = look_up(user);
	if (!pw)
		return ERR_CONFIG;
	if (geteuid() == pw->pw_uid)
		return ERR_OK;
	if (become(pw) != ERR_OK) {
		log_error("user", L_S("user", user), L_S("why", strerror(errno)),
			  L_S("do", "only root can become another user: leave user empty"));
		return ERR_CONFIG;
	}
	return ERR_OK;
}

enum err sandbox_user_look(const char *user)
{
	if (!*user)
		return ERR_OK;
	if (geteuid() == 0)
		return sandbox_user(user);
	return look_up(user) ? ERR_OK : ERR_CONFIG;
}

void sandbox_lock(const void *p, unsigned long n)
{
	if (mlock(p, n) != 0)
		log_debug("mlock", L_S("why", strerror(errno)));
#ifdef MADV_DONTDUMP
	long page = sysconf(_SC_PAGESIZE);
	char *from = (char *)((size_t)p & ~(size_t)(page - 1));

	(void)madvise(from, (size_t)((const char *)p + n - from), MADV_DONTDUMP);
#endif
}
