/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "base/utf8.h"

#include <stddef.h>
#include <stdint.h>

/* How many bytes the first byte of a sequence promises; 0 where none starts so. */
static size_t promised(uint8_t first)
{
	if (first < 0x80)
		return 1;
	if (first >= 0xc2 && first < 0xe0)
		return 2;
	if (first >= 0xe0 && first < 0xf0)
		return 3;
	return first >= 0xf0 && first < 0xf5 ? 4 : 0;
}

/* The length of the printable character at text, 0 if there is none. RFC 3629, section 4. */
static size_t character(const uint8_t *text)
{
	size_t length = promised(text[0]);
	for (size_t i = 1; i < length; i++)
		if ((text[i] & 0xc0) != 0x80)
			return 0;
	switch (text[0]) {
	case 0xc2: /* C1 controls */
	case 0xe0: /* could be shorter */
		return text[1] < 0xa0 ? 0 : length;
	case 0xed: /* surrogates */
		return text[1] > 0x9f ? 0 : length;
	case 0xf0: /* could be shorter */
		return text[1] < 0x90 ? 0 : length;
	case 0xf4: /* past U+10FFFF */
		return text[1] > 0x8f ? 0 : length;
	default:
		return text[0] < 0x20 || text[0] == 0x7f ? 0 : length;
	}
}

void lp_utf8_clean(char *text)
{
	while (*text) {
		size_t length = character((const uint8_t *)text);
		if (!length)
			*text = '?';
		text += length ? length : 1;
	}
}
