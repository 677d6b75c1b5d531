/* SPDX-License-Identifier: Apache-2.0
 *
 * What the disk can do by itself, and a disk of a given speed in its place.
 */
#ifndef SEALWAY_BENCH_LEDGER_DISK_H
#define SEALWAY_BENCH_LEDGER_DISK_H

#include <stddef.h>
#include <stdint.h>

/* From here on every sync takes that long and reaches no disk; 0: the real one. */
void disk_model(unsigned sync_us);

/* Nanoseconds of each of n syncs of 4 KiB written to a new file in dir; false
 * when it cannot be written. */
int disk_probe(const char *dir, uint64_t *ns, size_t n);

/* How many syncs there were so far, and their nanoseconds in all. */
void disk_syncs(uint64_t *n, uint64_t *ns);

#endif
