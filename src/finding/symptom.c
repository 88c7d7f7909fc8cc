/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "finding/symptom.h"

#include <string.h>

const char *lp_call_name(enum lp_call call)
{
	static const char *const names[] = {[LP_CALL_ANY] = "",
	                                    [LP_CALL_CONNECT] = "connect()",
	                                    [LP_CALL_BIND] = "bind()",
	                                    [LP_CALL_ACCEPT] = "accept()",
	                                    [LP_CALL_SEND] = "send()"};
	return names[call];
}

/* errno(3); the second and third messages are those of musl, Java and Windows' habits. */
const struct lp_error_name lp_error_names[] = {
        {"EADDRNOTAVAIL", 99, {"Cannot assign requested address", "Address not available"}},
        {"EADDRINUSE", 98, {"Address already in use", "Address in use"}},
        {"ENFILE", 23, {"Too many open files in system"}},
        {"EMFILE", 24, {"Too many open files", "No file descriptors available"}},
        {"ETIMEDOUT",
         110,
         {"Connection timed out", "Operation timed out", "connect timed out", "i/o timeout"}},
        {"ECONNREFUSED", 111, {"Connection refused"}},
        {"ECONNRESET", 104, {"Connection reset by peer", "Connection reset"}},
        {"EHOSTUNREACH", 113, {"No route to host", "Host is unreachable"}},
        {"ENOBUFS", 105, {"No buffer space available"}},
        {"ENOMEM", 12, {"Cannot allocate memory", "Out of memory"}},
        {"EPERM", 1, {"Operation not permitted"}},
        {"EAGAIN", 11, {"Resource temporarily unavailable"}},
        {0},
};

const struct lp_symptom lp_symptoms[] = {
        {
                .id = "connect-no-port",
                .error = "EADDRNOTAVAIL",
                .call = LP_CALL_CONNECT,
                .means = "connect() found no local port for that destination, or has no local "
                         "address to go there from.",
                .causes = {{"local-ports", "every port of the range is taken for this "
                                           "destination"}},
                .otherwise = {"The source address is not one of this machine: 'ip address'.",
                              "The destination's family has no address here: an IPv6 destination, "
                              "often localhost, without IPv6."},
                .documented = "connect(2); __inet_hash_connect(), net/ipv4/inet_hashtables.c",
        },
        {
                .id = "bind-no-address",
                .error = "EADDRNOTAVAIL",
                .call = LP_CALL_BIND,
                .means = "bind() was given an address that is not one of this machine: no limit "
                         "is reached.",
                .otherwise = {"The address is not there yet: 'ip address'; a service that starts "
                              "before the network needs After=network-online.target.",
                              "It belongs to another machine of a pair: "
                              "net.ipv4.ip_nonlocal_bind = 1.",
                              "An IPv6 address is tentative until it was checked for duplicates."},
                .documented = "bind(2), ip(7); __inet_bind(), net/ipv4/af_inet.c",
        },
        {
                .id = "bind-in-use",
                .error = "EADDRINUSE",
                .call = LP_CALL_BIND,
                .means = "bind() was refused: another socket has that port, or bind() to port 0 "
                         "found none free.",
                .causes = {{"bind-ports", "bind() to port 0 needs a port that nobody has on this "
                                          "address, TIME_WAIT included"},
                           {"local-ports", "a connection out may have taken the port of a "
                                           "listener that was not running"}},
                .otherwise = {"Another program listens there: 'ss -ltnp'.",
                              "It was just stopped, and its connections are in TIME_WAIT: set "
                              "SO_REUSEADDR before bind()."},
                .documented = "bind(2); inet_csk_get_port(), net/ipv4/inet_connection_sock.c",
        },
        {
                .id = "connect-in-use",
                .error = "EADDRINUSE",
                .call = LP_CALL_CONNECT,
                .means = "connect() from a port that the program chose itself: that very "
                         "connection is there already.",
                .causes = {{"local-ports", "the source ports that are configured are all taken "
                                           "for this destination"},
                           {"bind-ports", "the port before it was chosen by bind()"}},
                .otherwise = {"The same source port is used twice for one destination."},
                .documented = "connect(2); __inet_check_established(), "
                              "net/ipv4/inet_hashtables.c",
        },
        {
                .id = "no-descriptor",
                .error = "EMFILE",
                .means = "the process has as many descriptors open as its RLIMIT_NOFILE allows.",
                .causes = {{"file-descriptors", "the process is at its own limit"}},
                .otherwise = {"inotify instances and epoll watches have limits of their own that "
                              "give the same error: fs.inotify.max_user_instances."},
                .documented = "getrlimit(2); alloc_fd(), fs/file.c",
        },
        {
                .id = "no-descriptor-system",
                .error = "ENFILE",
                .means = "the whole machine has as many files open as fs.file-max allows.",
                .causes = {{"file-descriptors", "the machine is at fs.file-max"}},
                .documented = "proc_sys_fs(5); alloc_empty_file(), fs/file_table.c",
        },
        {
                .id = "connect-timed-out",
                .error = "ETIMEDOUT",
                .means =
                        "nothing answered: a SYN was dropped on the way out, on the way, or at the "
                        "other end.",
                .causes = {{"conntrack-entries", "a full table drops the packets of new "
                                                 "connections"},
                           {"snat-ports", "a router that finds no port to translate to drops the "
                                          "SYN"},
                           {"accept-queue", "a listener whose queue is full drops it: here, where "
                                            "the listener is this machine's"},
                           {"syn-queue", "a listener with too many half-open connections drops "
                                         "it"},
                           {"client-ports", "the listener has all connections that this client "
                                            "can have"}},
                .otherwise = {"A firewall on the way drops it, or the host is down.",
                              "The other end's queue or table is full: ask there."},
                .documented = "connect(2), tcp(7)",
        },
        {
                .id = "connect-refused",
                .error = "ECONNREFUSED",
                .means = "the other end answered with a reset: nobody listens on that port. No "
                         "limit of this machine refuses that way.",
                .otherwise = {"The service is not running, or on another port or address: 'ss "
                              "-ltn' there.",
                              "A firewall rejects it with a reset."},
                .documented = "connect(2)",
        },
        {
                .id = "connection-reset",
                .error = "ECONNRESET",
                .means = "the other end, or a middle one, ended the connection with a reset.",
                .causes = {{"accept-queue", "with tcp_abort_on_overflow a full queue resets"},
                           {"orphans", "beyond tcp_max_orphans the kernel resets what was closed "
                                       "with data left"},
                           {"tcp-memory", "out of TCP memory the kernel resets connections"},
                           {"conntrack-entries", "what is not in a full table is not translated "
                                                 "back, and reset"}},
                .otherwise = {"A keep-alive connection was closed by the server just as the next "
                              "request went out: its idle timeout is the shorter one.",
                              "The program at the other end died or closed with data unread."},
                .documented = "tcp(7)",
        },
        {
                .id = "no-route",
                .error = "EHOSTUNREACH",
                .means = "there is no way to that host: no route, no answer to ARP, or a firewall "
                         "that says so. No limit of this list refuses that way.",
                .otherwise = {"The host is down or in another network: 'ip route get ADDRESS'.",
                              "The table of neighbours is full: 'Neighbour table overflow' in the "
                              "kernel log, net.ipv4.neigh.default.gc_thresh3."},
                .documented = "connect(2), ip(7)",
        },
        {
                .id = "no-buffers",
                .error = "ENOBUFS",
                .means = "the kernel had no memory for the socket or the packet.",
                .causes = {{"tcp-memory", "TCP is at tcp_mem"},
                           {"orphans", "orphans hold memory that nobody reads"}},
                .otherwise = {"The queue of the network device is full (UDP, raw sockets)."},
                .documented = "tcp(7), send(2)",
        },
        {
                .id = "no-memory",
                .error = "ENOMEM",
                .means = "the kernel had no memory for it.",
                .causes = {{"tcp-memory", "TCP is at tcp_mem"}},
                .otherwise = {"The machine or the cgroup is out of memory."},
                .documented = "tcp(7), socket(2)",
        },
        {
                .id = "send-refused",
                .error = "EPERM",
                .means = "the packet was dropped before it left: by a full conntrack table, or by "
                         "a rule of the firewall.",
                .causes = {{"conntrack-entries", "a full table drops it, and UDP's send tells"}},
                .otherwise = {"A rule in an OUTPUT chain drops it: 'nft list ruleset'."},
                .documented = "send(2); nf_hook_slow(), net/netfilter/core.c",
        },
        {
                .id = "try-again",
                .error = "EAGAIN",
                .means = "it can't be done at once. From connect() to a Unix socket: its accept "
                         "queue is full.",
                .otherwise = {"The backlog of a Unix socket, such as that of PHP-FPM: "
                              "listen.backlog and net.core.somaxconn. It is no TCP socket, and "
                              "not in the list of limits."},
                .documented = "connect(2), unix(7)",
        },
        {
                .id = "conntrack-full",
                .means = "the table of connection tracking is full: packets of new connections are "
                         "dropped, those of known ones go on.",
                .causes = {{"conntrack-entries", "the table is at nf_conntrack_max"}},
                .documented = "__nf_conntrack_alloc(), net/netfilter/nf_conntrack_core.c",
        },
        {
                .id = "time-wait-overflow",
                .means = "more TIME_WAITs than tcp_max_tw_buckets: the kernel ends the newest ones "
                         "at once. Nothing fails by it.",
                .causes = {{"time-wait-buckets", "the namespace is at tcp_max_tw_buckets"}},
                .documented = "tcp(7); inet_twsk_alloc(), net/ipv4/inet_timewait_sock.c",
        },
        {
                .id = "syn-flooding",
                .means = "a listener got more connections than it accepts: an attack, or a busy "
                         "day and a short backlog.",
                .causes = {{"syn-queue", "too many half-open connections"},
                           {"accept-queue", "the program does not accept as fast as they come"}},
                .documented = "tcp(7); tcp_syn_flood_action(), net/ipv4/tcp_input.c",
        },
        {
                .id = "orphans",
                .means =
                        "connections that no program holds any more are too many, or TCP is out of "
                        "memory: the kernel resets them.",
                .causes = {{"orphans", "the machine is at tcp_max_orphans"},
                           {"tcp-memory", "TCP is at tcp_mem"}},
                .documented = "tcp(7); tcp_check_oom(), net/ipv4/tcp.c",
        },
        {
                .id = "tcp-memory",
                .means = "TCP is at tcp_mem: buffers shrink and connections are reset.",
                .causes = {{"tcp-memory", "TCP is at tcp_mem"}},
                .documented = "tcp(7); tcp_check_oom(), net/ipv4/tcp.c",
        },
        {
                .id = "range-parity",
                .means = "both bounds of ip_local_port_range are odd or both even: connect() may "
                         "miss one port. Said once a namespace, and harmless.",
                .causes = {{"local-ports", "the range has an odd number of ports"}},
                .documented = "ipv4_local_port_range(), net/ipv4/sysctl_net_ipv4.c",
        },
        {0},
};

const struct lp_phrase lp_phrases[] = {
        {"table full, dropping packet", "conntrack-full"},
        {"nf_conntrack: table full", "conntrack-full"},
        {"ip_conntrack: table full", "conntrack-full"},
        {"time wait bucket table overflow", "time-wait-overflow"},
        {"possible SYN flooding", "syn-flooding"},
        {"too many orphaned sockets", "orphans"},
        {"too many of orphaned sockets", "orphans"},
        {"Out of socket memory", "orphans"},
        {"consider tuning tcp_mem", "tcp-memory"},
        {"prefer different parity", "range-parity"},
        {"VFS: file-max limit", "no-descriptor-system"},
        {"reached system FD limit", "no-descriptor-system"},
        {"reached process FD limit", "no-descriptor"},
        {"no free ports", "connect-no-port"},
        {"local address already in use", "connect-in-use"},
        {"Cannot bind to source address before connect", "bind-in-use"},
        {"Cannot bind to tproxy source address before connect", "bind-no-address"},
        {0},
};

/* The first match counts: what is particular stands before what is common. */
const struct lp_program_words lp_program_words[] = {
        {"while connecting to upstream", "nginx", "ngx_event_connect_peer(), src/event"},
        {"accept4() failed (", "nginx", "ngx_event_accept(), src/event/ngx_event_accept.c"},
        {"socket() failed (", "nginx", "ngx_event_connect_peer(), src/event"},
        {"nginx", "nginx", "error_log, nginx.org/en/docs/ngx_core_module.html"},
        {"for backend ", "HAProxy", "tcp_connect_server(), src/proto_tcp.c"},
        {"reached system FD limit", "HAProxy", "sock_accept_conn(), src/sock.c"},
        {"reached process FD limit", "HAProxy", "sock_accept_conn(), src/sock.c"},
        {"haproxy", "HAProxy", "docs.haproxy.org, management guide"},
        {"immediate connect error", "Envoy", "connection_impl.cc, source/common/network"},
        {"delayed connect error", "Envoy", "connection_impl.cc, source/common/network"},
        {"upstream connect error or disconnect", "Envoy", "router.cc, source/common/router"},
        {"response_flags", "Envoy", "access logs, envoyproxy.io/docs"},
        {"AH00", "Apache", "httpd.apache.org, error log"},
        {"AH01", "Apache", "httpd.apache.org, error log"},
        {"make_sock: could not bind", "Apache", "server/listen.c"},
        {"apr_socket_connect()", "ab", "support/ab.c of Apache"},
        {"dial tcp", "Go", "net.OpError, pkg.go.dev/net"},
        {"dial udp", "Go", "net.OpError, pkg.go.dev/net"},
        {"http: Accept error", "Go", "net/http Server.Serve()"},
        {"accept4: too many open files", "Go", "net.OpError, pkg.go.dev/net"},
        {"listen tcp", "Go", "net.OpError, pkg.go.dev/net"},
        {"write udp", "Go", "net.OpError, pkg.go.dev/net"},
        {"io.netty", "Java", "Netty, AbstractChannel"},
        {"java.net.", "Java", "java.net, docs.oracle.com"},
        {"java.io.", "Java", "java.io, docs.oracle.com"},
        {"ServerCnxnFactory", "Java", "Apache ZooKeeper"},
        {"NewConnectionError", "Python", "urllib3.exceptions"},
        {"HTTPConnectionPool", "Python", "urllib3.connectionpool"},
        {"Cannot connect to host ", "Python", "aiohttp.client_exceptions"},
        {"OSError: [Errno", "Python", "exceptions, docs.python.org/3"},
        {"socket.error: [Errno", "Python", "exceptions, docs.python.org/2"},
        {"Error: connect E", "Node.js", "nodejs.org/api/errors.html"},
        {"Error: listen E", "Node.js", "nodejs.org/api/errors.html"},
        {"Error: bind E", "Node.js", "nodejs.org/api/errors.html"},
        {"Error: EMFILE", "Node.js", "nodejs.org/api/errors.html"},
        {"syscall: 'connect'", "Node.js", "nodejs.org/api/errors.html"},
        {" - Local (", "Node.js", "exceptionWithHostPort(), lib/internal/errors.js"},
        {"curl: (", "curl", "libcurl-errors(3)"},
        {"cURL error", "PHP", "Guzzle, libcurl-errors(3)"},
        {"SQLSTATE[", "PHP", "PDO, php.net"},
        {"stream_socket_", "PHP", "php.net/stream-socket-client"},
        {"fsockopen()", "PHP", "php.net/fsockopen"},
        {"Predis", "PHP", "Predis"},
        {"Errno::", "Ruby", "Errno, ruby-doc.org"},
        {"connect(2) for", "Ruby", "socket.rb, ruby-doc.org"},
        {"(os error ", "Rust", "std::io::Error, doc.rust-lang.org"},
        {"Os { code:", "Rust", "std::io::Error, doc.rust-lang.org"},
        {"System.Net.", ".NET", "SocketException, learn.microsoft.com"},
        {"Could not connect to Redis at", "redis-cli", "redis-cli.c"},
        {"Is the server running on", "PostgreSQL client", "libpq, fe-connect.c"},
        {"connection to server at", "PostgreSQL client", "libpq, fe-connect.c"},
        {"Can't connect to MySQL server", "MySQL client", "CR_CONN_HOST_ERROR, errmsg.c"},
        {"Error in accept", "MySQL", "mysqld, sql/conn_handler"},
        {"ssh: connect to host", "ssh", "sshconnect.c"},
        {"rsyslogd", "rsyslog", "rsyslog.com/doc"},
        {"rsyslog.com/e/", "rsyslog", "rsyslog.com/doc"},
        {"commBind", "Squid", "comm.cc"},
        {"Creating Server TCP listening socket", "Redis", "anet.c"},
        {"Accepting client connection", "Redis", "networking.c"},
        {"nf_conntrack:", "the kernel", "dmesg(1)"},
        {"TCP: ", "the kernel", "dmesg(1)"},
        {"VFS: ", "the kernel", "dmesg(1)"},
        {0},
};

/* The first match counts. "BindException" is no bind(): Java says so of connect() too. */
const struct lp_call_words lp_call_words[] = {
        {"(connect failed)", LP_CALL_CONNECT},
        {"bind(", LP_CALL_BIND},
        {"bind0(", LP_CALL_BIND},
        {"bind:", LP_CALL_BIND},
        {"bind failed", LP_CALL_BIND},
        {"bind to", LP_CALL_BIND},
        {"to bind", LP_CALL_BIND},
        {"bind socket", LP_CALL_BIND},
        {"bind E", LP_CALL_BIND},
        {"make_sock", LP_CALL_BIND},
        {"socket_server", LP_CALL_BIND},
        {"listen tcp", LP_CALL_BIND},
        {"listen E", LP_CALL_BIND},
        {"listening socket", LP_CALL_BIND},
        {"accept", LP_CALL_ACCEPT},
        {"sendto", LP_CALL_SEND},
        {"sendmsg", LP_CALL_SEND},
        {"write udp", LP_CALL_SEND},
        {"connect", LP_CALL_CONNECT},
        {"dial tcp", LP_CALL_CONNECT},
        {"upstream", LP_CALL_CONNECT},
        {0},
};

const struct lp_symptom *lp_symptom_find(const char *id)
{
	for (const struct lp_symptom *symptom = lp_symptoms; symptom->id; symptom++)
		if (!strcmp(symptom->id, id))
			return symptom;
	return NULL;
}

/* What an error is of where nothing says: the first row that has it. */
const struct lp_symptom *lp_symptom_of(const char *error, enum lp_call call)
{
	const struct lp_symptom *first = NULL;
	for (const struct lp_symptom *symptom = lp_symptoms; symptom->id; symptom++) {
		if (!symptom->error || strcmp(symptom->error, error) != 0)
			continue;
		if (symptom->call == LP_CALL_ANY || symptom->call == call)
			return symptom;
		if (!first)
			first = symptom;
	}
	return first;
}
