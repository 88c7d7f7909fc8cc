/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Scope-bound ownership: `_cleanup_(lp_free_ptr) char *text = NULL;` */
#define _cleanup_(function) __attribute__((cleanup(function)))
/* For a variable that is there only for what happens at the end of its scope. */
#define _unused_ __attribute__((unused))

static inline void lp_free_ptr(void *pointer)
{
	free(*(void **)pointer);
}

static inline void lp_close_fd(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

static inline void lp_close_dir(DIR **dir)
{
	if (*dir)
		(void)closedir(*dir);
}

static inline void lp_close_file(FILE **file)
{
	if (*file)
		(void)fclose(*file);
}

/* Hands over what a cleanup variable holds; the variable is left empty. */
#define lp_take_ptr(pointer)                        \
	({                                          \
		__typeof__(pointer) _p = (pointer); \
		(pointer) = NULL;                   \
		_p;                                 \
	})
#define lp_take_fd(fd)          \
	({                      \
		int _fd = (fd); \
		(fd) = -1;      \
		_fd;            \
	})
