/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lab/nft.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <string.h>

struct nft_ctx;

/* Of <nftables/libnftables.h>, which is stable since 0.9. */
struct nft {
	struct nft_ctx *(*ctx_new)(uint32_t flags);
	void (*ctx_free)(struct nft_ctx *ctx);
	int (*buffer_output)(struct nft_ctx *ctx);
	int (*buffer_error)(struct nft_ctx *ctx);
	const char *(*error)(struct nft_ctx *ctx);
	int (*run)(struct nft_ctx *ctx, const char *commands);
};

static void close_library(void **library)
{
	if (*library)
		(void)dlclose(*library);
}

/* What dlsym() gives is data to the language and a function to us. */
static bool take(void *library, const char *name, void *ret)
{
	void *symbol = dlsym(library, name);
	memcpy(ret, &symbol, sizeof(symbol));
	return symbol != NULL;
}

/* Stays mapped once it was opened: relocating it again would cost more than it does. */
static void *open_library(struct nft *nft, struct lp_error *err)
{
	void *library = dlopen("libnftables.so.1", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
	if (!library) {
		(void)lp_fail(err, ENOPKG, "libnftables.so.1 is not there (Debian: libnftables1)");
		return NULL;
	}
	if (take(library, "nft_ctx_new", &nft->ctx_new) &&
	    take(library, "nft_ctx_free", &nft->ctx_free) &&
	    take(library, "nft_ctx_buffer_output", &nft->buffer_output) &&
	    take(library, "nft_ctx_buffer_error", &nft->buffer_error) &&
	    take(library, "nft_ctx_get_error_buffer", &nft->error) &&
	    take(library, "nft_run_cmd_from_buffer", &nft->run))
		return library;
	(void)lp_fail(err, ENOPKG, "libnftables.so.1 lacks a function: %s", dlerror());
	(void)dlclose(library);
	return NULL;
}

static int run_with(const struct nft *nft, const char *commands, struct lp_error *err)
{
	struct nft_ctx *ctx = nft->ctx_new(0);
	if (!ctx)
		return lp_fail(err, ENOMEM, "nftables: no memory");
	int r = 0;
	if (nft->buffer_output(ctx) != 0 || nft->buffer_error(ctx) != 0) {
		r = lp_fail(err, ENOMEM, "nftables: no memory");
	} else if (nft->run(ctx, commands) != 0) {
		const char *why = nft->error(ctx); /* asking empties it */
		r = lp_fail(err, EINVAL, "nftables: %.*s", (int)strcspn(why, "\n"), why);
	}
	nft->ctx_free(ctx);
	return r;
}

int lab_nft(const struct lab_ns *ns, struct lp_error *err, const char *commands, ...)
{
	_cleanup_(lp_free_ptr) char *text = NULL;
	va_list args;
	va_start(args, commands);
	int length = vasprintf(&text, commands, args);
	va_end(args);
	if (length < 0) {
		text = NULL;
		return lp_fail(err, ENOMEM, "nftables: no memory");
	}
	struct nft nft;
	_cleanup_(close_library) void *library = open_library(&nft, err);
	if (!library)
		return -ENOPKG;
	_cleanup_(lab_leave) int home = lab_enter(ns);
	if (home < 0)
		return lp_fail(err, -home, "setns: %s", strerror(-home));
	return run_with(&nft, text, err);
}

int lab_nft_track(const struct lab_ns *ns, struct lp_error *err)
{
	/* One rule that looks at the state switches tracking on at every hook. */
	return lab_nft(ns, err,
	               "table inet track { chain in { type filter hook input priority 0; "
	               "ct state new counter; }; }");
}

int lab_nft_untrack(const struct lab_ns *ns, uint16_t port, struct lp_error *err)
{
	return lab_nft(ns, err,
	               "table inet untrack {"
	               " chain out { type filter hook output priority raw;"
	               "  tcp dport %1$u notrack; tcp sport %1$u notrack; };"
	               " chain in { type filter hook prerouting priority raw;"
	               "  tcp dport %1$u notrack; tcp sport %1$u notrack; }; }",
	               port);
}

int lab_nft_snat(const struct lab_ns *ns, const char *link, const char *address, uint16_t first,
                 uint16_t last, struct lp_error *err)
{
	return lab_nft(ns, err,
	               "table ip translate { chain out {"
	               " type nat hook postrouting priority srcnat;"
	               " oifname \"%s\" meta l4proto tcp snat to %s:%u-%u; }; }",
	               link, address, first, last);
}

int lab_nft_drop(const struct lab_ns *ns, uint16_t port, struct lp_error *err)
{
	return lab_nft(ns, err,
	               "table inet lose { chain in { type filter hook prerouting priority raw;"
	               " tcp dport %u drop; }; }",
	               port);
}

int lab_nft_flush(const struct lab_ns *ns, struct lp_error *err)
{
	return lab_nft(ns, err, "flush ruleset");
}
