/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "action/ledger.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "action/ledger_load.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "kernel/bpf_call.h"
#include "kernel/ledger.h"

/*
 * Below BPFFS/lastport/: everything is pinned in "ledger-new", which then becomes "ledger" at one
 * stroke; the one before is "ledger-old" until it is gone. What stands there beside "ledger" is
 * left over from one who was killed.
 */
#define NEW LP_LEDGER_PINNED "-new"
#define OLD LP_LEDGER_PINNED "-old"

enum { WAIT_MS = 50, WAITS = 200 };

/* ---- the folder ---------------------------------------------------------------------------- */

static int tell(int error, const char *bpffs, struct lp_error *err)
{
	if (error == -EACCES || error == -EPERM)
		return lp_fail(err, -error, "nothing can be pinned below %s (%s): this needs root",
		               bpffs, strerror(-error));
	return lp_fail(err, -error, "%s/" LP_LEDGER_FOLDER ": %s", bpffs, strerror(-error));
}

/* The BPF file system's folder, opened. */
static int open_bpffs(const char *bpffs, struct lp_error *err)
{
	int fd = lp_bpffs_open(bpffs, err);
	return fd >= 0 || fd == -EMEDIUMTYPE ? fd : tell(fd, bpffs, err);
}

/* Whether the open folder still is the one that stands there: another one may have taken it away.
 */
static bool is_there(int bpffs, int folder)
{
	struct stat there, open;
	return fstatat(bpffs, LP_LEDGER_FOLDER, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
	       fstat(folder, &open) == 0 && there.st_ino == open.st_ino &&
	       there.st_dev == open.st_dev;
}

/* Our folder, locked. -ENOENT where it is not there and not to be made; -EAGAIN: not yet. */
static int try_lock(int bpffs, bool make)
{
	if (make && mkdirat(bpffs, LP_LEDGER_FOLDER, 0700) < 0 && errno != EEXIST)
		return lp_errno();
	_cleanup_(lp_close_fd) int fd =
	        openat(bpffs, LP_LEDGER_FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return make && errno == ENOENT ? -EAGAIN : lp_errno();
	if (flock(fd, LOCK_EX | LOCK_NB) < 0)
		return errno == EWOULDBLOCK ? -EAGAIN : lp_errno();
	return is_there(bpffs, fd) ? lp_take_fd(fd) : -EAGAIN;
}

/* The same, waited for ten seconds at most. */
static int lock_folder(const char *path, int bpffs, bool make, struct lp_error *err)
{
	int fd = -EAGAIN;
	for (int i = 0; i < WAITS && fd == -EAGAIN; i++) {
		if (i)
			lp_clock_sleep_ms(WAIT_MS);
		fd = try_lock(bpffs, make);
	}
	if (fd == -EAGAIN)
		return lp_fail(err, EBUSY, "another lastport is turning the ledger on or off");
	if (fd == -ENOENT)
		return fd;
	return fd < 0 ? tell(fd, path, err) : fd;
}

/* ---- taking away --------------------------------------------------------------------------- */

/* Removes a folder of pins, the link first: with it the program ends. 1: it was there. */
static int remove_pins(int folder, const char *name)
{
	_cleanup_(lp_close_fd) int fd =
	        openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : lp_errno();
	if (unlinkat(fd, "link", 0) < 0 && errno != ENOENT)
		return lp_errno();
	_cleanup_(lp_close_dir) DIR *dir = fdopendir(fcntl(fd, F_DUPFD_CLOEXEC, 0));
	if (!dir)
		return lp_errno();
	for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		if (unlinkat(fd, entry->d_name, 0) < 0 && errno != ENOENT)
			return lp_errno();
	}
	return unlinkat(folder, name, AT_REMOVEDIR) < 0 ? lp_errno() : 1;
}

/* What one who was killed left: the one before, if that is all there is, is on again. */
static int clear_left_overs(int folder)
{
	int fresh = remove_pins(folder, NEW);
	if (fresh < 0)
		return fresh;
	(void)renameat(folder, OLD, folder, LP_LEDGER_PINNED); /* never over one with pins */
	int old = remove_pins(folder, OLD);
	return old < 0 ? old : fresh || old;
}

int lp_ledger_off(const char *bpffs, enum lp_ledger_change *ret, struct lp_error *err)
{
	*ret = LP_LEDGER_UNCHANGED;
	_cleanup_(lp_close_fd) int root = open_bpffs(bpffs, err);
	if (root < 0)
		/* nothing can be pinned there; who named the place is to know that */
		return root == -EMEDIUMTYPE && lp_bpffs_is_usual(bpffs) ? 0 : root;
	_cleanup_(lp_close_fd) int folder = lock_folder(bpffs, root, false, err);
	if (folder < 0)
		return folder == -ENOENT ? 0 : folder;
	int left = clear_left_overs(folder);
	int was = left < 0 ? left : remove_pins(folder, LP_LEDGER_PINNED);
	if (was >= 0 && unlinkat(root, LP_LEDGER_FOLDER, AT_REMOVEDIR) < 0 && errno != ENOTEMPTY)
		was = lp_errno();
	if (was < 0)
		return tell(was, bpffs, err);
	*ret = was || left ? LP_LEDGER_BEGUN : LP_LEDGER_UNCHANGED;
	return 0;
}

/* ---- turning on ---------------------------------------------------------------------------- */

static int pin_pieces(const char *bpffs, int folder, const struct lp_ledger_loaded *loaded)
{
	const struct lp_ledger_piece *pieces = lp_ledger_pieces(loaded);
	char path[4096];
	if (mkdirat(folder, NEW, 0700) < 0)
		return lp_errno();
	for (size_t i = 0; i < LP_LEDGER_PIECES; i++) {
		int n = snprintf(path, sizeof(path), "%s/" LP_LEDGER_FOLDER "/" NEW "/%s", bpffs,
		                 pieces[i].name);
		if (n < 0 || (size_t)n >= sizeof(path))
			return -ENAMETOOLONG;
		int r = lp_bpf_pin(pieces[i].fd, path);
		if (r < 0)
			return r;
	}
	return 0;
}

/* What is on, if it is what is wished: 1. 0: a new one is wanted. */
static int keep(const struct lp_ledger_wish *wish, struct lp_error *err)
{
	_cleanup_(lp_ledger_closep) struct lp_ledger *ledger = NULL;
	int r = lp_ledger_open(wish->bpffs, &ledger, err);
	if (r == -ENOENT || r == -EPROTO || r == -EUCLEAN)
		return 0;
	if (r < 0)
		return r;
	if (!wish->memory_mib)
		return 1;
	const struct lp_ledger_sizes sizes = lp_ledger_sizes(wish->memory_mib);
	return lp_ledger_sockets(ledger) == sizes.sockets;
}

/* The new one becomes the one that is on. 1: there was another one. */
static int take_place(int folder)
{
	bool was = renameat(folder, LP_LEDGER_PINNED, folder, OLD) == 0;
	if (!was && errno != ENOENT)
		return lp_errno();
	if (renameat(folder, NEW, folder, LP_LEDGER_PINNED) < 0)
		return lp_errno();
	int r = remove_pins(folder, OLD);
	return r < 0 ? r : was;
}

/* In place of what is there, which is given up only when the new one stands ready. */
static int replace(const struct lp_ledger_wish *wish, int folder, enum lp_ledger_change *ret,
                   struct lp_error *err)
{
	_cleanup_(lp_ledger_unloadp) struct lp_ledger_loaded *loaded = NULL;
	int r = lp_ledger_load(wish->memory_mib ? wish->memory_mib : LP_LEDGER_MEMORY_MIB, &loaded,
	                       err);
	if (r < 0)
		return r;
	r = lp_ledger_attach(loaded, err);
	if (r < 0)
		return r;
	r = pin_pieces(wish->bpffs, folder, loaded);
	int was = r < 0 ? r : take_place(folder);
	if (was < 0) {
		(void)clear_left_overs(folder);
		return tell(was, wish->bpffs, err);
	}
	*ret = was ? LP_LEDGER_REPLACED : LP_LEDGER_BEGUN;
	return 0;
}

static int turn_on(const struct lp_ledger_wish *wish, int folder, enum lp_ledger_change *ret,
                   struct lp_error *err)
{
	int r = clear_left_overs(folder);
	if (r < 0)
		return tell(r, wish->bpffs, err);
	r = keep(wish, err);
	return r ? r : replace(wish, folder, ret, err);
}

int lp_ledger_on(const struct lp_ledger_wish *wish, enum lp_ledger_change *ret,
                 struct lp_error *err)
{
	*ret = LP_LEDGER_UNCHANGED;
	_cleanup_(lp_close_fd) int root = open_bpffs(wish->bpffs, err);
	if (root < 0)
		return root;
	_cleanup_(lp_close_fd) int folder = lock_folder(wish->bpffs, root, true, err);
	int r = folder < 0 ? folder : turn_on(wish, folder, ret, err);
	if (r >= 0)
		return 0;
	/* leaves nothing where nothing was */
	(void)unlinkat(root, LP_LEDGER_FOLDER, AT_REMOVEDIR);
	return r;
}
