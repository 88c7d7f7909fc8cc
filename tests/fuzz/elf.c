/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Executables of any content: read within bounds only, and a bounded number of times. */

#include <errno.h>

#include "kernel/elf.h"
#include "text.h"

struct bytes {
	const uint8_t *items;
	size_t n, reads;
};

static ssize_t read_bytes(void *context, void *buf, size_t size, uint64_t offset)
{
	struct bytes *bytes = context;
	bytes->reads++;
	must_hold(size <= LP_ELF_NOTE_BYTES && offset <= INT64_MAX);
	if (offset >= bytes->n)
		return 0;
	size_t left = bytes->n - (size_t)offset;
	size_t n = size < left ? size : left;
	memcpy(buf, bytes->items + offset, n);
	return (ssize_t)n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes bytes = {.items = data, .n = size};
	const struct lp_elf_source source = {.read = read_bytes, .context = &bytes};
	int r = lp_elf_is_go(&source);
	must_hold(r == 0 || r == 1 || r == -ENOEXEC);
	must_hold(bytes.reads <= 3 + 2 * LP_ELF_SEGMENTS + 2 * LP_ELF_SECTIONS);
	return 0;
}
