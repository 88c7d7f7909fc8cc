/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* file-nr and tcp_mem: three numbers or nothing. */

#include "kernel/kernel.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	struct lp_machine files = {0}, pages = {0};
	int r = lp_file_nr_parse(text, &files);
	must_hold(files.file_allocated.known == (r == 0) && files.file_max.known == (r == 0));
	r = lp_tcp_mem_parse(text, &pages);
	must_hold(pages.tcp_pages_max.known == (r == 0));
	must_hold(pages.tcp_pages_pressure.known == (r == 0));
	free(text);
	return 0;
}
