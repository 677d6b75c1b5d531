/* SPDX-License-Identifier: Apache-2.0
 *
 * What a server gives up once it has started: root, and system calls that it
 * never makes.  Comes after loop_harden.
 */
#ifndef SEALWAY_COMMON_SANDBOX_H
#define SEALWAY_COMMON_SANDBOX_H

#include <stdbool.h>

#include "common/err.h"

/* Becomes the user of that name, with its groups, for good; "" changes nothing (and
 * says so in the log when it is root that stays).  ERR_CONFIG, said in the log: no such user, or not
 * started as root. */
enum err sandbox_user(const char *user) MUST_USE;

/* Refuses from here on, in every thread there is and will be, to start programs and processes, to look into
 * other processes, to mount, to load code into the kernel, to make memory that can be written and run, and
 * sockets of any family but IP, Unix and netlink: such calls fail with EPERM.  ERR_IO, said in the log, when
 * the kernel cannot; on false it does nothing but say so. */
enum err sandbox_calls(bool on) MUST_USE;

/* Keeps n bytes that hold a secret out of swap and core dumps, as far as the
 * limits allow. */
void sandbox_lock(const void *p, unsigned long n);

#endif
