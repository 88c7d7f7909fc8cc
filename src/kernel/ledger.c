/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "kernel/bpf_call.h"
#include "kernel/ledger_rows.h"

static const char usual_bpffs[] = "/sys/fs/bpf";

const char *lp_bpffs(void)
{
	const char *set = getenv("LASTPORT_BPFFS");
	return set && *set ? set : usual_bpffs;
}

bool lp_bpffs_is_usual(const char *bpffs)
{
	return !strcmp(bpffs, usual_bpffs);
}

int lp_bpffs_open(const char *bpffs, struct lp_error *err)
{
	_cleanup_(lp_close_fd) int fd = open(bpffs, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct statfs fs = {0};
	if (fd < 0 && errno != ENOENT && errno != ENOTDIR)
		return lp_errno();
	if (fd >= 0 && fstatfs(fd, &fs) < 0)
		return lp_errno();
	if (fd < 0 || fs.f_type != BPF_FS_MAGIC)
		return lp_fail(err, EMEDIUMTYPE,
		               "no BPF file system is mounted on %s: 'mount -t bpf bpf %s' does it",
		               bpffs, bpffs);
	return lp_take_fd(fd);
}

/* ---- opening ------------------------------------------------------------------------------- */

static void unmap(struct lp_ledger_map *map)
{
	if (map->rows)
		(void)munmap(map->rows, map->bytes);
}

void lp_ledger_close(struct lp_ledger *ledger)
{
	if (!ledger)
		return;
	unmap(&ledger->control_map);
	unmap(&ledger->sockets);
	unmap(&ledger->owners);
	unmap(&ledger->searches);
	unmap(&ledger->refusals);
	lp_close_fd(&ledger->program);
	lp_close_fd(&ledger->link);
	free(ledger);
}

static int tell_closed(int error, struct lp_error *why)
{
	switch (error) {
	case -ENOENT:
	case -ENOTDIR:
		return lp_fail(why, ENOENT, "the ledger is off");
	case -EACCES:
	case -EPERM:
		return lp_fail(why, -error,
		               "the ledger can't be read: this needs root, or "
		               "CAP_DAC_OVERRIDE and CAP_BPF");
	default:
		return lp_fail(why, -error, "the ledger can't be read: %s", strerror(-error));
	}
}

/* Gives a new descriptor of a piece by its name, or a negative errno. */
struct opener {
	int (*open)(void *context, const char *name);
	void *context;
};

static int open_pinned(void *context, const char *name)
{
	const char *bpffs = context;
	char path[4096];
	int n = snprintf(path, sizeof(path), "%s/" LP_LEDGER_FOLDER "/" LP_LEDGER_PINNED "/%s",
	                 bpffs, name);
	if (n < 0 || (size_t)n >= sizeof(path))
		return -ENAMETOOLONG;
	return lp_bpf_get(path);
}

/* Maps an array whose entries are of `size` bytes. -EPROTO: it is another one. */
static int map_piece(const struct opener *opener, const char *name, size_t size,
                     struct lp_ledger_map *ret)
{
	/* not BPF_F_RDONLY: the kernel maps only what may be written, though for reading */
	_cleanup_(lp_close_fd) int fd = opener->open(opener->context, name);
	if (fd < 0)
		return fd;
	struct bpf_map_info info;
	int r = lp_bpf_info(fd, &info, sizeof(info));
	if (r < 0)
		return r;
	if (info.type != BPF_MAP_TYPE_ARRAY || info.value_size != size || !info.max_entries)
		return -EPROTO;
	size_t bytes = size * info.max_entries;
	void *rows = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
	if (rows == MAP_FAILED)
		return lp_errno();
	*ret = (struct lp_ledger_map){.rows = rows, .sets = info.max_entries, .bytes = bytes};
	return 0;
}

static int map_all(struct lp_ledger *ledger, const struct opener *opener)
{
	const struct {
		const char *name;
		struct lp_ledger_map *map;
		size_t size;
	} maps[] = {
	        {"sockets", &ledger->sockets, sizeof(struct lp_ledger_socket)},
	        {"owners", &ledger->owners, sizeof(struct lp_ledger_owner_set)},
	        {"searches", &ledger->searches, sizeof(struct lp_ledger_search_set)},
	        {"refusals", &ledger->refusals, sizeof(struct lp_ledger_refused_set)},
	};
	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++) {
		int r = map_piece(opener, maps[i].name, maps[i].size, maps[i].map);
		if (r < 0)
			return r;
		if (maps[i].map->sets & (maps[i].map->sets - 1))
			return -EPROTO;
	}
	return 0;
}

/* The control comes first: it tells whether the rest is what this program knows. */
static int open_control(struct lp_ledger *ledger, const struct opener *opener)
{
	int r = map_piece(opener, "control", sizeof(struct lp_ledger_control),
	                  &ledger->control_map);
	if (r < 0)
		return r;
	ledger->control = ledger->control_map.rows;
	if (!ledger->control || ledger->control->version != LP_LEDGER_VERSION ||
	    ledger->control->size != sizeof(*ledger->control))
		return -EPROTO;
	return 0;
}

static int open_all(struct lp_ledger *ledger, const struct opener *opener)
{
	int r = open_control(ledger, opener);
	if (r < 0)
		return r;
	r = map_all(ledger, opener);
	if (r == 0) {
		ledger->link = opener->open(opener->context, "link");
		ledger->program = opener->open(opener->context, "program");
		r = ledger->link < 0 ? ledger->link : ledger->program < 0 ? ledger->program : 0;
	}
	return r == -ENOENT ? -EUCLEAN : r;
}

static int open_by(const struct opener *opener, struct lp_ledger **ret, struct lp_error *why)
{
	_cleanup_(lp_ledger_closep) struct lp_ledger *ledger = calloc(1, sizeof(*ledger));
	*ret = NULL;
	if (!ledger)
		return lp_fail(why, ENOMEM, "out of memory");
	ledger->program = ledger->link = -1;
	int r = open_all(ledger, opener);
	if (r == -EPROTO)
		return lp_fail(why, EPROTO,
		               "the ledger is of another version of lastport: 'lastport ledger on' "
		               "begins a new one");
	if (r == -EUCLEAN)
		return lp_fail(why, EUCLEAN,
		               "the ledger was turned on or off by half only: 'lastport ledger on' "
		               "or 'off' mends it");
	if (r < 0)
		return tell_closed(r, why);
	*ret = lp_take_ptr(ledger);
	return 0;
}

int lp_ledger_open(const char *bpffs, struct lp_ledger **ret, struct lp_error *why)
{
	const struct opener opener = {open_pinned, (void *)bpffs};
	int r = open_by(&opener, ret, why);
	if (r != -ENOENT || lp_bpffs_is_usual(bpffs))
		return r;
	/* named by somebody, who is to know when nothing can be pinned there */
	_cleanup_(lp_close_fd) int fd = lp_bpffs_open(bpffs, why);
	return fd == -EMEDIUMTYPE ? fd : r;
}

int lp_ledger_open_by(int (*open)(void *context, const char *name), void *context,
                      struct lp_ledger **ret, struct lp_error *why)
{
	const struct opener opener = {open, context};
	return open_by(&opener, ret, why);
}

/* ---- asking -------------------------------------------------------------------------------- */

bool lp_ledger_find(const struct lp_ledger *ledger, uint64_t cookie, struct lp_ledger_life *ret)
{
	if (!cookie || cookie == LP_LEDGER_BUSY)
		return false;
	const struct lp_ledger_socket *rows = ledger->sockets.rows;
	for (uint32_t i = 0; i < LP_LEDGER_WAYS; i++) {
		const struct lp_ledger_socket *row =
		        &rows[lp_ledger_row(cookie, i, ledger->sockets.sets - 1)];
		if (LP_LEDGER_LOAD(row->cookie) != cookie)
			continue;
		*ret = (struct lp_ledger_life){
		        .opener = row->opener,
		        .closer = row->closer,
		        .flags = row->flags,
		};
		return LP_LEDGER_LOAD(row->cookie) == cookie; /* else it was given away */
	}
	return false;
}

bool lp_ledger_party(const struct lp_ledger *ledger, uint32_t who, struct lp_ledger_party *ret)
{
	uint32_t row = who & LP_LEDGER_OWNER_MASK, set = row / LP_LEDGER_WAYS;
	if (who == LP_LEDGER_NOBODY || set >= ledger->owners.sets)
		return false;
	const struct lp_ledger_owner_set *sets = ledger->owners.rows;
	const struct lp_ledger_owner *owner = &sets[set].ways[row % LP_LEDGER_WAYS];
	uint32_t turn = who >> LP_LEDGER_OWNER_BITS, turns = ~0U >> LP_LEDGER_OWNER_BITS;
	if ((LP_LEDGER_LOAD(owner->turn) & turns) != turn)
		return false;
	lp_ledger_copy_party(&owner->process, owner->command, ret);
	return LP_LEDGER_LOAD(owner->seen) != LP_LEDGER_BUSY &&
	       (LP_LEDGER_LOAD(owner->turn) & turns) == turn;
}

int64_t lp_ledger_since_ms(const struct lp_ledger *ledger)
{
	return (int64_t)ledger->control->since_ms;
}

uint64_t lp_ledger_lost(const struct lp_ledger *ledger)
{
	return LP_LEDGER_LOAD(ledger->control->lost_time_wait);
}

uint64_t lp_ledger_sockets(const struct lp_ledger *ledger)
{
	return ledger->sockets.sets;
}
