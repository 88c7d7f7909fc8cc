/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Addresses as people write them: what was understood, written and read again, is the same. */

#include "base/address.h"
#include "text.h"

static void check_address(const char *text)
{
	char written[LP_ADDRESS_TEXT];
	struct lp_address address, again;
	if (lp_address_parse(text, &address) < 0)
		return;
	must_hold(lp_address_parse(lp_address_text(&address, written), &again) == 0);
	must_hold(lp_address_equal(&address, &again));
}

static void check_port(const char *text)
{
	char written[LP_ADDRESS_TEXT];
	struct lp_address address, again;
	uint16_t port, port_again;
	if (lp_address_port_parse(text, &address, &port) < 0)
		return;
	lp_address_port_text(&address, port, written);
	must_hold(lp_address_port_parse(written, &again, &port_again) == 0);
	must_hold(lp_address_equal(&address, &again) && port == port_again && port > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	check_address(text);
	check_port(text);
	free(text);
	return 0;
}
