/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * What programs call the remedies: the one place to extend. An entry is recognised by the name of a
 * process or of its executable, by what it is made with, or by the port that it connects to.
 */

#include "snapshot/snapshot.h"

enum { LP_ADVICE_NAMES = 6, LP_ADVICE_PORTS = 4, LP_ADVICE_STEPS = 3 };

/* Steps are whole sentences, or commands and lines of configuration; NULL after the last. */
struct lp_advice {
	const char *name; /* as people call it */
	/* recognised by one of these: */
	const char *names[LP_ADVICE_NAMES]; /* patterns of fnmatch() */
	enum lp_runtime runtime;
	uint16_t ports[LP_ADVICE_PORTS]; /* of the service that it is a client of */
	/* what to do: */
	const char *reuse[LP_ADVICE_STEPS]; /* keep connections open and reuse them */
	const char *serve;                  /* keep those of clients open */
	const char *no_port;                /* bind to an address without a port */
	const char *sources;                /* connect from several addresses */
	const char *backlog;                /* a longer accept queue */
	const char *descriptors;            /* more of them, beside the unit's LimitNOFILE */
	const char *conntrack;              /* who sets nf_conntrack_max */
	const char *translate;              /* how source ports are chosen by NAT */
	const char *documented;             /* https://… */
};

/* The last one has no name. */
extern const struct lp_advice lp_advice_list[];

/* For a process of that name, and what is known of its program (or NULL). NULL: none. */
const struct lp_advice *lp_advice_for(const char *command, const struct lp_program *program);
/* For a client of a service at that port. NULL: none. */
const struct lp_advice *lp_advice_for_port(uint16_t port);
/* That of a name in the list. */
const struct lp_advice *lp_advice_find(const char *name);
