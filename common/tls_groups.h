/* SPDX-License-Identifier: Apache-2.0
 *
 * What may be agreed on in a TLS handshake, for the side that serves and the one that asks.
 */
#ifndef SEALWAY_COMMON_TLS_GROUPS_H
#define SEALWAY_COMMON_TLS_GROUPS_H

/* OpenSSL's own list without the finite fields: of those the other side picks one with 8192 bits, at which
 * a handshake costs 120 ms of our thread, and the one who asks for it nothing. */
#define TLS_GROUPS "X25519:P-256:X448:P-521:P-384"

#endif
