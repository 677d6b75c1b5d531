/* SPDX-License-Identifier: Apache-2.0
 *
 * Proofs that outlive an answer: the text of sealway_receipt, and its check
 * offline (sealway_receipt_verify, declared in sealway.h).
 */
#ifndef SEALWAY_CLIENT_RECEIPT_H
#define SEALWAY_CLIENT_RECEIPT_H

#include "client/open_response.h"

/* The file's text for a verified answer of an own node, appended to out. */
void receipt_text(const struct opener *o, const char *origin, struct buf *out);

#endif
