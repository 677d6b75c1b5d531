/* SPDX-License-Identifier: Apache-2.0
 *
 * Sizes and numbers that every process agrees on.  Each says where it is from.
 */
#ifndef SEALWAY_PROTO_LIMITS_H
#define SEALWAY_PROTO_LIMITS_H

#define PROTO_VERSION 2

#define RID_BYTES 16                     /* request id, PROTOCOL section 7 */
#define KEY_BYTES 32                     /* X25519, Ed25519 and CURVE keys, and digests */
#define ID_MAX ((UINT64_C(1) << 53) - 1) /* identifiers and units, PROTOCOL sections 2 and 6 */
#define USAGE_MAX 2147483647u            /* each number of a usage object, PROTOCOL section 3 */
#define MODEL_BYTES_MAX 256
#define URL_BYTES_MAX 512
#define ENDPOINT_BYTES_MAX 256        /* a ZeroMQ endpoint */
#define CHUNK_BYTES_MAX 65536         /* payload of one chunk frame, ARCHITECTURE */
#define CREDIT_INITIAL 65536          /* bytes a worker may publish before the first grant */
#define BODY_BYTES_MAX (64u << 20)    /* hard cap on a forwarded body, whatever is configured */
#define EVIDENCE_BYTES_MAX (1u << 20) /* PROTOCOL section 8 */
#define MODELS_PER_NODE_MAX 64
#define PEERS_MAX 4096
#define INTERVAL_MIN_MS 20 /* between two heartbeats of a broker and its peers */
#define INTERVAL_MAX_MS 60000
#define SILENT_INTERVALS 3 /* that many without a word are death */
#define UNITS_DEFAULT 8192 /* reserved with no lock and no number, PROTOCOL section 2 */
#define UNITS_IMAGE (1024u * 1024u)
#define LOCK_SECONDS_MAX 600
#define LOCK_SECONDS_DEFAULT 5
#define DISPATCH_MS_MAX 600000                /* longest wait for a worker, whatever a gateway says */
#define KEY_OVERLAP_S (LOCK_SECONDS_MAX + 30) /* a superseded key is accepted so long, PROTOCOL section 4.5  \
					       */

#endif
