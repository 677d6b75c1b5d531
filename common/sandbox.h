/* SPDX-License-Identifier: Apache-2.0
 *
 * What a server gives up once it has started: root, and system calls that it
 * never makes.  Comes after loop_harden.
 */
#ifndef SEALWAY_COMMON_SANDBOX_H
#define SEALWAY_COMMON_SANDBOX_H

#include <stdbool.h>

#include "common/err.h"

/* For a look at the settings: started as root it becomes the user, so that files are found as a start would
 * find them; else it only looks whether there is one.  "" changes nothing.  ERR_CONFIG, said in the log. */
enum err sandbox_user_look(const char *user) MUST_USE;

/* Becomes the user of that name, with its groups, for good; "" changes nothing (and
 * says so in the log when it is root that stays).  ERR_CONFIG, said in the log: no such user, or not
 * started as root. */
enum err sandbox_user(const char *user) MUST_USE;

/* Allows from here on, in every thread there is and will be, only what a server makes of the kernel: files,
 * sockets of IP, Unix and netlink, threads, memory that is not both written and run, clocks, signals.  Other
 * calls fail with EPERM (those that are newer than the list with ENOSYS, which libraries expect): starting
 * programs and processes, looking into others, mounting, loading code into the kernel, changing user, clock
 * or names.  ERR_IO, said in the log, when the kernel cannot; on false it does nothing but say so. */
enum err sandbox_calls(bool on) MUST_USE;

/* Keeps n bytes that hold a secret out of swap and core dumps, as far as the
 * limits allow. */
void sandbox_lock(const void *p, unsigned long n);

#endif
