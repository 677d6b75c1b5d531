/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of a table of settings (conf.h), each named after the member that it
 * fills.  For the file with the table only, which says first whose members:
 *	#define CONF_OF struct gw_conf
 */
#ifndef SEALWAY_COMMON_CONF_TABLE_H
#define SEALWAY_COMMON_CONF_TABLE_H

#include <stddef.h>

#include "common/conf.h"

/* clang-format off */
#define ROW(member, type, def, min, max, unit, help) \
	{ #member, type, offsetof(CONF_OF, member), def, min, max, unit, help }
/* clang-format on */

#define STR(member, def, help) ROW(member, CONF_STR, def, 0, 0, "", help)
#define NUM(member, def, min, max, unit, help) ROW(member, CONF_U64, def, min, max, unit, help)
#define BOOL(member, def, help) ROW(member, CONF_BOOL, def, 0, 0, "", help)

#endif
