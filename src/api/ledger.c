/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The ledger as library calls. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "action/ledger.h"
#include "api/options.h"
#include "api/take.h"
#include "base/cleanup.h"
#include "kernel/kernel.h"
#include "kernel/ledger.h"
#include "lastport/lastport.h"
#include "view/ledger.h"

struct lastport_ledger {
	struct lp_ledger_facts *facts;
};

void lastport_ledger_free(struct lastport_ledger *ledger)
{
	if (!ledger)
		return;
	lp_ledger_facts_free(ledger->facts);
	free(ledger);
}

static void ledger_freep(struct lastport_ledger **ledger)
{
	lastport_ledger_free(*ledger);
}

static int take_options(const struct lastport_ledger_options *given,
                        struct lastport_ledger_options *ret, struct lp_error *err)
{
	if (!lp_take_struct(ret, sizeof(*ret), given))
		return lp_fail(err, EINVAL, "options are of a newer version of the library");
	if (!ret->bpffs)
		ret->bpffs = lp_bpffs();
	if (ret->memory_mib > LP_LEDGER_MEMORY_MOST_MIB)
		return lp_fail(err, EINVAL, "memory for the ledger: expected at most %d MiB",
		               LP_LEDGER_MEMORY_MOST_MIB);
	return 0;
}

static int tell(int error, const struct lp_error *err, char *message, size_t message_size)
{
	if (error < 0 && message && message_size)
		(void)snprintf(message, message_size, "%s",
		               *err->text ? err->text : strerror(-error));
	return error;
}

static enum lastport_ledger_change change_of(enum lp_ledger_change change)
{
	switch (change) {
	case LP_LEDGER_BEGUN:
		return LASTPORT_LEDGER_CHANGED;
	case LP_LEDGER_REPLACED:
		return LASTPORT_LEDGER_REPLACED;
	default:
		return LASTPORT_LEDGER_UNCHANGED;
	}
}

int lastport_ledger_on(const struct lastport_ledger_options *options,
                       enum lastport_ledger_change *ret, char *message, size_t message_size)
{
	struct lastport_ledger_options taken;
	enum lp_ledger_change change = LP_LEDGER_UNCHANGED;
	struct lp_error err = {0};
	int r = take_options(options, &taken, &err);
	if (r == 0) {
		const struct lp_ledger_wish wish = {.bpffs = taken.bpffs,
		                                    .memory_mib = taken.memory_mib};
		r = lp_ledger_on(&wish, &change, &err);
	}
	if (r == 0 && ret)
		*ret = change_of(change);
	return tell(r, &err, message, message_size);
}

int lastport_ledger_off(const struct lastport_ledger_options *options,
                        enum lastport_ledger_change *ret, char *message, size_t message_size)
{
	struct lastport_ledger_options taken;
	enum lp_ledger_change change = LP_LEDGER_UNCHANGED;
	struct lp_error err = {0};
	int r = take_options(options, &taken, &err);
	if (r == 0)
		r = lp_ledger_off(taken.bpffs, &change, &err);
	if (r == 0 && ret)
		*ret = change_of(change);
	return tell(r, &err, message, message_size);
}

/* ---- reading ------------------------------------------------------------------------------- */

static int add_name(struct lp_ledger_facts *facts, const struct lp_netns_place *place)
{
	if (!place->name)
		return 0;
	struct lp_netns_name *name = &facts->names[facts->n_names];
	*name = (struct lp_netns_name){.id = lp_netns_place_id(place), .name = strdup(place->name)};
	if (!name->name)
		return -ENOMEM;
	facts->n_names++;
	return 0;
}

/* A list's end as _cleanup_ wants it. */
static void list_done(struct lp_netns_list *list)
{
	lp_netns_list_done(list);
}

/* What is not told stays without a name. */
static int read_names(const struct lp_kernel *kernel, struct lp_ledger_facts *facts)
{
	_cleanup_(lp_snapshot_freep) struct lp_snapshot *snapshot = lp_snapshot_new();
	_cleanup_(list_done) struct lp_netns_list list = {.closed_too = true};
	int r = snapshot ? lp_netns_list_read(kernel, snapshot, &list) : -ENOMEM;
	if (r == 0)
		r = lp_netns_list_cookies(kernel, &list);
	if (r < 0)
		return r;
	facts->names = calloc(list.n + 1, sizeof(*facts->names));
	if (!facts->names)
		return -ENOMEM;
	for (size_t i = 0; i < list.n && r == 0; i++)
		r = add_name(facts, &list.items[i]);
	return r;
}

static int read_ledger(const struct lastport_ledger_options *given, struct lastport_ledger *ledger,
                       struct lp_error *err)
{
	struct lastport_ledger_options options;
	int r = take_options(given, &options, err);
	if (r < 0)
		return r;
	_cleanup_(lp_kernel_close) struct lp_kernel kernel = LP_KERNEL_NONE;
	r = lp_kernel_open(&kernel, err);
	if (r < 0)
		return r;
	_cleanup_(lp_ledger_closep) struct lp_ledger *open = NULL;
	r = lp_ledger_open(options.bpffs, &open, err);
	if (r == 0)
		r = lp_ledger_read(open, &kernel, &ledger->facts);
	if (r == 0)
		r = read_names(&kernel, ledger->facts);
	return r;
}

int lastport_ledger_read(const struct lastport_ledger_options *options,
                         struct lastport_ledger **ret, char *message, size_t message_size)
{
	_cleanup_(ledger_freep) struct lastport_ledger *ledger = calloc(1, sizeof(*ledger));
	struct lp_error err = {0};
	int r = ledger ? read_ledger(options, ledger, &err) : -ENOMEM;
	if (r == 0)
		*ret = lp_take_ptr(ledger);
	return tell(r, &err, message, message_size);
}

int lastport_ledger_write_json(const struct lastport_ledger *ledger, FILE *out)
{
	return lp_view_ledger_json(ledger->facts, out);
}

int lastport_ledger_write_text(const struct lastport_ledger *ledger,
                               const struct lastport_text_options *options, FILE *out)
{
	struct lp_text_options text;
	int r = lp_options_text(options, &text);
	return r < 0 ? r : lp_view_ledger_text(ledger->facts, &text, out);
}
