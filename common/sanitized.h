/* SPDX-License-Identifier: Apache-2.0
 *
 * Whether this build has AddressSanitizer in it, whose leak checker looks into
 * its own process from another one at the end.
 */
#ifndef SEALWAY_COMMON_SANITIZED_H
#define SEALWAY_COMMON_SANITIZED_H

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

#ifndef SANITIZED
#define SANITIZED 0
#endif

#endif
