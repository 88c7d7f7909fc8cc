/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef LASTPORT_H
#define LASTPORT_H

/*
 * liblastport: how many more TCP connections this machine can open and accept.
 *
 * A look reads the running kernel once and gives a report: a list of limits, nearest to exhaustion
 * first. A report is plain memory: it reads nothing later, and any thread may use it as long as
 * nobody frees it. Looks may run in several threads at once. The library prints nothing by itself,
 * never moves the calling thread to another namespace, and changes nothing on the system, but for
 * the two calls that say so.
 *
 * Functions that can fail return 0 or a negative errno. Option and result structs begin with their
 * size, so that later versions can add to them: use the LASTPORT_*_INIT macros.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LASTPORT_API __attribute__((visibility("default")))

/* "0.1.0" */
LASTPORT_API const char *lastport_version(void);

struct lastport_report;

struct lastport_look_options {
	size_t size;
	const char *netns;    /* a name of /run/netns, an inode, "host", "self", or NULL or "all" */
	const char *kind;     /* only this kind of limit, or NULL for all */
	uint32_t interval_ms; /* 0: one look; else a second one so much later, for growth */
	const char *reader;   /* "diag", "bpf", or NULL or "auto": what is quicker here */
	bool exact;           /* count every pool, however many sockets there are: may be slower */
};
#define LASTPORT_LOOK_OPTIONS_INIT                           \
	{                                                    \
		.size = sizeof(struct lastport_look_options) \
	}

/*
 * Reads the kernel. On success *ret is the caller's, to free with lastport_report_free().
 * On failure the sentence for people is written to message (of message_size bytes; may be NULL).
 * -EINVAL: a bad option. -ENOENT: no such namespace. -EPERM: may not enter it. -EIO: no /proc.
 * What could not be read is no failure: lastport_report_complete() and the report's gaps say so.
 */
LASTPORT_API int lastport_look(const struct lastport_look_options *options,
                               struct lastport_report **ret, char *message, size_t message_size);
LASTPORT_API void lastport_report_free(struct lastport_report *report);

/* Whether everything asked for was read. */
LASTPORT_API bool lastport_report_complete(const struct lastport_report *report);
LASTPORT_API size_t lastport_report_gaps(const struct lastport_report *report);
/* One sentence; lives as long as the report. NULL when index is out of range. */
LASTPORT_API const char *lastport_report_gap(const struct lastport_report *report, size_t index);

enum lastport_known {
	LASTPORT_KNOWN_REUSABLE = 1 << 0,
	LASTPORT_KNOWN_RATE = 1 << 1,
	LASTPORT_KNOWN_SUSTAINABLE = 1 << 2,
	LASTPORT_KNOWN_EXHAUSTED = 1 << 3,
	LASTPORT_KNOWN_NETNS = 1 << 4,
	LASTPORT_KNOWN_OPENED = 1 << 5,
	LASTPORT_KNOWN_CLOSED_FIRST = 1 << 6,
	LASTPORT_KNOWN_LIVE = 1 << 7,
};

/* Strings live as long as the report. A figure whose bit is not in `known` is 0 and means nothing.
 */
struct lastport_limit {
	size_t size;
	unsigned known;         /* bits of enum lastport_known */
	const char *kind;       /* "local-ports" … */
	uint64_t netns;         /* inode of the namespace; not known for a limit of the machine */
	const char *netns_name; /* or NULL */
	uint64_t used, capacity, headroom, reusable;
	uint32_t pressure;     /* permyriad: 0 to 10000 */
	bool exact;            /* false: an estimate */
	double rate;           /* TIME_WAIT a second over the last 60 s */
	double sustainable;    /* 1/s that never fill it */
	double exhausted_in_s; /* seconds; INFINITY where it will not fill at this rate */
	uint64_t live;         /* of local-ports: connections in it that are not in TIME_WAIT */
};
#define LASTPORT_LIMIT_INIT                           \
	{                                             \
		.size = sizeof(struct lastport_limit) \
	}

LASTPORT_API size_t lastport_report_limits(const struct lastport_report *report);
/* Whether figures of a kind of limit may be wrong or missing for that gap. */
LASTPORT_API bool lastport_report_gap_concerns(const struct lastport_report *report, size_t index,
                                               const char *kind);
/* The limit at index, nearest to exhaustion first. -ERANGE when there is none, -EINVAL for a bad
 * size. */
LASTPORT_API int lastport_report_limit(const struct lastport_report *report, size_t index,
                                       struct lastport_limit *ret);
/* What it is a limit of, for people: "10.0.0.5 → 10.1.2.3:443". As snprintf(). */
LASTPORT_API int lastport_report_where(const struct lastport_report *report, size_t index,
                                       char *buf, size_t size);

/* Strings live as long as the report. */
struct lastport_owner {
	size_t size;
	unsigned known;       /* LASTPORT_KNOWN_OPENED, LASTPORT_KNOWN_CLOSED_FIRST */
	uint32_t pid;         /* of a process that may have ended since */
	uint32_t shared_with; /* processes more that hold one of these connections too */
	const char *command;  /* "" where not known */
	const char *cgroup;   /* its path, or NULL where not known */
	uint64_t connections; /* of all states */
	uint64_t time_wait;   /* … of them in TIME_WAIT */
	uint64_t opened;      /* … that it opened */
	uint64_t closed_first;
};
#define LASTPORT_OWNER_INIT                           \
	{                                             \
		.size = sizeof(struct lastport_owner) \
	}

/*
 * Who has the connections of a limit of kind local-ports or client-ports: how many owners are
 * named. 0 also where none were looked for: of the many pools of a busy machine those nearest to
 * exhaustion only.
 */
LASTPORT_API size_t lastport_report_owners(const struct lastport_report *report, size_t limit);
/* Who has most comes first. -ERANGE when there is none, -EINVAL for a bad size. */
LASTPORT_API int lastport_report_owner(const struct lastport_report *report, size_t limit,
                                       size_t owner, struct lastport_owner *ret);

/*
 * The pool that a connect() from this machine to address:port ("10.1.2.3:443", "[::1]:80") would
 * draw from, in each namespace looked at: the index of the fullest one that is already in use, or
 * of the new destination's pool of that family. A link-local address without its link is meant on
 * each. -EINVAL: not an address and port. -ENOENT: none.
 */
LASTPORT_API int lastport_report_find_destination(const struct lastport_report *report,
                                                  const char *address_port, size_t *ret_index);

/* The names of all kinds, by index; NULL past the last. */
LASTPORT_API const char *lastport_kind_name(size_t index);

/* JSON schema 1 in one line. A negative errno when writing failed. */
LASTPORT_API int lastport_write_json(const struct lastport_report *report, FILE *out);

struct lastport_text_options {
	size_t size;
	unsigned width; /* columns; 0 for 80 */
	bool colour;
	bool unicode; /* UTF-8; else plain ASCII */
	size_t rows;  /* at most so many limits; 0 for all */
};
#define LASTPORT_TEXT_OPTIONS_INIT                           \
	{                                                    \
		.size = sizeof(struct lastport_text_options) \
	}

/* For people. A negative errno when writing failed. */
LASTPORT_API int lastport_write_text(const struct lastport_report *report,
                                     const struct lastport_text_options *options, FILE *out);

struct lastport_trace_options {
	size_t size;
	const char *netns;    /* as in struct lastport_look_options */
	uint32_t interval_ms; /* how often counts are told; 0: each second */
	uint32_t for_ms;      /* ends by itself after so long; 0: never */
	int stop;             /* a descriptor: ends once it can be read; -1: none */
	bool each;            /* single events, where there are such, not counts of an interval */
	bool json;            /* lines of JSON; else for people … */
	bool colour;
	bool unicode; /* … UTF-8; else plain ASCII */
};
#define LASTPORT_TRACE_OPTIONS_INIT                                        \
	{                                                                  \
		.size = sizeof(struct lastport_trace_options), .stop = -1, \
	}

/*
 * Writes what the kernel refuses and cuts short, as it happens, a line each, until told to end;
 * then what it was in all. What can't be traced is said in the first lines, and the rest goes on.
 * Looks from a thread of its own. 0; else as lastport_look(), or a negative errno of writing, with
 * an empty message.
 */
LASTPORT_API int lastport_trace(const struct lastport_trace_options *options, FILE *out,
                                char *message, size_t message_size);

/*
 * The ledger: programs in the kernel that remember who opened and who closed each connection, and
 * count the connects that were refused for want of a port. It is pinned and outlives the caller.
 * Turning it on and off are the only calls of this library that change the system.
 */
struct lastport_ledger_options {
	size_t size;
	const char *bpffs;   /* where a BPF file system is mounted; NULL: LASTPORT_BPFFS of the
	                        environment, else /sys/fs/bpf */
	uint32_t memory_mib; /* for its tables; 0: as they are, else 32 */
};
#define LASTPORT_LEDGER_OPTIONS_INIT                           \
	{                                                      \
		.size = sizeof(struct lastport_ledger_options) \
	}

enum lastport_ledger_change {
	LASTPORT_LEDGER_UNCHANGED, /* it was so before */
	LASTPORT_LEDGER_CHANGED,
	LASTPORT_LEDGER_REPLACED, /* on anew: it was of another version or size, or half only */
};

/* On failure the sentence for people is written to message, as by lastport_look(). *ret may be
 * NULL. -EPERM: what is missing; -EMEDIUMTYPE: no BPF file system; -EBUSY: another one is at it. */
LASTPORT_API int lastport_ledger_on(const struct lastport_ledger_options *options,
                                    enum lastport_ledger_change *ret, char *message,
                                    size_t message_size);
LASTPORT_API int lastport_ledger_off(const struct lastport_ledger_options *options,
                                     enum lastport_ledger_change *ret, char *message,
                                     size_t message_size);

/* What it has remembered, at one moment. -ENOENT: it is off. *ret is the caller's. */
struct lastport_ledger;
LASTPORT_API int lastport_ledger_read(const struct lastport_ledger_options *options,
                                      struct lastport_ledger **ret, char *message,
                                      size_t message_size);
LASTPORT_API void lastport_ledger_free(struct lastport_ledger *ledger);

/* For people (options->rows of each list at most), or JSON schema 1 in one line. */
LASTPORT_API int lastport_ledger_write_text(const struct lastport_ledger *ledger,
                                            const struct lastport_text_options *options, FILE *out);
LASTPORT_API int lastport_ledger_write_json(const struct lastport_ledger *ledger, FILE *out);
/* ---- explanations --------------------------------------------------------------------------- */

struct lastport_explain_options {
	size_t size;
	/* "10.1.2.3:443", "pid:812", a kind of limit, a finding's id, an error's name, or a line of
	 * a log; NULL: the worst limit now */
	const char *what;
	const char *netns; /* as for lastport_look() */
};
#define LASTPORT_EXPLAIN_OPTIONS_INIT                           \
	{                                                       \
		.size = sizeof(struct lastport_explain_options) \
	}

struct lastport_explanation;

/*
 * Which limits can be behind it, which is near now, and what to do. On success *ret is the
 * caller's, to free with lastport_explanation_free(). -ENOMSG: `what` is not understood, and
 * message says what would be. Other errors and message as those of lastport_look().
 */
LASTPORT_API int lastport_explain(const struct lastport_explain_options *options,
                                  struct lastport_explanation **ret, char *message,
                                  size_t message_size);
LASTPORT_API void lastport_explanation_free(struct lastport_explanation *explanation);
/* As lastport_write_json() and lastport_write_text(); with options->rows 0 every remedy. */
LASTPORT_API int lastport_explanation_write_json(const struct lastport_explanation *explanation,
                                                 FILE *out);
LASTPORT_API int lastport_explanation_write_text(const struct lastport_explanation *explanation,
                                                 const struct lastport_text_options *options,
                                                 FILE *out);

/* ---- plans: what so many connections need --------------------------------------------------- */

enum lastport_role {
	LASTPORT_CLIENT, /* the machine opens the connections */
	LASTPORT_SERVER, /* … accepts them */
	LASTPORT_ROUTER, /* … forwards them and translates their source */
};

enum lastport_closer {
	LASTPORT_CLOSER_CLIENT, /* whose FIN goes first: it keeps TIME_WAIT */
	LASTPORT_CLOSER_SERVER,
	LASTPORT_CLOSER_BOTH,
};

/* LASTPORT_PLAN_WISHES_INIT has a value for each; strings are read while the plan is made. */
struct lastport_plan_wishes {
	size_t size;
	double rate;           /* requests a second, 0 to 1e9; 0: the highest is asked for */
	double requests;       /* on each connection, 1 to 1e9 */
	double hold_s;         /* how long a connection is open, 0 to 1e9 */
	uint32_t sources;      /* addresses of the clients, 1 to 1e6 */
	uint32_t destinations; /* addresses and ports of the servers, 1 to 1e6 */
	uint32_t translated;   /* a router: addresses that it translates to, 1 to 1e6 */
	uint32_t nat_low;      /* … and the first and last of their ports, 1 to 65535 */
	uint32_t nat_high;
	uint32_t burst; /* a server: connections that come at once; 0: no word of it */
	enum lastport_role role;
	enum lastport_closer closer;
	bool bind_first;   /* a client: bind() to an address and port 0 before connect() */
	bool loopback;     /* the destinations are 127/8 or ::1 */
	const char *netns; /* whose figures: a name, an inode, "host", "self"; NULL is "self" */
	const char *machine_file; /* figures of another machine, or NULL: see lastport-plan(1) */
};
#define LASTPORT_PLAN_WISHES_INIT                                                         \
	{                                                                                 \
		.size = sizeof(struct lastport_plan_wishes), .requests = 1, .sources = 1, \
		.destinations = 1, .translated = 1, .nat_low = 1024, .nat_high = 65535    \
	}

struct lastport_plan;

/*
 * Works out what the wishes need, and whether the machine has it. On success *ret is the caller's,
 * to free with lastport_plan_free(). Errors and message as those of lastport_look(), and -EINVAL
 * for a file that says nothing of a machine, or -EIO: it can't be read.
 */
LASTPORT_API int lastport_plan_make(const struct lastport_plan_wishes *wishes,
                                    struct lastport_plan **ret, char *message, size_t message_size);
LASTPORT_API void lastport_plan_free(struct lastport_plan *plan);
/* False: the ports of a client are not known, and all else carries. Then nothing is told below. */
LASTPORT_API bool lastport_plan_known(const struct lastport_plan *plan);
/* Whether everything that was wished for is carried; true where no rate was. */
LASTPORT_API bool lastport_plan_carries(const struct lastport_plan *plan);
/* Connections a second that are carried at most; INFINITY where nothing bounds them. */
LASTPORT_API double lastport_plan_highest(const struct lastport_plan *plan);
/* As lastport_write_json() and lastport_write_text(). */
LASTPORT_API int lastport_plan_write_json(const struct lastport_plan *plan, FILE *out);
LASTPORT_API int lastport_plan_write_text(const struct lastport_plan *plan,
                                          const struct lastport_text_options *options, FILE *out);

#ifdef __cplusplus
}
#endif

#endif
