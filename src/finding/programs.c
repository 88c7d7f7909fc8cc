/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "finding/programs.h"

#include <fnmatch.h>
#include <string.h>

/* Names come before what programs are made with: Envoy in a container of Go tools is Envoy. */
const struct lp_advice lp_advice_list[] = {
        {
                .name = "nginx",
                .names = {"nginx", "nginx:*", "openresty"},
                .reuse = {"In the upstream block: keepalive 64;",
                          "In the location: proxy_http_version 1.1; proxy_set_header Connection "
                          "\"\"; (nginx 1.30 and later do both by themselves)."},
                .serve = "keepalive_timeout 75s; keepalive_requests 10000;",
                .no_port = "proxy_bind with an address alone, not with a port.",
                .sources = "split_clients \"$request_id\" $from { 50% 10.0.0.5; * 10.0.0.6; } and "
                           "proxy_bind $from;",
                .backlog = "listen 80 backlog=4096;",
                .descriptors = "worker_rlimit_nofile 65536;",
                .documented =
                        "https://nginx.org/en/docs/http/ngx_http_upstream_module.html#keepalive",
        },
        {
                .name = "haproxy",
                .names = {"haproxy"},
                .reuse = {"In the backend: http-reuse aggressive, where clients can send a request "
                          "again. With safe, the default, a client's first request opens its own.",
                          "No \"option httpclose\" and no \"option http-server-close\" there; "
                          "pool-max-conn of the server lines not 0."},
                .serve = "option http-keep-alive, and a longer timeout http-keep-alive.",
                .no_port = "source ADDRESS alone on the server line, not ADDRESS:PORT.",
                .sources = "The same server on two lines, each with its own source ADDRESS.",
                .backlog = "backlog 4096 in the frontend.",
                .descriptors = "maxconn in the global section, which asks for descriptors itself.",
                .documented = "https://docs.haproxy.org/2.8/configuration.html#4.2-http-reuse",
        },
        {
                .name = "Istio",
                .names = {"pilot-agent", "istio-proxy"},
                .reuse =
                        {"In the DestinationRule, connectionPool.http: maxRequestsPerConnection 0, "
                         "which is no limit, and a longer idleTimeout."},
                .documented = "https://istio.io/latest/docs/reference/config/networking/"
                              "destination-rule/#ConnectionPoolSettings-HTTPSettings",
        },
        {
                .name = "Envoy",
                .names = {"envoy"},
                .reuse = {"In the cluster's common_http_protocol_options: leave out "
                          "max_requests_per_connection, and raise idle_timeout.",
                          "HTTP/2 to the upstream carries all requests over one connection: "
                          "explicit_http_config with http2_protocol_options."},
                .serve = "idle_timeout of the HTTP connection manager's "
                         "common_http_protocol_options.",
                .no_port = "upstream_bind_config with socket_options: level 0, name 24 "
                           "(IP_BIND_ADDRESS_NO_PORT), int_value 1, state STATE_PREBIND.",
                .sources = "The cluster twice behind weighted_clusters, each with its own "
                           "source_address in upstream_bind_config.",
                .backlog = "tcp_backlog_size of the listener.",
                .documented = "https://www.envoyproxy.io/docs/envoy/latest/intro/arch_overview/"
                              "upstream/connection_pooling",
        },
        {
                .name = "Apache",
                .names = {"apache2", "httpd"},
                .reuse = {"ProxyPass … enablereuse=on, with a <Proxy> block for each backend: what "
                          "RewriteRule [P] sends without one is not reused.",
                          "No \"SetEnv proxy-nokeepalive\", and no disablereuse=on."},
                .serve = "KeepAlive On, a longer KeepAliveTimeout, MaxKeepAliveRequests 10000.",
                .backlog = "ListenBacklog 4096",
                .documented = "https://httpd.apache.org/docs/2.4/mod/mod_proxy.html#workers",
        },
        {
                .name = "PHP",
                .names = {"php-fpm*"},
                .runtime = LP_RUNTIME_PHP,
                .reuse = {"Databases: PDO::ATTR_PERSISTENT; Redis: pconnect(). Each worker keeps "
                          "its own.",
                          "HTTP: curl_share_init_persistent() from PHP 8.5 on; before, one handle "
                          "for all requests of a script."},
                .backlog = "listen.backlog = 4096 of the pool.",
                .descriptors = "rlimit_files = 65536 of the pool.",
                .documented = "https://www.php.net/manual/en/features.persistent-connections.php",
        },
        {
                .name = "kube-proxy",
                .names = {"kube-proxy"},
                .conntrack = "kube-proxy sets it: conntrack.maxPerCore and conntrack.min of its "
                             "configuration, or --conntrack-max-per-core.",
                .translate = "kube-proxy masquerades with --random-fully by itself; have the CNI "
                             "plug-in do so too (AWS: AWS_VPC_K8S_CNI_RANDOMIZESNAT=prng).",
                .documented = "https://kubernetes.io/docs/reference/command-line-tools-reference/"
                              "kube-proxy/",
        },
        {
                .name = "Go",
                .runtime = LP_RUNTIME_GO,
                .reuse = {"One http.Client for all requests, with a Transport whose "
                          "MaxIdleConnsPerHost is as high as requests run at once: it is 2.",
                          "Read each response body to its end, then close it: else the "
                          "connection is not reused."},
                .serve = "A longer IdleTimeout of http.Server.",
                .no_port = "Set IP_BIND_ADDRESS_NO_PORT in net.Dialer.Control, beside LocalAddr.",
                .documented = "https://pkg.go.dev/net/http#Transport",
        },
        {
                .name = "Java",
                .runtime = LP_RUNTIME_JAVA,
                .reuse = {"One HttpClient for all requests; OkHttp: one OkHttpClient, and a "
                          "ConnectionPool with more idle connections than 5.",
                          "Apache HttpClient: PoolingHttpClientConnectionManager with "
                          "setDefaultMaxPerRoute(); HttpURLConnection: read answers to the end, "
                          "-Dhttp.maxConnections=64."},
                .documented = "https://docs.oracle.com/en/java/javase/21/docs/api/java.net.http/"
                              "module-summary.html",
        },
        {
                .name = "Node.js",
                .runtime = LP_RUNTIME_NODE,
                .reuse = {"One agent for all requests: new http.Agent({ keepAlive: true }); the "
                          "global one does so from Node 19 on."},
                .serve = "A longer server.keepAliveTimeout: it is 5 s before Node 26.",
                .documented = "https://nodejs.org/api/http.html#class-httpagent",
        },
        {
                .name = "Python",
                .runtime = LP_RUNTIME_PYTHON,
                .reuse = {"One requests.Session, with HTTPAdapter(pool_maxsize=…) as high as "
                          "requests run at once; one urllib3.PoolManager.",
                          "aiohttp, httpx: one ClientSession or Client for the whole program, and "
                          "not one for each request."},
                .documented = "https://requests.readthedocs.io/en/latest/user/advanced/#keep-alive",
        },
        {
                .name = "Redis client",
                .ports = {6379, 6380, 26379},
                .reuse = {"Redis: a pool of connections in the client, or one that is shared: "
                          "commands of many threads go over it one after the other."},
                .documented = "https://redis.io/docs/latest/develop/clients/pools-and-muxing/",
        },
        {
                .name = "PostgreSQL client",
                .ports = {5432, 6432},
                .reuse = {"PostgreSQL: a pool in the program, or PgBouncer beside it with "
                          "pool_mode = transaction."},
                .documented = "https://www.pgbouncer.org/config.html",
        },
        {
                .name = "MySQL client",
                .ports = {3306, 6033},
                .reuse = {"MySQL: a pool in the program, or ProxySQL beside it, which shares "
                          "connections."},
                .documented = "https://proxysql.com/documentation/multiplexing/",
        },
        {0},
};

static bool has_name(const struct lp_advice *advice, const char *name)
{
	for (size_t i = 0; i < LP_ADVICE_NAMES && advice->names[i]; i++)
		if (fnmatch(advice->names[i], name, 0) == 0)
			return true;
	return false;
}

const struct lp_advice *lp_advice_for(const char *command, const struct lp_program *program)
{
	for (const struct lp_advice *advice = lp_advice_list; advice->name; advice++) {
		if (has_name(advice, command) ||
		    (program && *program->executable && has_name(advice, program->executable)))
			return advice;
		if (program && advice->runtime != LP_RUNTIME_UNTOLD &&
		    advice->runtime == program->runtime)
			return advice;
	}
	return NULL;
}

const struct lp_advice *lp_advice_for_port(uint16_t port)
{
	for (const struct lp_advice *advice = lp_advice_list; advice->name; advice++)
		for (size_t i = 0; i < LP_ADVICE_PORTS && advice->ports[i]; i++)
			if (advice->ports[i] == port)
				return advice;
	return NULL;
}

const struct lp_advice *lp_advice_find(const char *name)
{
	for (const struct lp_advice *advice = lp_advice_list; advice->name; advice++)
		if (!strcmp(advice->name, name))
			return advice;
	return NULL;
}
