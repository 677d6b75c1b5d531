/* SPDX-License-Identifier: Apache-2.0
 *
 * Long frames from DEALER to ROUTER in pieces.  libzmq limits the length of a frame by one number, in a
 * handshake, too, which a stranger sends, and takes what that holds apart before it knows the key: as many
 * bytes as the longest body would be a gigabyte of memory.  So no frame that a ROUTER takes is longer than a
 * piece.  A frame of ZPIECE_BYTES or more is sent as pieces of just so many, and a shorter one, perhaps
 * empty, that ends it.
 *
 * Not from ROUTER to DEALER: a DEALER has chosen whom it connects to, and libzmq ends its process when the
 * connection ends while it takes a message of many frames (zsock.c).
 */
#ifndef SEALWAY_COMMON_ZPIECE_H
#define SEALWAY_COMMON_ZPIECE_H

#include "common/zsock_priv.h"

#define ZPIECE_BYTES 65536
#define ZPIECE_SEALED 64 /* bytes that CURVE adds to a frame, rounded up */

/* Whether m is a frame that goes in pieces on z. */
bool zpieces_go(const struct zsock *z, struct zmsg *m);

/* Whether m, which was received, is the first piece of one. */
bool zpieces_come(const struct zsock *z, struct zmsg *m);

/* Makes *out (uninitialised before) the piece of m that begins at *at (bytes), which goes on to the next;
 * true when it is the last one.  m is shared, not copied, and may be closed first. */
bool zpieces_next(struct zmsg *m, size_t *at, zmq_msg_t *out);

/* m is a first piece that was received, *more whether a frame follows it: reads the others, and makes m the
 * whole frame.  False if it is longer than z's max_msg, or ends in the middle: frames of its message may be
 * left, as *more says. */
bool zpieces_join(struct zsock *z, struct zmsg *m, bool *more);

#endif
