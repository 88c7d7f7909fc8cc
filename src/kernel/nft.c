/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/nft.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/cleanup.h"

struct nft_ctx;

/* Of <nftables/libnftables.h>, which is stable since 0.9. */
struct nft {
	struct nft_ctx *(*ctx_new)(uint32_t flags);
	void (*ctx_free)(struct nft_ctx *ctx);
	int (*buffer_output)(struct nft_ctx *ctx);
	int (*buffer_error)(struct nft_ctx *ctx);
	const char *(*error)(struct nft_ctx *ctx);
	void (*set_output)(struct nft_ctx *ctx, unsigned flags);
	const char *(*output)(struct nft_ctx *ctx);
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
	    take(library, "nft_ctx_output_set_flags", &nft->set_output) &&
	    take(library, "nft_ctx_get_output_buffer", &nft->output) &&
	    take(library, "nft_run_cmd_from_buffer", &nft->run))
		return library;
	(void)lp_fail(err, ENOPKG, "libnftables.so.1 lacks a function: %s", dlerror());
	(void)dlclose(library);
	return NULL;
}

static int run_in(const struct nft *nft, struct nft_ctx *ctx, const char *commands, char **ret,
                  struct lp_error *err)
{
	/* NFT_CTX_OUTPUT_JSON, and _TERSE: without the elements of sets */
	enum { JSON = 1 << 4, TERSE = 1 << 11 };
	if (nft->buffer_output(ctx) != 0 || nft->buffer_error(ctx) != 0)
		return lp_fail(err, ENOMEM, "nftables: no memory");
	if (ret)
		nft->set_output(ctx, JSON | TERSE);
	if (nft->run(ctx, commands) != 0) {
		const char *why = nft->error(ctx); /* asking empties it */
		return lp_fail(err, EINVAL, "nftables: %.*s", (int)strcspn(why, "\n"), why);
	}
	if (ret)
		*ret = strdup(nft->output(ctx));
	return ret && !*ret ? lp_fail(err, ENOMEM, "nftables: no memory") : 0;
}

int lp_nft_run(const char *commands, char **ret, struct lp_error *err)
{
	struct nft nft;
	_cleanup_(close_library) void *library = open_library(&nft, err);
	if (!library)
		return -ENOPKG;
	struct nft_ctx *ctx = nft.ctx_new(0);
	if (!ctx)
		return lp_fail(err, ENOMEM, "nftables: no memory");
	int r = run_in(&nft, ctx, commands, ret, err);
	nft.ctx_free(ctx);
	return r;
}
