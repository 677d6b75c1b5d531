/* SPDX-License-Identifier: Apache-2.0
 *
 * Rights given up after start (sandbox.h).  The filter is a list of what is
 * refused, not of what is allowed: it has to survive the next version of libc
 * and of every library below us; systemd's SystemCallFilter of our units is the
 * list of what is allowed.  It is classic BPF, laid out as
 *
 *	architecture is ours?  number of the other ABI?  number on the list?
 *	socket: family on the list?  mmap, mprotect: writable and executable?
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

/* Refused always.  Old calls that new machines do not have stand behind #ifdef. */
static const int refused[] = {
#if !SANITIZED
	__NR_ptrace,
	__NR_clone3,
#ifdef __NR_fork
	__NR_fork,
	__NR_vfork,
#endif
#endif
	__NR_execve,
	__NR_execveat,
	__NR_process_vm_readv,
	__NR_process_vm_writev,
	__NR_kcmp,
	__NR_pidfd_getfd,
	__NR_process_madvise,
	__NR_mount,
	__NR_umount2,
	__NR_pivot_root,
	__NR_chroot,
	__NR_move_mount,
	__NR_open_tree,
	__NR_fsopen,
	__NR_fsconfig,
	__NR_fsmount,
	__NR_fspick,
	__NR_unshare,
	__NR_setns,
	__NR_init_module,
	__NR_finit_module,
	__NR_delete_module,
	__NR_kexec_load,
	__NR_bpf,
	__NR_perf_event_open,
	__NR_userfaultfd,
	__NR_io_uring_setup,
	__NR_io_uring_enter,
	__NR_io_uring_register,
	__NR_keyctl,
	__NR_add_key,
	__NR_request_key,
	__NR_open_by_handle_at,
	__NR_reboot,
	__NR_swapon,
	__NR_swapoff,
	__NR_acct,
	__NR_quotactl,
	__NR_settimeofday,
	__NR_clock_settime,
	__NR_adjtimex,
	__NR_clock_adjtime,
	__NR_sethostname,
	__NR_setdomainname,
	__NR_syslog,
	__NR_vhangup,
	__NR_personality,
	__NR_mknodat,
	__NR_lookup_dcookie,
	__NR_nfsservctl,
#ifdef __NR_kexec_file_load
	__NR_kexec_file_load,
#endif
#ifdef __NR_iopl
	__NR_iopl,
	__NR_ioperm,
	__NR_modify_ldt,
	__NR_mknod,
	__NR_uselib,
	__NR_ustat,
	__NR_sysfs,
#endif
};

static const unsigned families[] = { AF_INET, AF_INET6, AF_UNIX, AF_NETLINK };

#define N_REFUSED (sizeof(refused) / sizeof(refused[0]))
#define N_FAMILIES (sizeof(families) / sizeof(families[0]))
#define CODE_MAX (2 * N_REFUSED + N_FAMILIES + 32)

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
static void check_number(struct code *c)
{
	load(c, offsetof(struct seccomp_data, arch));
	op(c, BPF_JMP | BPF_JEQ | BPF_K, OUR_ARCH, 1, 0);
	give(c, SECCOMP_RET_KILL_PROCESS);
	load(c, offsetof(struct seccomp_data, nr));
	op(c, BPF_JMP | BPF_JGE | BPF_K, OTHER_ABI, 0, 1);
	give(c, SECCOMP_RET_KILL_PROCESS);
	for (size_t i = 0; i < N_REFUSED; i++) {
#if !SANITIZED
		if (refused[i] == __NR_clone3) { /* libc falls back to clone, whose flags can be looked at */
			op(c, BPF_JMP | BPF_JEQ | BPF_K, __NR_clone3, 0, 1);
			give(c, SECCOMP_RET_ERRNO | ENOSYS);
			continue;
		}
#endif
		op(c, BPF_JMP | BPF_JEQ | BPF_K, (unsigned)refused[i], 0, 1);
		give(c, DENY);
	}
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
/* clone(flags, ...): threads only. */
static void check_clone(struct code *c)
{
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

	check_number(&c);
	check_socket(&c);
	check_memory(&c, __NR_mmap);
	check_memory(&c, __NR_mprotect);
#if !SANITIZED
	check_clone(&c);
#endif
	give(&c, SECCOMP_RET_ALLOW);
	prog = (struct sock_fprog){ .len = c.n, .filter = c.at };
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
	    syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &prog) != 0)
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

enum err sandbox_user(const char *user)
{
	const struct passwd *pw;

	if (!*user) {
		if (geteuid() == 0)
			log_warn("running_as_root", L_S("do", "start it as a user of its own, or set user"));
		return ERR_OK;
	}
	errno = 0;
	pw = getpwnam(user);
	if (!pw) {
		log_error("user", L_S("user", user), L_S("why", errno ? strerror(errno) : "no such user"));
		return ERR_CONFIG;
	}
	if (geteuid() == pw->pw_uid)
		return ERR_OK;
	if (become(pw) != ERR_OK) {
		log_error("user", L_S("user", user), L_S("why", strerror(errno)),
			  L_S("do", "only root can become another user: leave user empty"));
		return ERR_CONFIG;
	}
	return ERR_OK;
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
