/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "finding/line.h"

#include <stdio.h>

#include "limit/limit.h"
#include "unit.h"

/* Lines as programs write them, most of them as people quoted them; addresses made up. */
static const struct {
	const char *line, *symptom, *program, *destination;
	pid_t pid;
} lines[] = {
        /* nginx */
        {"2026/11/23 10:00:00 [crit] 12889#0: *32401195 connect() to 127.0.0.1:80 failed (99: "
         "Cannot assign requested address) while connecting to upstream",
         "connect-no-port", "nginx", "127.0.0.1:80", 12889},
        {"[crit] 92901#92901: *109407768 connect() to 85.234.95.10:10080 failed (99: Cannot assign "
         "requested address) while connecting to upstream, client: 103.26.176.33, server: _, "
         "request: \"GET /login HTTP/2.0\", upstream: \"http://85.234.95.10:10080/login\"",
         "connect-no-port", "nginx", "85.234.95.10:10080", 92901},
        {"2026/11/23 10:00:00 [crit] 7#7: *1 connect() to [fd00::5]:443 failed (99: Cannot assign "
         "requested address) while connecting to upstream, upstream: \"https://[fd00::5]:443/\"",
         "connect-no-port", "nginx", "[fd00::5]:443", 7},
        {"2014/06/14 23:33:20 [emerg] 2221#0: bind() to [2607:f0d0:2001:103::8]:80 failed (99: "
         "Cannot assign requested address)",
         "bind-no-address", NULL, "[2607:f0d0:2001:103::8]:80", 2221},
        {"nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)", "bind-in-use",
         "nginx", NULL, 0},
        {"2026/11/23 10:00:00 [crit] 31#31: *9 bind(10.0.0.5) failed (98: Address already in use) "
         "while connecting to upstream, upstream: \"http://10.1.2.3:8080/\"",
         "bind-in-use", "nginx", "10.1.2.3:8080", 31},
        {"2026/11/23 10:00:00 [crit] 31#31: accept4() failed (24: Too many open files)",
         "no-descriptor", "nginx", NULL, 31},
        {"2026/11/23 10:00:00 [alert] 31#31: *4 socket() failed (24: Too many open files) while "
         "connecting to upstream, client: 10.9.9.9, server: _, upstream: \"http://10.1.2.3:80/\"",
         "no-descriptor", "nginx", "10.1.2.3:80", 31},
        {"2026/11/23 10:00:00 [error] 31#31: *4 upstream timed out (110: Connection timed out) "
         "while connecting to upstream, client: 10.9.9.9, upstream: \"http://10.1.2.3:80/\"",
         "connect-timed-out", "nginx", "10.1.2.3:80", 31},
        {"connect() to unix:/run/php/php-fpm.sock failed (11: Resource temporarily unavailable) "
         "while connecting to upstream",
         "try-again", "nginx", NULL, 0},
        /* HAProxy */
        {"haproxy[3569]: Connect() failed for backend socket: no free ports.", "connect-no-port",
         "HAProxy", NULL, 3569},
        {"Connect() failed for backend web: local address already in use.", "connect-in-use",
         "HAProxy", NULL, 0},
        {"haproxy[812]: Cannot bind to source address before connect() for backend web. Aborting.",
         "bind-in-use", "HAProxy", NULL, 812},
        {"Proxy http reached system FD limit (maxsock=4099). Please check system tunables.",
         "no-descriptor-system", "HAProxy", NULL, 0},
        {"Proxy http reached process FD limit (maxsock=4099). Please check 'ulimit-n' and restart.",
         "no-descriptor", "HAProxy", NULL, 0},
        {"[ALERT] (2066) : Binding [/etc/haproxy/haproxy.cfg:34] for proxy a: cannot bind socket "
         "(Address already in use) for [10.0.53.2:53]",
         "bind-in-use", "HAProxy", NULL, 0},
        /* Envoy */
        {"[2025-05-22 12:27:12.809][30][debug][connection] immediate connect error: Cannot assign "
         "requested address|remote address:10.42.3.176:8080",
         "connect-no-port", "Envoy", "10.42.3.176:8080", 0},
        {"upstream connect error or disconnect/reset before headers. reset reason: remote "
         "connection failure, transport failure reason: immediate connect error: Cannot assign "
         "requested address",
         "connect-no-port", "Envoy", NULL, 0},
        {"upstream connect error or disconnect/reset before headers. reset reason: connection "
         "failure, transport failure reason: delayed connect error: 111",
         "connect-refused", "Envoy", NULL, 0},
        /* Go */
        {"Get http://172.16.4.92:2375/containers/json: dial tcp 172.16.4.92:2375: connect: cannot "
         "assign requested address",
         "connect-no-port", "Go", "172.16.4.92:2375", 0},
        {"dial tcp 10.0.0.2:51234->10.0.0.1:80: connect: cannot assign requested address",
         "connect-no-port", "Go", "10.0.0.1:80", 0},
        {"http: Accept error: accept tcp [::]:8080: accept4: too many open files; retrying in 5ms",
         "no-descriptor", "Go", NULL, 0},
        {"http: proxy error: dial tcp 127.0.0.1:8080: socket: too many open files", "no-descriptor",
         "Go", "127.0.0.1:8080", 0},
        {"listen tcp 0.0.0.0:5555: bind: address already in use", "bind-in-use", "Go", NULL, 0},
        {"dial tcp 10.0.0.1:443: i/o timeout", "connect-timed-out", "Go", "10.0.0.1:443", 0},
        {"write udp 10.0.0.2:40000->10.0.0.1:53: sendto: operation not permitted", "send-refused",
         "Go", "10.0.0.1:53", 0},
        /* Java */
        {"java.net.NoRouteToHostException: Cannot assign requested address (Address not available)",
         "connect-no-port", "Java", NULL, 0},
        {"java.net.BindException: Cannot assign requested address (connect failed)",
         "connect-no-port", "Java", NULL, 0},
        {"java.net.BindException: Address already in use (Bind failed)", "bind-in-use", "Java",
         NULL, 0},
        {"java.net.SocketException: Too many open files", "no-descriptor", "Java", NULL, 0},
        {"io.netty.channel.AbstractChannel$AnnotatedConnectException: Cannot assign requested "
         "address: /10.4.10.28:9042",
         "connect-no-port", "Java", "10.4.10.28:9042", 0},
        {"java.net.NoRouteToHostException: No route to host", "no-route", "Java", NULL, 0},
        /* Python */
        {"OSError: [Errno 99] Cannot assign requested address", "connect-no-port", "Python", NULL,
         0},
        {"HTTPConnectionPool(host='164.52.196.65', port=8888): Max retries exceeded with url: / "
         "(Caused by NewConnectionError('<urllib3.connection.HTTPConnection object at "
         "0x7fc1089f04a8>: Failed to establish a new connection: [Errno 99] Cannot assign "
         "requested "
         "address',))",
         "connect-no-port", "Python", "164.52.196.65:8888", 0},
        {"aiohttp.client_exceptions.ClientConnectorError: Cannot connect to host 10.0.0.1:80 "
         "ssl:default [Cannot assign requested address]",
         "connect-no-port", "Python", "10.0.0.1:80", 0},
        {"OSError: [Errno 24] Too many open files", "no-descriptor", "Python", NULL, 0},
        /* Node.js */
        {"Error: connect EADDRNOTAVAIL 35.224.36.62:8888 - Local (10.128.0.3:0)", "connect-no-port",
         "Node.js", "35.224.36.62:8888", 0},
        {"Error: listen EADDRINUSE: address already in use :::3000", "bind-in-use", "Node.js", NULL,
         0},
        {"Error: connect EMFILE 10.0.0.1:443 - Local (undefined:undefined)", "no-descriptor",
         "Node.js", "10.0.0.1:443", 0},
        {"Error: listen EADDRNOTAVAIL: address not available 3.13.202.232:3000", "bind-no-address",
         "Node.js", "3.13.202.232:3000", 0},
        /* curl, PHP, Ruby, Rust, .NET */
        {"curl: (7) Failed to connect to 10.0.0.1 port 80: Cannot assign requested address",
         "connect-no-port", "curl", "10.0.0.1:80", 0},
        {"curl: (45) bind failed with errno 98: Address already in use", "bind-in-use", "curl",
         NULL, 0},
        {"PHP Warning:  stream_socket_client(): unable to connect to tcp://10.0.0.1:6379 (Cannot "
         "assign requested address)",
         "connect-no-port", "PHP", "10.0.0.1:6379", 0},
        {"SQLSTATE[HY000] [2002] Cannot assign requested address", "connect-no-port", "PHP", NULL,
         0},
        {"Errno::EADDRNOTAVAIL: Failed to open TCP connection to 10.0.0.1:8080 (Cannot assign "
         "requested address - connect(2) for \"10.0.0.1\" port 8080)",
         "connect-no-port", "Ruby", "10.0.0.1:8080", 0},
        {"tcp connect error: Cannot assign requested address (os error 99)", "connect-no-port",
         "Rust", NULL, 0},
        {"Os { code: 99, kind: AddrNotAvailable, message: \"Cannot assign requested address\" }",
         "connect-no-port", "Rust", NULL, 0},
        {"System.Net.Http.HttpRequestException: Cannot assign requested address (10.0.0.1:443) "
         "---> "
         "System.Net.Sockets.SocketException (99): Cannot assign requested address",
         "connect-no-port", ".NET", "10.0.0.1:443", 0},
        /* databases and others */
        {"Could not connect to Redis at 10.0.0.1:6379: Cannot assign requested address",
         "connect-no-port", "redis-cli", "10.0.0.1:6379", 0},
        {"could not connect to server: Cannot assign requested address Is the server running on "
         "host "
         "\"10.0.0.1\" and accepting TCP/IP connections on port 5432?",
         "connect-no-port", "PostgreSQL client", "10.0.0.1:5432", 0},
        {"connection to server at \"10.0.0.1\", port 5432 failed: Cannot assign requested address",
         "connect-no-port", "PostgreSQL client", "10.0.0.1:5432", 0},
        {"LOG:  out of file descriptors: Too many open files in system; release and retry",
         "no-descriptor-system", NULL, NULL, 0},
        {"ERROR 2003 (HY000): Can't connect to MySQL server on '10.0.0.1:3306' (99)",
         "connect-no-port", "MySQL client", "10.0.0.1:3306", 0},
        {"ERROR 2003 (HY000): Can't connect to MySQL server on '10.0.0.1' (110)",
         "connect-timed-out", "MySQL client", "10.0.0.1", 0},
        {"ssh: connect to host 10.0.0.1 port 22: Cannot assign requested address",
         "connect-no-port", "ssh", "10.0.0.1:22", 0},
        {"rsyslogd[1392]: cannot connect to 10.0.0.1:514: Cannot assign requested address "
         "[v8.2102.0 "
         "try https://www.rsyslog.com/e/2027 ]",
         "connect-no-port", "rsyslog", "10.0.0.1:514", 1392},
        {"(98)Address already in use: AH00072: make_sock: could not bind to address [::]:80",
         "bind-in-use", "Apache", NULL, 0},
        {"(99)Cannot assign requested address: AH00957: HTTP: attempt to connect to 10.0.0.1:8080 "
         "(10.0.0.1) failed",
         "connect-no-port", "Apache", "10.0.0.1:8080", 0},
        {"apr_socket_connect(): Cannot assign requested address (99)", "connect-no-port", "ab",
         NULL, 0},
        {"error: connect() failed: Cannot assign requested address (99)", "connect-no-port", NULL,
         NULL, 0},
        {"connect(5, {sa_family=AF_INET, sin_port=htons(80)}, 16) = -1 EADDRNOTAVAIL (Cannot "
         "assign "
         "requested address)",
         "connect-no-port", NULL, NULL, 0},
        /* the kernel */
        {"nf_conntrack: nf_conntrack: table full, dropping packet", "conntrack-full", "the kernel",
         NULL, 0},
        {"[8042.1] nf_conntrack: nf_conntrack: table full in netns 4026532177, dropping packet",
         "conntrack-full", "the kernel", NULL, 0},
        {"TCP: time wait bucket table overflow", "time-wait-overflow", "the kernel", NULL, 0},
        {"TCP: request_sock_TCP: Possible SYN flooding on port 80. Sending cookies.  Check SNMP "
         "counters.",
         "syn-flooding", "the kernel", NULL, 0},
        {"TCP: too many orphaned sockets", "orphans", "the kernel", NULL, 0},
        {"Out of socket memory", "orphans", NULL, NULL, 0},
        {"TCP: out of memory -- consider tuning tcp_mem", "tcp-memory", "the kernel", NULL, 0},
        {"VFS: file-max limit 65536 reached", "no-descriptor-system", "the kernel", NULL, 0},
        {"ip_local_port_range: prefer different parity for start/end values.", "range-parity", NULL,
         NULL, 0},
        /* musl */
        {"connect: Address not available", "connect-no-port", NULL, NULL, 0},
        {"socket: No file descriptors available", "no-descriptor", NULL, NULL, 0},
};

static const char *destination_of(const struct lp_line *line, char buf[LP_ADDRESS_TEXT])
{
	if (!line->address.family)
		return NULL;
	return line->port ? lp_address_port_text(&line->address, line->port, buf)
	                  : lp_address_text(&line->address, buf);
}

static bool same(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

static void lines_are_recognised(void **state)
{
	(void)state;
	size_t n = sizeof(lines) / sizeof(lines[0]);
	for (size_t i = 0; i < n; i++) {
		struct lp_line line;
		char destination[LP_ADDRESS_TEXT];
		lp_line_read(lines[i].line, &line);
		const char *symptom = line.symptom ? line.symptom->id : NULL;
		const char *program = line.program ? line.program->program : NULL;
		const char *to = destination_of(&line, destination);
		if (!same(symptom, lines[i].symptom) || !same(program, lines[i].program) ||
		    !same(to, lines[i].destination) || line.pid != lines[i].pid)
			fail_msg("%s\nis %s by %s to %s, pid %d\nexpected %s by %s to %s, pid %d",
			         lines[i].line, symptom, program, to, line.pid, lines[i].symptom,
			         lines[i].program, lines[i].destination, lines[i].pid);
	}
	assert_true(n >= 40);
}

/* Case, surroundings and what a logger puts before it make no difference. */
static void surroundings_do_not_matter(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		char long_line[1024];
		struct lp_line line;
		(void)snprintf(long_line, sizeof(long_line),
		               "2026-11-23T10:00:00Z web-3 {\"level\":\"error\"} %s\n",
		               lines[i].line);
		lp_line_read(long_line, &line);
		if (!line.symptom || strcmp(line.symptom->id, lines[i].symptom) != 0)
			fail_msg("%s: %s", long_line, line.symptom ? line.symptom->id : "nothing");
	}
}

static void nonsense_is_nothing(void **state)
{
	(void)state;
	static const char *const nonsense[] = {
	        "",
	        "hello world",
	        "GET / HTTP/1.1 200 99",
	        "10.0.0.1:80",
	        "MYEADDRNOTAVAIL",
	        "EADDRNOTAVAILS, EPERMIT and EMFILE_MAX",
	        "(7) (8) (9)",
	        "errno 9999 and error 0",
	        "the file (24 pages) was opened",
	        "[::]:]:[",
	        "1.2.3.4.5.6:99999999999999999999",
	};
	for (size_t i = 0; i < sizeof(nonsense) / sizeof(nonsense[0]); i++) {
		struct lp_line line;
		lp_line_read(nonsense[i], &line);
		if (line.symptom)
			fail_msg("'%s' is taken for %s", nonsense[i], line.symptom->id);
	}
}

/* The tables are whole: ids are unique, what they refer to is there, each says where it stands. */
static void the_data_is_whole(void **state)
{
	(void)state;
	for (const struct lp_symptom *symptom = lp_symptoms; symptom->id; symptom++) {
		assert_ptr_equal(lp_symptom_find(symptom->id), symptom);
		assert_non_null(symptom->means);
		assert_non_null(symptom->documented);
		assert_true(symptom->causes[0].kind || symptom->otherwise[0]);
		assert_null(strchr(symptom->means, '!'));
		for (int i = 0; i < LP_SYMPTOM_CAUSES && symptom->causes[i].kind; i++) {
			if (!lp_limit_kind_find(symptom->causes[i].kind))
				fail_msg("%s: no kind is called %s", symptom->id,
				         symptom->causes[i].kind);
			assert_non_null(symptom->causes[i].how);
		}
	}
	for (const struct lp_phrase *phrase = lp_phrases; phrase->words; phrase++)
		if (!lp_symptom_find(phrase->symptom))
			fail_msg("'%s': no symptom is called %s", phrase->words, phrase->symptom);
	for (const struct lp_program_words *words = lp_program_words; words->words; words++)
		assert_true(words->program && words->documented);
	for (const struct lp_error_name *error = lp_error_names; error->name; error++)
		if (!lp_symptom_of(error->name, LP_CALL_ANY))
			fail_msg("%s has no symptom", error->name);
	assert_null(lp_symptom_of("ENOENT", LP_CALL_ANY));
}

UNIT_MAIN(cmocka_unit_test(lines_are_recognised), cmocka_unit_test(surroundings_do_not_matter),
          cmocka_unit_test(nonsense_is_nothing), cmocka_unit_test(the_data_is_whole))
