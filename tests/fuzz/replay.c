/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Runs a fuzz target over each file of a folder, as a test. An input that crashes ends the run. */

#include "fuzz.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

static int is_input(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* The whole file; the buffer is exactly its size, so that a read past the end is caught. */
static uint8_t *read_input(const char *path, size_t *ret_size)
{
	_cleanup_(lp_close_file) FILE *file = fopen(path, "re");
	if (!file || fseek(file, 0, SEEK_END) < 0)
		return NULL;
	long size = ftell(file);
	if (size < 0 || fseek(file, 0, SEEK_SET) < 0)
		return NULL;
	_cleanup_(lp_free_ptr) uint8_t *data = malloc(size ? (size_t)size : 1);
	if (!data || fread(data, 1, (size_t)size, file) != (size_t)size)
		return NULL;
	*ret_size = (size_t)size;
	return lp_take_ptr(data);
}

static void replay(int number, const char *folder, const char *name)
{
	char path[4096];
	size_t size = 0;
	(void)snprintf(path, sizeof(path), "%s/%s", folder, name);
	_cleanup_(lp_free_ptr) uint8_t *data = read_input(path, &size);
	if (!data) {
		printf("not ok %d - %s: %s\n", number, name, strerror(errno));
		return;
	}
	printf("# %s\n", name);
	(void)LLVMFuzzerTestOneInput(data, size);
	printf("ok %d - %s\n", number, name);
}

int main(int argc, char **argv)
{
	if (argc != 2)
		return EXIT_FAILURE;
	struct dirent **entries = NULL;
	int n = scandir(argv[1], &entries, is_input, alphasort);
	if (n <= 0) {
		printf("1..1\nnot ok 1 - %s holds inputs\n", argv[1]);
		return EXIT_FAILURE;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	printf("1..%d\n", n);
	for (int i = 0; i < n; i++) {
		replay(i + 1, argv[1], entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	return EXIT_SUCCESS;
}
