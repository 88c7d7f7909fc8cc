/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Network namespaces of one's own. Each is held by a descriptor only, so that whatever ends the
 * process, a kill -9 too, leaves nothing behind. Nothing here changes the host: names under
 * /run/netns are made on a private tmpfs in a private mount namespace.
 */

#include <limits.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

/* Lives as long as the descriptor (or a socket, process or mount) holds it. */
struct lab_ns {
	int fd;         /* for setns(); the owner's to close with lab_ns_done() */
	uint64_t inode; /* what "net:[…]" says */
};
#define LAB_NS_NONE ((struct lab_ns){.fd = -1})

/*
 * A new namespace with lo up. The calling thread stays where it is. Needs CAP_SYS_ADMIN (root, or
 * after lab_user_namespaces()). 0, or a negative errno with err set and *ret untouched.
 */
int lab_ns_make(struct lab_ns *ret, struct lp_error *err);

/* The calling thread's namespace, held by a new descriptor. */
int lab_ns_self(struct lab_ns *ret, struct lp_error *err);

/* Lets go of it; safe on LAB_NS_NONE and twice. For _cleanup_ too. */
void lab_ns_done(struct lab_ns *ns);

/*
 * Moves the calling thread (no other) into a namespace. Returns what lab_leave() needs to go back:
 *
 *	_cleanup_(lab_leave) int home = lab_enter(ns);
 *	if (home < 0)
 *		return home;
 *
 * ns NULL: stays where it is. A negative errno when it failed.
 */
int lab_enter(const struct lab_ns *ns);
enum { LAB_STAYED = INT_MAX };

/* Back to where lab_enter() came from. Aborts when that fails: nothing after it could be trusted.
 */
void lab_leave(const int *home);

/*
 * Writes a sysctl of the namespace (NULL: the calling thread's): path below /proc/sys/net, such as
 * "ipv4/ip_local_port_range"; value as printf(), written with a newline. 0, or a negative errno
 * with the path, the value and the reason in err.
 */
int lab_sysctl(const struct lab_ns *ns, struct lp_error *err, const char *path, const char *value,
               ...) __attribute__((format(printf, 4, 5)));

/* Reads one, without its newline. buf is NUL-terminated. 0 or a negative errno with err set. */
int lab_sysctl_get(const struct lab_ns *ns, struct lp_error *err, const char *path, char *buf,
                   size_t size);

/* ---- mounts --------------------------------------------------------------------------------- */

/* A private mount namespace; the inode lets lab_ns_bind() refuse to work anywhere else. */
struct lab_mounts {
	uint64_t inode;
};

/*
 * Moves the calling thread for good (and what it forks from then on) into a private mount
 * namespace with an empty tmpfs on /run/netns. Where the machine has no /run/netns, all of /run is
 * the tmpfs, so that no directory has to be made on the host. 0 or a negative errno with err set.
 */
int lab_private_mounts(struct lab_mounts *ret, struct lp_error *err);

/* Bind-mounts the namespace at /run/netns/NAME, as `ip netns add` would. */
int lab_ns_name(const struct lab_mounts *mounts, const struct lab_ns *ns, const char *name,
                struct lp_error *err);

/* Bind-mounts the namespace on a file of its own at path, which must lie on a private mount. */
int lab_ns_bind(const struct lab_mounts *mounts, const struct lab_ns *ns, const char *path,
                struct lp_error *err);

/* ---- without being root --------------------------------------------------------------------- */

/*
 * Moves this process, which must have one thread, into new user, network and mount namespaces in
 * which it is root; an ordinary user may do so where the machine lets them. From then on
 * lab_ns_make() and the rest work as for root. lo is up. -EPERM or -ENOSPC with err set where user
 * namespaces are not allowed, or inside a chroot.
 */
int lab_user_namespaces(struct lp_error *err);

/*
 * Makes sure that this process, which must have one thread, can make namespaces: root can as it is,
 * others by lab_user_namespaces(). 0, or a negative errno with err set.
 */
int lab_become_able(struct lp_error *err);
