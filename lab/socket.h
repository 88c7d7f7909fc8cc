/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * TCP sockets, opened and closed in every way that matters to a limit. Failures are negative errno
 * and nothing else, because here they are what is measured. Nothing waits longer than a timeout,
 * and what is waited for is a state of the kernel, never a time.
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "lab/ns.h"

enum { LAB_TIMEOUT_MS = 5000 };

/* Where a socket is or goes. Unlike lp_address, IPv4-mapped IPv6 stays IPv6. */
struct lab_addr {
	socklen_t length; /* 0: not an address */
	union {
		struct sockaddr any;
		struct sockaddr_in four;
		struct sockaddr_in6 six;
	};
};

/* "127.0.0.1", "::1", "::ffff:10.0.0.1", "fe80::1%2". Not an address: length 0. */
struct lab_addr lab_addr(const char *text, uint16_t port);
int lab_addr_family(const struct lab_addr *addr);
uint16_t lab_addr_port(const struct lab_addr *addr);
void lab_addr_set_port(struct lab_addr *addr, uint16_t port);
/* The local and the remote address of a socket; length 0 when there is none. */
struct lab_addr lab_addr_local(int fd);
struct lab_addr lab_addr_remote(int fd);
/* Without the port. buf has INET6_ADDRSTRLEN bytes or more; returns it. */
const char *lab_addr_text(const struct lab_addr *addr, char *buf, size_t size);

enum {
	LAB_REUSEADDR = 1 << 0,
	LAB_REUSEPORT = 1 << 1,
	LAB_BIND_NO_PORT = 1 << 2, /* IP_BIND_ADDRESS_NO_PORT: bind() chooses no port yet */
	LAB_V6ONLY = 1 << 3,       /* else IPv6 sockets take IPv4 too */
	LAB_NONBLOCK = 1 << 4,     /* connect returns while it is still going on */
	LAB_LINGER_ZERO = 1 << 5,  /* close() sends a reset */
};

/* How a socket is opened. All zero is a plain blocking socket of the calling thread's namespace. */
struct lab_how {
	const struct lab_ns *ns;     /* whose socket; NULL: the calling thread's */
	const struct lab_addr *from; /* bind() to it; NULL: none. Port 0: the kernel chooses */
	unsigned options;            /* LAB_REUSEADDR … */
	int timeout_ms;              /* 0: LAB_TIMEOUT_MS */
	uint32_t ports;              /* IP_LOCAL_PORT_RANGE: lab_ports(); 0: not set */
};

/* A range for how->ports. Linux 6.3; older ones refuse to make such a socket: -ENOPROTOOPT. */
static inline uint32_t lab_ports(uint16_t low, uint16_t high)
{
	return (uint32_t)high << 16 | low;
}

/* A socket bound to how->from and left so. A descriptor (the caller's), or a negative errno. */
int lab_bound(const struct lab_how *how);

/* A listener at how->from. A full accept queue holds backlog + 1. */
int lab_listen(const struct lab_how *how, int backlog);

/*
 * Connects to `to`. -EADDRNOTAVAIL: connect() found no port. -EADDRINUSE: bind() found none.
 * -ETIMEDOUT after the timeout too. With LAB_NONBLOCK a connection under way is a success.
 */
int lab_connect(const struct lab_how *how, const struct lab_addr *to);

/* Takes a connection from a listener. timeout_ms 0: only one that waits already (-EAGAIN). */
int lab_accept(int listener, int timeout_ms);
/* Takes all connections that wait, and closes them. How many. */
unsigned lab_drain(int listener);

/* ---- many --------------------------------------------------------------------------------------
 */

/* Descriptors that are held open. */
struct lab_fds {
	int *items;
	size_t n, room;
};
/* Takes fd over; when memory is short it is closed and -ENOMEM comes back. */
int lab_hold(struct lab_fds *fds, int fd);
/* Closes all. For _cleanup_ too. */
void lab_fds_done(struct lab_fds *fds);

/* How often something worked, and the positive errno that ended it; 0: nothing did. */
struct lab_count {
	unsigned n;
	int error;
};

/* Opens up to n connections and holds them; stops at the first refusal. */
struct lab_count lab_connect_many(const struct lab_how *how, const struct lab_addr *to, unsigned n,
                                  struct lab_fds *hold);
/* The same for sockets bound to how->from. */
struct lab_count lab_bind_many(const struct lab_how *how, unsigned n, struct lab_fds *hold);

/* Raises RLIMIT_NOFILE of this process to the hard limit. Returns the new soft limit. */
uint64_t lab_raise_descriptors(void);

/* ---- both ends
 * ----------------------------------------------------------------------------------- */

/* A connection of which both ends are ours. */
struct lab_pair {
	int client, server;
};
#define LAB_PAIR_NONE ((struct lab_pair){-1, -1})

/* Connects to a listener and accepts: nobody else may connect to it meanwhile. 0 or -errno. */
int lab_pair_open(const struct lab_how *how, const struct lab_addr *to, int listener,
                  struct lab_pair *ret);

/* Who ends a connection. The one that closes first keeps TIME_WAIT. */
enum lab_end {
	LAB_CLIENT_FIRST,
	LAB_SERVER_FIRST,
	LAB_TOGETHER, /* both FINs under way at once: both keep TIME_WAIT. Takes about 0.2 s */
	LAB_RESET,    /* SO_LINGER 0 at the client: nobody keeps TIME_WAIT */
};

/*
 * Closes both ends and returns when the kernel has done so: with the last ACK exchanged, TIME_WAIT
 * stands. The descriptors are closed whatever happens. 0, or -ETIMEDOUT, -ECONNRESET ….
 */
int lab_pair_close(struct lab_pair *pair, enum lab_end end);

/* The same for many, of which LAB_TOGETHER needs the time of one. */
int lab_pairs_close(struct lab_pair *pairs, size_t n, enum lab_end end);

/*
 * The client is done with sending, the server has seen it: FIN_WAIT2 and CLOSE_WAIT, both
 * descriptors still open.
 */
int lab_pair_half_close(const struct lab_pair *pair);

/* Opens and ends n connections to a listener, one after the other (LAB_TOGETHER: 64 at once). */
struct lab_count lab_open_and_end(const struct lab_how *how, const struct lab_addr *to,
                                  int listener, enum lab_end end, unsigned n);

/* ---- what the kernel says
 * ------------------------------------------------------------------------- */

/* TCP_ESTABLISHED … of <netinet/tcp.h>, or a negative errno. */
int lab_tcp_state(int fd);
/* Waits until the socket is in that state. 0 or -ETIMEDOUT. */
int lab_wait_tcp_state(int fd, int state, int timeout_ms);
/* Waits for the other end's FIN, reading away what comes before it. 0, -ETIMEDOUT, -ECONNRESET. */
int lab_wait_eof(int fd, int timeout_ms);

/*
 * The state of one tuple in a namespace, TIME_WAIT too, by a single sock_diag lookup. -ENOENT: the
 * kernel knows no such connection.
 */
int lab_tuple_state(const struct lab_ns *ns, const struct lab_addr *local,
                    const struct lab_addr *remote);

/* `tw` of the namespace's sockstat, both families; or a negative errno. */
int lab_time_wait_count(const struct lab_ns *ns);

/* A counter of the namespace's netstat or snmp: "TcpExt", "TCPTimeWaitOverflow". -errno if none. */
int64_t lab_counter(const struct lab_ns *ns, const char *group, const char *name);
