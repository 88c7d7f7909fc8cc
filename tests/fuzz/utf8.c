/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Text made safe to print: same length, nothing to clean any more, and JSON takes it. */

#include <jansson.h>

#include "base/utf8.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	size_t length = strlen(text);
	lp_utf8_clean(text);
	must_hold(strlen(text) == length);
	for (size_t i = 0; i < length; i++)
		must_hold((unsigned char)text[i] >= 0x20 && text[i] != 0x7f);
	char *again = fuzz_text((const uint8_t *)text, length);
	lp_utf8_clean(again);
	must_hold(!strcmp(text, again));
	json_t *json = json_string(text);
	must_hold(json);
	json_decref(json);
	free(again);
	free(text);
	return 0;
}
