/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Fills the connection tracking of its namespace as a router's would be: clients behind it, servers
 * before it, ports 443, 80, 5432 and others, a tenth of the entries without an answer. A line on
 * standard input says how many there shall be; the answer is how many there are.
 */

#include <stdio.h>
#include <stdlib.h>

#include "lab/conntrack.h"
#include "lab/nft.h"

enum {
	CLIENTS = 40,
	PORTS = 1000,  /* of a client towards one server */
	STRIPE = 1000, /* entries of one client before the next one's turn */
	MOST = 4000000,
};

static struct lab_addr client_of(unsigned stripe)
{
	char text[32];
	(void)snprintf(text, sizeof(text), "10.1.%u.%u", stripe % CLIENTS / 10,
	               2 + stripe % CLIENTS);
	return lab_addr(text, 20000);
}

static struct lab_addr server_of(unsigned stripe)
{
	static const uint16_t ports[] = {443, 443, 443, 443, 443, 80, 80, 5432, 6379, 8080};
	char text[32];
	(void)snprintf(text, sizeof(text), "10.9.%u.%u", stripe / 200, 1 + stripe % 200);
	return lab_addr(text, ports[stripe % 10]);
}

static int fill(unsigned from, unsigned wanted, struct lp_error *err)
{
	for (unsigned made = from; made < wanted; made += STRIPE) {
		unsigned stripe = made / STRIPE;
		struct lab_conntrack_fill fill = {
		        .from = client_of(stripe),
		        .to = server_of(stripe),
		        .ports = PORTS,
		        .n = wanted - made < STRIPE ? wanted - made : STRIPE,
		        .short_lived = stripe % 10 == 3,
		};
		int r = lab_conntrack_fill(NULL, &fill, err);
		if (r < 0)
			return r;
	}
	return 0;
}

int main(void)
{
	struct lp_error err = {0};
	char line[64];
	unsigned held = 0;
	if (lab_nft_track(NULL, &err) < 0) {
		fprintf(stderr, "conntrack_table: %s\n", err.text);
		return EXIT_FAILURE;
	}
	while (fgets(line, sizeof(line), stdin)) {
		unsigned long wanted = strtoul(line, NULL, 10);
		if (wanted < held || wanted > MOST || fill(held, (unsigned)wanted, &err) < 0) {
			fprintf(stderr, "conntrack_table: %s: %s", err.text, line);
			return EXIT_FAILURE;
		}
		held = (unsigned)wanted;
		printf("%lld\n", (long long)lab_conntrack_count(NULL, &err));
		(void)fflush(stdout);
	}
	return EXIT_SUCCESS;
}
