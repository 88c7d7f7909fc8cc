/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "fixtures.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "finding/rule.h"
#include "snapshot/nat.h"
#include "snapshot/owners.h"

/* Pointers of limits go into these arrays, which therefore must not move: room is taken first. */
enum { ROOM = 64 };

static struct lp_netns *add_netns(struct lp_report *report, const char *name, uint64_t inode)
{
	struct lp_netns *netns = lp_snapshot_add_netns(report->snapshot);
	assert(netns);
	netns->inode = inode;
	netns->name = name ? strdup(name) : NULL;
	netns->own = true;
	netns->in_use4 = netns->in_use6 = netns->time_wait = lp_figure(0);
	netns->has_ipv6 = true;
	netns->sockets_read = true;
	netns->pools = calloc(ROOM, sizeof(*netns->pools));
	netns->listeners = calloc(ROOM, sizeof(*netns->listeners));
	netns->binds = calloc(ROOM, sizeof(*netns->binds));
	assert(netns->pools && netns->listeners && netns->binds);
	return netns;
}

static struct lp_netns *netns_at(struct lp_report *report, size_t index)
{
	return &report->snapshot->netns[index];
}

static struct lp_limit *add(struct lp_report *report, const char *kind, size_t netns, uint64_t used,
                            uint64_t capacity)
{
	struct lp_limit *limit =
	        lp_limits_add(&report->limits, lp_limit_kind_find(kind), netns, used, capacity);
	assert(limit);
	report->forecasts =
	        reallocarray(report->forecasts, report->limits.n, sizeof(*report->forecasts));
	assert(report->forecasts);
	report->forecasts[report->limits.n - 1] = (struct lp_forecast){0};
	return limit;
}

static struct lp_forecast *forecast_of(struct lp_report *report)
{
	return &report->forecasts[report->limits.n - 1];
}

static struct lp_address address(const char *text)
{
	struct lp_address a;
	int r = lp_address_parse(text, &a);
	assert(r == 0);
	(void)r;
	return a;
}

/* A pool whose connections are `time_wait` TIME_WAITs, the rest of `used` ESTABLISHED. */
static struct lp_limit *add_pool(struct lp_report *report, size_t index, enum lp_side side,
                                 const char *local, const char *remote, uint16_t port,
                                 uint64_t used, uint64_t capacity, uint16_t time_wait)
{
	struct lp_netns *netns = netns_at(report, index);
	assert(netns->n_pools < ROOM);
	struct lp_pool *pool = &netns->pools[netns->n_pools++];
	pool->key = (struct lp_pool_key){.local = address(local),
	                                 .remote = address(remote),
	                                 .port = port,
	                                 .side = (uint16_t)side};
	pool->states[LP_TIME_WAIT] = time_wait;
	pool->states[LP_ESTABLISHED] = (uint16_t)(used - time_wait);
	struct lp_limit *limit = add(report, side == LP_OPENED ? "local-ports" : "client-ports",
	                             index, used, capacity);
	limit->pool = pool;
	return limit;
}

static void add_rates(struct lp_report *report, double rate, double recent, double sustainable,
                      double exhausted_in_s)
{
	struct lp_forecast *forecast = forecast_of(report);
	forecast->rate = lp_real(rate);
	forecast->rate_recent = lp_real(recent);
	forecast->sustainable = lp_real(sustainable);
	forecast->exhausted_in_s = lp_real(exhausted_in_s);
}

static void add_new(struct lp_report *report, size_t index, int family, uint64_t ports)
{
	struct lp_limit *limit = add(report, "local-ports", index, 0, ports);
	limit->family = family;
	limit->reusable = lp_figure(0);
	forecast_of(report)->sustainable = lp_real((double)ports / 60);
}

static void add_process(struct lp_report *report, const char *command, pid_t pid, uint64_t used,
                        uint64_t limit)
{
	struct lp_process *process = lp_snapshot_add_process(report->snapshot);
	assert(process && report->snapshot->n_processes <= 16);
	*process = (struct lp_process){.pid = pid, .descriptors = used, .limit = limit};
	(void)snprintf(process->command, sizeof(process->command), "%s", command);
	add(report, "file-descriptors", LP_NO_NETNS, used, limit)->process = process;
}

static void add_queue(struct lp_report *report, size_t index, const char *local, uint16_t port,
                      uint32_t waiting, uint32_t backlog)
{
	struct lp_netns *netns = netns_at(report, index);
	assert(netns->n_listeners < ROOM);
	struct lp_listener *listener = &netns->listeners[netns->n_listeners++];
	*listener = (struct lp_listener){.address = address(local),
	                                 .port = port,
	                                 .waiting = waiting,
	                                 .backlog = backlog,
	                                 .inode = 70000 + port};
	add(report, "accept-queue", index, waiting, backlog + 1)->listener = listener;
}

/* Requests of the first listener. */
static void add_requests(struct lp_report *report, size_t index, uint64_t requests, uint64_t room)
{
	struct lp_limit *limit = add(report, "syn-queue", index, requests, room);
	limit->listener = netns_at(report, index)->listeners;
	limit->exact = false;
	limit->assumed = LP_ASSUME_SYN_QUEUE_EVEN | LP_ASSUME_CLIENTS_UNKNOWN;
}

static struct lp_limit *add_bind(struct lp_report *report, size_t index, const char *local,
                                 uint32_t taken, uint64_t capacity)
{
	struct lp_netns *netns = netns_at(report, index);
	assert(netns->n_binds < ROOM);
	struct lp_bind_address *bind = &netns->binds[netns->n_binds++];
	*bind = (struct lp_bind_address){.address = address(local), .taken = taken};
	struct lp_limit *limit = add(report, "bind-ports", index, taken, capacity);
	limit->bind = bind;
	return limit;
}

static void add_memory(struct lp_report *report, uint64_t used, uint64_t capacity)
{
	struct lp_machine *machine = &report->snapshot->machine;
	machine->page_size = lp_figure(4096);
	machine->time_wait_size = lp_figure(256);
	add(report, "tcp-memory", LP_NO_NETNS, used, capacity);
}

/* ---- the reports --------------------------------------------------------------------------- */

/* A proxy in front of two upstreams, one of them nearly out of ports. */
static void proxy(struct lp_report *report)
{
	struct lp_netns *host = add_netns(report, "host", 4026531840);
	host->in_use4 = lp_figure(1204);
	host->in_use6 = lp_figure(12);
	host->time_wait = lp_figure(59988);
	add_netns(report, "blue", 4026532316);
	add_netns(report, NULL, 4026532400);
	report->snapshot->took_us = 14230;

	struct lp_limit *limit =
	        add_pool(report, 0, LP_OPENED, "10.0.0.5", "10.1.2.3", 443, 28190, 28232, 28150);
	limit->reusable = lp_figure(0);
	add_rates(report, 469.17, 471.5, 470.53, 38.04);
	struct lp_forecast *forecast = forecast_of(report);
	forecast->n_drain = LP_DRAIN_POINTS;
	for (uint32_t i = 0; i < LP_DRAIN_POINTS; i++)
		forecast->drain[i] = 28150 * (i + 1) / LP_DRAIN_POINTS;
	add_bind(report, 0, "10.0.0.5", 25400, 28232);
	add_bind(report, 0, "0.0.0.0", 25400, 28232)->echo = true;
	add_pool(report, 0, LP_OPENED, "10.0.0.5", "10.1.2.9", 6379, 17220, 28232, 17000);
	add_rates(report, 283.3, 290, 470.53, INFINITY);
	add(report, "time-wait-buckets", 0, 59988, 131072);
	limit = add_pool(report, 0, LP_ACCEPTED, "10.0.0.5", "10.3.0.77", 443, 6210, 64512, 0);
	limit->reusable = lp_figure(14800);
	limit->assumed = LP_ASSUME_CLIENT_PORTS | LP_ASSUME_SYN_REPLACES;
	add_process(report, "nginx", 812, 421, 10240);
	add_queue(report, 0, "0.0.0.0", 443, 9, 511);
	add_memory(report, 12345, 1523456);
	add_process(report, "postgres", 1044, 77, 1048576);
	/* hardly used, but soon to be full */
	add_pool(report, 2, LP_OPENED, "10.9.0.1", "10.9.0.2", 80, 200, 28232, 200);
	add_rates(report, 10, 1000, 470.53, 29.9);
	add_new(report, 0, AF_INET, 28230);
	add_new(report, 0, AF_INET6, 28230);
	add_new(report, 1, AF_INET, 28232);
	add_new(report, 1, AF_INET6, 28232);
	add_new(report, 2, AF_INET, 28232);
	add_new(report, 2, AF_INET6, 28232);
	add(report, "orphans", LP_NO_NETNS, 0, 65536);
}

static void say_in_log(struct lp_report *report, enum lp_log_what what, uint64_t netns,
                       const char *subject, uint64_t lines, int64_t minutes_ago)
{
	int64_t last_ms = report->snapshot->taken_at_ms - minutes_ago * 60 * 1000;
	struct lp_log_entry *entry = &report->snapshot->log.entries[report->snapshot->log.n++];
	*entry = (struct lp_log_entry){.what = what,
	                               .netns = netns,
	                               .lines = lines,
	                               .first_ms = last_ms - 500,
	                               .last_ms = last_ms};
	(void)snprintf(entry->subject, sizeof(entry->subject), "%s", subject);
	report->snapshot->log.read = true;
}

/* Just started: nothing uses anything. */
static void idle(struct lp_report *report)
{
	add_netns(report, "host", 4026531840);
	report->snapshot->took_us = 812;
	add(report, "time-wait-buckets", 0, 0, 131072);
	add_new(report, 0, AF_INET, 28232);
	add_new(report, 0, AF_INET6, 28232);
	add_queue(report, 0, "0.0.0.0", 22, 0, 128);
}

/* What an ordinary user sees of the proxy, and is told of the rest. */
static void user(struct lp_report *report)
{
	struct lp_netns *host = add_netns(report, "host", 4026531840);
	host->in_use4 = lp_figure(1);
	report->snapshot->took_us = 9990;
	add_pool(report, 0, LP_OPENED, "10.0.0.5", "10.1.2.9", 6379, 17220, 28232, 17000);
	add_rates(report, 283.3, 290, 470.53, INFINITY);
	add_process(report, "bash", 2001, 4, 1024);
	add_new(report, 0, AF_INET, 28232);
	report->snapshot->log.error = -EPERM;
	lp_snapshot_gap(report->snapshot, "processes", 0,
	                "212 processes are not ours to look into: run as root to see them");
	lp_snapshot_gap(report->snapshot, "namespaces", 0,
	                "namespaces of other users can't be found without root");
	lp_snapshot_gap(report->snapshot, "sockets", 4026531840,
	                "the list was interrupted 5 times: the counts may be torn");
}

/* Nothing could be read. */
static void unknown(struct lp_report *report)
{
	struct lp_netns *netns = add_netns(report, NULL, 4026532999);
	netns->in_use4 = netns->in_use6 = netns->time_wait = (struct lp_figure){0};
	netns->sockets_read = false;
	report->snapshot->took_us = 12400000;
	lp_snapshot_gap(report->snapshot, "sockets", 4026532999,
	                "sock_diag: Operation not permitted");
}

/* Long addresses, in several namespaces. */
static void six(struct lp_report *report)
{
	struct lp_netns *host = add_netns(report, "host", 4026531840);
	host->time_wait = lp_figure(31415);
	add_netns(report, "tenant-4711", 4026532316);
	report->snapshot->took_us = 3200;
	add_pool(report, 1, LP_OPENED, "2001:db8:85a3:1234:5678:8a2e:370:7334",
	         "2001:db8:ffff:1234:5678:1319:8a2e:370", 8443, 27001, 28232, 27001);
	add_rates(report, 450, 460, 470.53, 3700);
	add_pool(report, 0, LP_OPENED, "fe80::1%3", "fe80::dead:beef%3", 443, 23000, 28232, 0);
	add_pool(report, 0, LP_OPENED, "10.100.200.150", "10.101.202.103", 8443, 22000, 28232, 9);
	add(report, "time-wait-buckets", 1, 31415, 131072);
	add_queue(report, 1, "2001:db8:85a3:1234:5678:8a2e:370:7334", 8443, 3, 4095);
	add_new(report, 0, AF_INET, 28232);
	add_new(report, 0, AF_INET6, 28232);
	add_new(report, 1, AF_INET6, 28232);
	add_requests(report, 1, 17, 4096);
	struct lp_netns *tenant = netns_at(report, 1);
	report->snapshot->apart_s = 2;
	tenant->tcp_counters = (struct lp_tcp_counters){.listen_overflow = lp_figure(1200)};
	tenant->tcp_growth = (struct lp_tcp_counters){.listen_overflow = lp_figure(7)};
	tenant->overflow = (struct lp_overflow){LP_OVERFLOW_OF_ONLY_FULL, 70000 + 8443};
	say_in_log(report, LP_LOG_CONNTRACK_FULL, 4026532316, "", 10, 3);
	say_in_log(report, LP_LOG_CONNTRACK_FULL, 4026539999, "", 1, 4);
	say_in_log(report, LP_LOG_SYN_COOKIES, 0, "[2001:db8::1]:\033[7m", 1, 59);
	say_in_log(report, LP_LOG_RANGE_PARITY, 0, "", 1234, 60);
	say_in_log(report, LP_LOG_CONNTRACK_HELPER, 0, "ftp", 2, 60);
	say_in_log(report, LP_LOG_ORPHANS, 0, "", 7, 600);
	report->snapshot->log.suppressed = 1800;
	report->snapshot->log.lost = 12;
	report->snapshot->log.crowded_out = 3;
	report->snapshot->log.cut = true;
}

/* Every kind of end: capacity 0, full, overfull, soon, later, days ahead, never, not known. */
static void ends(struct lp_report *report)
{
	struct lp_netns *host = add_netns(report, "host", 4026531840);
	host->in_use4 = lp_figure(1);
	report->snapshot->took_us = 1000;
	add_new(report, 0, AF_INET, 0);
	add_process(report, "app", 31, 0, 0);
	add_queue(report, 0, "127.0.0.1", 8080, 130, 128);
	add_pool(report, 0, LP_OPENED, "10.0.0.1", "10.0.0.2", 80, 100, 100, 100);
	add_rates(report, 1.66, 1.7, 1.66, 0);
	static const double spans[] = {0.4, 119.9, 120, 7199, 90000, 172800, 4e9, 1e300, INFINITY};
	for (size_t i = 0; i < sizeof(spans) / sizeof(spans[0]); i++) {
		add_pool(report, 0, LP_OPENED, "10.0.0.1", "10.0.0.3", (uint16_t)(8000 + i),
		         9000 - i, 10000, 5);
		add_rates(report, 0.083, 123456.78, 166.6, spans[i]);
	}
	add_process(report, "tiny", 32, 1, 9223372036854775807);
}

/* A large machine, sampled; more rows than are asked for; names made to do harm. */
static void sampled(struct lp_report *report)
{
	for (uint64_t i = 0; i < 12; i++) {
		char name[32];
		(void)snprintf(name, sizeof(name), "pod-%u", (unsigned)i);
		struct lp_netns *netns =
		        add_netns(report, i == 3 ? "ev\033[2Jil\xff" : name, 4026532000 + i);
		netns->in_use4 = lp_figure(100000);
		netns->time_wait = lp_figure(1);
		netns->sampled = i == 5 ? 64 : 0;
	}
	report->snapshot->took_us = 5200;
	for (size_t i = 0; i < 9; i++) {
		struct lp_limit *limit = add_pool(report, 11 - i, LP_OPENED, "10.0.0.1", "10.0.0.2",
		                                  80, 26000 - i * 100, 28232, 20000);
		limit->exact = i % 2;
		limit->about = i % 2 ? 0 : 1280;
		limit->assumed = LP_ASSUME_PORTS_BY_CONNECT | LP_ASSUME_TIMESTAMPS;
	}
	add_process(report, "\033]0;owned\a", 666, 80, 100);
	add_process(report, "b\xc3\xa4r", 667, 79, 100);
	for (size_t i = 0; i < 12; i++)
		add_new(report, i, AF_INET, i < 6 ? 20000 + i : 28232);
	for (uint64_t i = 0; i < 8; i++)
		lp_snapshot_gap(report->snapshot, "sockets", 4026532000 + i,
		                "not wholly read, \033[7m says \xc3\xa4");
}

static struct lp_finding *find(struct lp_report *report, const char *id, enum lp_severity severity,
                               size_t limit, size_t netns)
{
	struct lp_findings *findings = &report->findings;
	findings->items = reallocarray(findings->items, findings->n + 1, sizeof(*findings->items));
	assert(findings->items);
	struct lp_finding *finding = &findings->items[findings->n++];
	*finding = (struct lp_finding){
	        .rule = lp_rule_find(id), .severity = severity, .limit = limit, .netns = netns};
	assert(finding->rule);
	return finding;
}

static void advise_reuse(struct lp_finding *finding)
{
	struct lp_remedy *remedy = lp_remedy_add(finding, "Keep connections open and reuse them");
	lp_remedy_step(remedy, "nginx: add \"keepalive 64;\" to the upstream block, and to its "
	                       "location \"proxy_http_version 1.1;\".");
	lp_remedy_change(remedy, "opens/s", 469.17, 4.69);
	lp_remedy_change(remedy, "TIME_WAIT", 28150, 281.5);
	lp_remedy_risk(remedy, LP_RISK_NONE, "The other end must keep idle connections open.");
	remedy = lp_remedy_add(finding, "Let connect() take TIME_WAITs again");
	lp_remedy_step(remedy, "sysctl -w net.ipv4.tcp_tw_reuse=1");
	lp_remedy_effect(remedy, "so many opens/s → more");
	lp_remedy_risk(remedy, LP_RISK_LOW, "Timestamps alone tell old data from new.");
	lp_remedies_settle(finding);
}

static void tell(struct lp_finding *finding, const char *summary)
{
	lp_finding_summary(finding, "%s", summary);
	lp_finding_cause(finding, "A connection for every request or two: each keeps its port for "
	                          "60 s after its end (TIME_WAIT).");
	lp_finding_evidence(finding, "28,150 of the 28,190 connections are in TIME_WAIT.");
	lp_finding_evidence(finding, "Something \033[2J calls itself \xff.");
}

/* The proxy with what is wrong there: a cause with its symptom, some more, one without remedy. */
static void findings(struct lp_report *report)
{
	proxy(report);
	struct lp_finding *cause = find(report, "short-connections", LP_CRITICAL, 0, 0);
	tell(cause, "469.2 connections a second are opened to 10.1.2.3:443, used and closed.");
	advise_reuse(cause);
	struct lp_report other = {0};
	tell(find(&other, "local-ports-exhausted", LP_CRITICAL, 0, 0),
	     "Only 42 of 28,232 local ports from 10.0.0.5 to 10.1.2.3:443 are left.");
	cause->explains = other.findings.items;
	cause->n_explains = 1;
	size_t last = report->limits.n - 8; /* of the namespace without a name */
	struct lp_finding *near = find(report, "local-ports-near", LP_WARNING, last, 2);
	tell(near, "It is full in 29 s.");
	tell(find(report, "local-ports-near", LP_NOTICE, LP_NO_LIMIT, LP_NO_NETNS),
	     "Of no limit and no namespace.");
	tell(find(report, "local-ports-near", LP_NOTICE, LP_NO_LIMIT, 1), "Of a namespace.");
	report->findings.left_out = 3;
	static const char *const lacking[][2] = {{"short-connections", "nobody told"},
	                                         {"local-ports-near", "the sockets are not known"},
	                                         {"local-ports-exhausted", "nobody told"}};
	report->findings.not_judged = calloc(3, sizeof(*report->findings.not_judged));
	assert(report->findings.not_judged);
	for (size_t i = 0; i < 3; i++)
		report->findings.not_judged[report->findings.n_not_judged++] =
		        (struct lp_not_judged){.rule = lp_rule_find(lacking[i][0]),
		                               .why = strdup(lacking[i][1])};
}

static struct lp_pool_owners *add_owners(struct lp_report *report, const struct lp_limit *limit)
{
	struct lp_snapshot *snapshot = report->snapshot;
	snapshot->owners =
	        reallocarray(snapshot->owners, snapshot->n_owners + 1, sizeof(*snapshot->owners));
	assert(snapshot->owners);
	struct lp_pool_owners *owners = &snapshot->owners[snapshot->n_owners++];
	*owners = (struct lp_pool_owners){.pool = limit->pool, .exact = true};
	return owners;
}

static struct lp_owner *add_owner(struct lp_pool_owners *owners, pid_t pid, const char *command,
                                  const char *cgroup, uint32_t time_wait, uint32_t established)
{
	owners->items = reallocarray(owners->items, owners->n + 1, sizeof(*owners->items));
	assert(owners->items);
	struct lp_owner *owner = &owners->items[owners->n++];
	*owner = (struct lp_owner){
	        .pid = pid, .processes = 1, .cgroup = cgroup ? strdup(cgroup) : NULL};
	(void)snprintf(owner->command, sizeof(owner->command), "%s", command);
	owner->states[LP_TIME_WAIT] = time_wait;
	owner->states[LP_ESTABLISHED] = established;
	return owner;
}

#define ID "3f2a9c0d7b1e84565a6c9d0e1f2a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c"

/* Who has them: with a ledger and without, workers, containers, names made to do harm. */
static void owned(struct lp_report *report)
{
	struct lp_netns *host = add_netns(report, "host", 4026531840);
	host->in_use4 = lp_figure(3000);
	host->time_wait = lp_figure(60000);
	report->snapshot->took_us = 14230;

	struct lp_pool_owners *owners =
	        add_owners(report, add_pool(report, 0, LP_OPENED, "10.0.0.5", "10.1.2.3", 443,
	                                    28190, 28232, 28150));
	static const char nginx[] = "/system.slice/nginx.service";
	struct lp_owner *owner = add_owner(owners, 812, "nginx", nginx, 20000, 30);
	owner->opened = lp_figure(20030);
	owner->closed_first = lp_figure(20000);
	add_owner(owners, 811, "nginx", nginx, 8000, 8)->sharing = 2;
	add_owner(owners, 4711, "curl", "/user.slice/user-1000.slice/session-3.scope", 150, 2);

	owners = add_owners(report, add_pool(report, 0, LP_OPENED, "10.0.0.5", "10.1.2.9", 6379,
	                                     27220, 28232, 17000));
	owners->exact = false;
	add_owner(owners, 90, "api",
	          "/kubepods/burstable/pod6ba7b810-9dad-11d1-80b4-00c04fd430c8/" ID, 0, 9000);
	add_owner(owners, 95, "api", "/system.slice/docker-" ID ".scope", 0, 1000)
	        ->states[LP_CLOSE_WAIT] = 12345;
	add_owner(owners, 96, "ev\033[2Jil\xff", "/a/path\nthat/is/very/long/and/does/not/fit/in",
	          0, 5)
	        ->states[LP_SYN_SENT] = 1;
	add_owner(owners, 97, "gone", NULL, 0, 4)->cgroup_id = 12345;
	add_owner(owners, 98, "x", "/", 0, 3)->states[LP_LAST_ACK] = 2;
	owners->unlisted = 7;
	for (int reason = 0; reason < LP_UNOWNED_REASONS; reason++)
		owners->unowned[reason] = 1000 * ((uint64_t)reason + 1);

	add_owners(report,
	           add_pool(report, 0, LP_ACCEPTED, "10.0.0.5", "10.3.0.77", 443, 600, 64512, 0));
	add_pool(report, 0, LP_ACCEPTED, "10.0.0.5", "10.3.0.78", 443, 500, 64512, 0);
}

static void add_talker(struct lp_conntrack_talkers *talkers, const char *from, uint16_t port,
                       uint64_t entries, uint64_t missed)
{
	struct lp_conntrack_talker *talker = &talkers->items[talkers->n++];
	if (from)
		talker->address = address(from);
	talker->port = port;
	talker->protocol = port == 53 ? LP_CT_UDP : LP_CT_TCP;
	talker->entries = entries;
	talker->missed = missed;
}

static struct lp_conntrack_detail *router_entries(void)
{
	struct lp_conntrack_detail *detail = calloc(1, sizeof(*detail));
	assert(detail);
	detail->entries = 215000;
	detail->assured = 30000;
	detail->unreplied = 180000;
	detail->translated = 34000;
	detail->protocols[LP_CT_TCP] = 34000;
	detail->protocols[LP_CT_UDP] = 180950;
	detail->protocols[LP_CT_ICMP] = 50;
	detail->states[LP_CT_ESTABLISHED] = 12000;
	detail->states[LP_CT_TIME_WAIT] = 18000;
	detail->states[1] = 4000;
	for (uint64_t i = 0; i < LP_CT_DRAIN_POINTS; i++)
		detail->drain[i] = 1500 * (i + 1);
	add_talker(&detail->sources, "10.1.0.66", 0, 170000, 0);
	add_talker(&detail->sources, "10.1.0.5", 0, 9000, 0);
	add_talker(&detail->sources, "2001:db8::5", 0, 8000, 12);
	add_talker(&detail->sources, "10.1.0.7", 0, 7000, 12);
	add_talker(&detail->destinations, "192.0.2.53", 0, 171000, 0);
	add_talker(&detail->ports, NULL, 53, 180000, 0);
	add_talker(&detail->ports, NULL, 443, 21000, 0);
	return detail;
}

/* 970 of 1,000 ports towards one server, 40 of them closing. */
static void add_translated(struct lp_report *report, struct lp_netns *netns)
{
	struct lp_nat_pool *pool = calloc(1, sizeof(*pool));
	assert(pool);
	pool->map = calloc(1, sizeof(*pool->map));
	assert(pool->map);
	pool->key = (struct lp_nat_key){.translated = address("192.0.2.1"),
	                                .remote = address("198.51.100.7"),
	                                .remote_port = 443};
	pool->entries = pool->translated = 970;
	pool->range = (struct lp_nat_range){.low = 2000, .high = 2999, .told = true};
	pool->map->clients[0] =
	        (struct lp_nat_client){.address = address("10.1.0.5"), .ports = 870};
	pool->map->clients[3] =
	        (struct lp_nat_client){.address = address("10.1.0.7"), .ports = 100, .missed = 3};
	netns->nats = pool;
	netns->n_nats = 1;
	struct lp_limit *limit = add(report, "snat-ports", 0, 930, 1000);
	limit->nat = pool;
	limit->reusable = lp_figure(40);
	limit->assumed = LP_ASSUME_CLOSING_TAKEN;
	forecast_of(report)->chance.refused = lp_real(0.0832);
	forecast_of(report)->chance.found = lp_real(67.7);
}

/* A gateway whose table a flood of UDP fills, looked at twice. */
static void router(struct lp_report *report)
{
	struct lp_netns *netns = add_netns(report, "gateway", 4026532316);
	report->snapshot->took_us = 402000;
	report->snapshot->apart_s = 2;
	netns->conntrack_entries = lp_figure(215200);
	netns->conntrack_max = netns->conntrack_buckets = lp_figure(262144);
	netns->conntrack_unassured = lp_figure(185000);
	netns->conntrack = router_entries();
	struct lp_conntrack_counters *counters = &netns->conntrack_counters;
	counters->drop = lp_figure(1200);
	counters->early_drop = lp_figure(98000);
	counters->insert_failed = counters->found = lp_figure(0);
	netns->conntrack_growth.drop = lp_figure(0);
	netns->conntrack_growth.early_drop = lp_figure(4711);
	add_translated(report, netns);
	struct lp_limit *limit = add(report, "conntrack-entries", 0, 70050, 262144);
	limit->reusable = lp_figure(145150);
	limit->exact = false;
	forecast_of(report)->chance.refused = lp_real(0);
	add(report, "time-wait-buckets", 0, 12, 131072);
}

const struct fixture fixtures[] = {
        {"proxy", proxy},
        {"idle", idle},
        {"user", user},
        {"unknown", unknown},
        {"six", six},
        {"ends", ends},
        {"router", router},
        {"sampled", sampled},
        {"findings", findings},
        {"owned", owned},
        {0},
};

struct lp_report *fixture_make(const struct fixture *fixture)
{
	struct lp_report *report = calloc(1, sizeof(*report));
	assert(report);
	report->snapshot = lp_snapshot_new();
	assert(report->snapshot);
	report->snapshot->taken_at_ms = 1767225600123; /* 2026-01-01 00:00:00.123 */
	struct lp_machine *machine = &report->snapshot->machine;
	(void)snprintf(machine->kernel, sizeof(machine->kernel), "6.18.44");
	(void)snprintf(machine->host, sizeof(machine->host), "web-3");
	/* room before anything points into it */
	report->snapshot->processes = calloc(16, sizeof(*report->snapshot->processes));
	report->snapshot->room_processes = 16;
	fixture->fill(report);
	return report;
}

void fixture_free(struct lp_report *report)
{
	lp_findings_done(&report->findings);
	lp_snapshot_free(report->snapshot);
	lp_limits_done(&report->limits);
	free(report->forecasts);
	free(report);
}
