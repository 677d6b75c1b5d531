/* SPDX-License-Identifier: Apache-2.0
 *
 * Who was told of lately (news.h).
 */
#include "broker/news.h"

#include <string.h>

#define TOLD_MAX 64
#define AGAIN_MS 10000

bool news(const uint8_t who[KEY_BYTES], uint64_t now)
{
	static struct {
		uint8_t who[KEY_BYTES];
		uint64_t until; /* ms; what is over makes room */
	} told[TOLD_MAX];
	size_t room = TOLD_MAX;

	for (size_t i = 0; i < TOLD_MAX; i++) {
		if (told[i].until <= now)
			room = i;
		else if (memcmp(told[i].who, who, KEY_BYTES) == 0)
			return false;
	}
	if (room == TOLD_MAX)
		return false;
	memcpy(told[room].who, who, KEY_BYTES);
	told[room].until = now + AGAIN_MS;
	return true;
}
