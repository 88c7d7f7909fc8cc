/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "action/ledger_load.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "bpf/ledger.h"
#include "kernel/bpf_call.h"

/* The largest power of two of sets that fits. */
static uint32_t sets_of(uint64_t bytes, size_t size, uint32_t most)
{
	uint32_t sets = 1;
	while (sets < most && 2 * sets * size <= bytes)
		sets *= 2;
	return sets;
}

struct lp_ledger_sizes lp_ledger_sizes(uint32_t memory_mib)
{
	const uint32_t named = (LP_LEDGER_OWNER_MASK + 1) / LP_LEDGER_WAYS;
	uint64_t bytes = (uint64_t)memory_mib << 20;
	return (struct lp_ledger_sizes){
	        .sockets = sets_of(bytes / 2, sizeof(struct lp_ledger_socket), 1U << 26),
	        .owners = sets_of(bytes / 4, sizeof(struct lp_ledger_owner_set), named),
	        .searches = sets_of(bytes / 8, sizeof(struct lp_ledger_search_set), 1U << 14),
	        .refusals = sets_of(bytes / 16, sizeof(struct lp_ledger_refused_set), 1U << 14),
	};
}

int lp_ledger_open_piece(void *loaded, const char *name)
{
	const struct lp_ledger_piece *pieces = lp_ledger_pieces(loaded);
	for (size_t i = 0; i < LP_LEDGER_PIECES; i++)
		if (!strcmp(pieces[i].name, name)) {
			int fd = fcntl(pieces[i].fd, F_DUPFD_CLOEXEC, 0);
			return fd < 0 ? lp_errno() : fd;
		}
	return -ENOENT;
}

#if HAVE_BPF

#include "bpf/ledger.skel.h"

struct lp_ledger_loaded {
	struct ledger *programs;
	struct lp_ledger_piece pieces[LP_LEDGER_PIECES];
};

void lp_ledger_unload(struct lp_ledger_loaded *loaded)
{
	if (!loaded)
		return;
	if (loaded->programs)
		ledger__destroy(loaded->programs);
	free(loaded);
}

static int tell_refusal(int error, struct lp_error *err)
{
	if (error == -ENOMEM)
		return lp_fail(err, ENOMEM,
		               "there is not enough memory for the ledger: a smaller "
		               "--memory may do");
	return lp_bpf_refused("the ledger", "5.15", error, err);
}

static void set_sizes(struct ledger *programs, const struct lp_ledger_sizes *sizes)
{
	programs->maps.sockets.max_entries = sizes->sockets;
	programs->maps.owners.max_entries = sizes->owners;
	programs->maps.searches.max_entries = sizes->searches;
	programs->maps.refusals.max_entries = sizes->refusals;
	programs->rodata->sockets_mask = sizes->sockets - 1;
	programs->rodata->owners_mask = sizes->owners - 1;
	programs->rodata->searches_mask = sizes->searches - 1;
	programs->rodata->refusals_mask = sizes->refusals - 1;
}

static int write_control(const struct ledger *programs)
{
	struct lp_ledger_control control = {
	        .version = LP_LEDGER_VERSION,
	        .size = sizeof(control),
	        .since_ms = (uint64_t)lp_clock_wall_ms(),
	};
	uint32_t key = 0;
	return lp_bpf_entry(BPF_MAP_UPDATE_ELEM, programs->maps.control.map_fd, &key, &control);
}

static void name_pieces(struct lp_ledger_loaded *loaded)
{
	const struct ledger *programs = loaded->programs;
	const struct lp_ledger_piece pieces[LP_LEDGER_PIECES] = {
	        {"control", programs->maps.control.map_fd},
	        {"sockets", programs->maps.sockets.map_fd},
	        {"owners", programs->maps.owners.map_fd},
	        {"searches", programs->maps.searches.map_fd},
	        {"refusals", programs->maps.refusals.map_fd},
	        {"program", programs->progs.lp_ledger_state.prog_fd},
	        {"link", programs->links.lp_ledger_state_fd},
	};
	memcpy(loaded->pieces, pieces, sizeof(pieces));
}

int lp_ledger_load(uint32_t memory_mib, struct lp_ledger_loaded **ret, struct lp_error *err)
{
	_cleanup_(lp_ledger_unloadp) struct lp_ledger_loaded *loaded = calloc(1, sizeof(*loaded));
	if (loaded)
		loaded->programs = ledger__open();
	if (!loaded || !loaded->programs)
		return lp_fail(err, ENOMEM, "out of memory");
	const struct lp_ledger_sizes sizes = lp_ledger_sizes(memory_mib);
	set_sizes(loaded->programs, &sizes);
	int r = ledger__load(loaded->programs);
	if (r == 0)
		r = write_control(loaded->programs);
	if (r < 0)
		return tell_refusal(r, err);
	*ret = lp_take_ptr(loaded);
	return 0;
}

int lp_ledger_attach(struct lp_ledger_loaded *loaded, struct lp_error *err)
{
	if (ledger__attach(loaded->programs) < 0)
		return tell_refusal(lp_errno(), err);
	name_pieces(loaded);
	return 0;
}

const struct lp_ledger_piece *lp_ledger_pieces(const struct lp_ledger_loaded *loaded)
{
	return loaded->pieces;
}

#else

struct lp_ledger_loaded {
	struct lp_ledger_piece pieces[LP_LEDGER_PIECES];
};

int lp_ledger_load(uint32_t memory_mib, struct lp_ledger_loaded **ret, struct lp_error *err)
{
	(void)memory_mib;
	*ret = NULL;
	return lp_fail(err, EOPNOTSUPP, "this lastport was built without programs for the kernel");
}

int lp_ledger_attach(struct lp_ledger_loaded *loaded, struct lp_error *err)
{
	(void)loaded;
	return lp_fail(err, EOPNOTSUPP, "this lastport was built without programs for the kernel");
}

const struct lp_ledger_piece *lp_ledger_pieces(const struct lp_ledger_loaded *loaded)
{
	return loaded->pieces;
}

void lp_ledger_unload(struct lp_ledger_loaded *loaded)
{
	free(loaded);
}

#endif
