/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kernel/sysctl_conf.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/utf8.h"
#include "kernel/text.h"

/* ---- one file ------------------------------------------------------------------------------- */

/* Words with one blank between, no control characters. In place. */
static char *squeeze(char *text)
{
	char *to = text;
	for (const char *from = text; *from; from++) {
		if (!isspace((unsigned char)*from))
			*to++ = *from;
		else if (to > text && to[-1] != ' ')
			*to++ = ' ';
	}
	while (to > text && to[-1] == ' ')
		to--;
	*to = '\0';
	lp_utf8_clean(text);
	return text;
}

/* The first separator tells which it is; "." and "/" then swap: "net.ipv4.conf.eth0/1". */
static void use_slashes(char *key)
{
	const char *first = strpbrk(key, "./");
	if (!first || *first == '/')
		return;
	for (char *c = key; *c; c++)
		if (*c == '.')
			*c = '/';
		else if (*c == '/')
			*c = '.';
}

static bool is_wanted(const char *key)
{
	return !strncmp(key, "net/", strlen("net/")) || !strcmp(key, "fs/file-max");
}

/* "key = value", maybe with a "-" before it: a mistake in it is none. Changes the line. */
static int parse_line(char *line, const char *file, unsigned number, struct lp_settings *settings)
{
	line += strspn(line, " \t\r\v\f");
	if (*line == '#' || *line == ';')
		return 0;
	char *value = strchr(line, '=');
	if (!value)
		return 0; /* empty, or "-key": patterns leave that one out */
	*value++ = '\0';
	char *key = squeeze(line);
	if (*key == '-')
		key = squeeze(key + 1);
	while (*key == '/')
		key++;
	use_slashes(key);
	if (!is_wanted(key) || strchr(key, ' ') || settings->n >= LP_CONF_SETTINGS)
		return 0;
	return lp_settings_add(settings, file, number, key, squeeze(value));
}

int lp_sysctl_conf_parse(const char *text, const char *file, struct lp_settings *settings)
{
	_cleanup_(lp_free_ptr) char *copy = strdup(text);
	char *rest = copy, *line;
	int r = 0;
	if (!copy)
		return -ENOMEM;
	for (unsigned number = 1; r == 0 && (line = strsep(&rest, "\n")); number++)
		r = parse_line(line, file, number, settings);
	return r;
}

/* ---- the files ------------------------------------------------------------------------------ */

struct conf_file {
	char name[256];
	const char *folder;
};

struct conf {
	const struct lp_kernel *kernel;
	struct lp_snapshot *snapshot;
	struct conf_file *files;
	size_t n;
	dev_t device; /* of /etc/sysctl.conf, where one of them was it */
	ino_t inode;
};

static bool is_conf(const char *name)
{
	static const char suffix[] = ".conf";
	size_t length = strlen(name);
	return name[0] != '.' && length > strlen(suffix) &&
	       length < sizeof(((struct conf_file *)0)->name) &&
	       !strcmp(name + length - strlen(suffix), suffix);
}

static bool is_hidden(const struct conf *conf, const char *name)
{
	for (size_t i = 0; i < conf->n; i++)
		if (!strcmp(conf->files[i].name, name))
			return true;
	return false;
}

/* Says of the first one what could not be read. What is not there is nothing to tell. */
static int tell_unread(const struct conf *conf, const char *path, int r)
{
	struct lp_settings *settings = &conf->snapshot->settings;
	const char *why = r == -EFBIG    ? "longer than it can be"
	                  : r == -EINVAL ? "no text"
	                                 : strerror(-r);
	if (r == -ENOENT || settings->unread)
		return 0;
	if (asprintf(&settings->unread, "/%s can't be read (%s)", path, why) >= 0)
		return 0;
	settings->unread = NULL;
	return -ENOMEM;
}

/* Names only: what is behind them is looked at when they are read. */
static int list_folder(struct conf *conf, const char *folder)
{
	int fd = openat(conf->kernel->root, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return tell_unread(conf, folder, lp_errno());
	_cleanup_(lp_close_dir) DIR *dir = fdopendir(fd);
	if (!dir) {
		(void)close(fd);
		return -ENOMEM;
	}
	const struct dirent *entry;
	while ((entry = readdir(dir)) && conf->n < LP_CONF_FILES) {
		if (!is_conf(entry->d_name) || is_hidden(conf, entry->d_name))
			continue;
		struct conf_file *file = &conf->files[conf->n++];
		(void)snprintf(file->name, sizeof(file->name), "%s", entry->d_name);
		file->folder = folder;
	}
	return 0;
}

static int by_name(const void *x, const void *y)
{
	const struct conf_file *a = x, *b = y;
	return strcmp(a->name, b->name);
}

static int read_file(struct conf *conf, const char *path)
{
	_cleanup_(lp_free_ptr) char *text = malloc(LP_CONF_BYTES);
	char shown[512];
	struct stat st;
	if (!text)
		return -ENOMEM;
	if (fstatat(conf->kernel->root, path, &st, 0) < 0)
		return tell_unread(conf, path, lp_errno());
	if (!S_ISREG(st.st_mode))
		return 0; /* a link to /dev/null hides the name below; a pipe would never end */
	ssize_t n = lp_read_text(conf->kernel->root, path, text, LP_CONF_BYTES);
	if (n < 0)
		return tell_unread(conf, path, (int)n);
	(void)snprintf(shown, sizeof(shown), "/%s", path);
	lp_utf8_clean(shown);
	return lp_sysctl_conf_parse(text, shown, &conf->snapshot->settings);
}

/* Debian has a link to /etc/sysctl.conf in sysctl.d: once is enough. */
static bool is_last(const struct conf *conf, const char *path)
{
	struct stat st;
	return conf->inode && fstatat(conf->kernel->root, path, &st, 0) == 0 &&
	       st.st_ino == conf->inode && st.st_dev == conf->device;
}

static int read_files(struct conf *conf)
{
	static const char last[] = "etc/sysctl.conf";
	struct stat st;
	bool seen = false;
	if (fstatat(conf->kernel->root, last, &st, 0) == 0) {
		conf->inode = st.st_ino;
		conf->device = st.st_dev;
	}
	int r = 0;
	for (size_t i = 0; i < conf->n && r == 0; i++) {
		char path[512];
		(void)snprintf(path, sizeof(path), "%s/%s", conf->files[i].folder,
		               conf->files[i].name);
		seen |= is_last(conf, path);
		r = read_file(conf, path);
	}
	return r < 0 || seen ? r : read_file(conf, last);
}

/* ---- what the kernel has -------------------------------------------------------------------- */

/* In another namespace than the machine's first the figures are others by nature. */
static int read_running(const struct lp_kernel *kernel, struct lp_settings *settings)
{
	if (faccessat(kernel->proc, "sys/net/ipv4/tcp_mem", F_OK, 0) < 0)
		return 0;
	for (size_t i = 0; i < settings->n; i++) {
		struct lp_setting *setting = &settings->items[i];
		char path[512], buf[LP_TEXT_SMALL];
		/* a key may not lead out of where sysctls are */
		if (strstr(setting->key, "..") || strpbrk(setting->key, "*?["))
			continue;
		(void)snprintf(path, sizeof(path), "sys/%s", setting->key);
		if (lp_read_line(kernel->proc, path, buf, sizeof(buf)) < 0)
			continue;
		setting->running = strdup(squeeze(buf));
		if (!setting->running)
			return -ENOMEM;
	}
	return 0;
}

int lp_sysctl_conf_read(const struct lp_kernel *kernel, struct lp_snapshot *snapshot)
{
	static const char *const folders[] = {
	        "etc/sysctl.d",     "run/sysctl.d", "usr/local/lib/sysctl.d",
	        "usr/lib/sysctl.d", "lib/sysctl.d",
	};
	if (kernel->root < 0)
		return 0;
	_cleanup_(lp_free_ptr) struct conf_file *files = calloc(LP_CONF_FILES, sizeof(*files));
	struct conf conf = {.kernel = kernel, .snapshot = snapshot, .files = files};
	if (!files)
		return -ENOMEM;
	int r = 0;
	for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]) && r == 0; i++)
		r = list_folder(&conf, folders[i]);
	if (r < 0)
		return r;
	qsort(conf.files, conf.n, sizeof(*conf.files), by_name);
	r = read_files(&conf);
	snapshot->settings.read = true;
	lp_settings_settle(&snapshot->settings);
	return r < 0 ? r : read_running(kernel, &snapshot->settings);
}
