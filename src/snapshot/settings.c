/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "snapshot/settings.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

static void setting_done(struct lp_setting *setting)
{
	free(setting->file);
	free(setting->key);
	free(setting->value);
	free(setting->running);
}

int lp_settings_add(struct lp_settings *settings, const char *file, unsigned line, const char *key,
                    const char *value)
{
	struct lp_setting setting = {
	        .file = strdup(file), .line = line, .key = strdup(key), .value = strdup(value)};
	if (!setting.file || !setting.key || !setting.value ||
	    !lp_array_grow(&settings->items, &settings->room, settings->n,
	                   sizeof(*settings->items))) {
		setting_done(&setting);
		return -ENOMEM;
	}
	settings->items[settings->n++] = setting;
	return 0;
}

static bool is_pattern(const char *key)
{
	return strpbrk(key, "*?[") != NULL;
}

/* Whether the later of two lines takes the place of the first. */
static bool replaces(const struct lp_setting *later, const struct lp_setting *first)
{
	return !strcmp(later->key, first->key);
}

void lp_settings_settle(struct lp_settings *settings)
{
	for (size_t i = 0; i < settings->n; i++) {
		settings->items[i].loses_to = 0;
		for (size_t k = settings->n; k-- > i + 1;)
			if (replaces(&settings->items[k], &settings->items[i])) {
				settings->items[i].loses_to = k + 1;
				break;
			}
	}
}

const struct lp_setting *lp_settings_find(const struct lp_settings *settings, const char *key)
{
	const struct lp_setting *found = NULL;
	for (size_t i = 0; i < settings->n; i++) {
		const struct lp_setting *setting = &settings->items[i];
		bool named = !strcmp(setting->key, key);
		bool meant =
		        is_pattern(setting->key) && fnmatch(setting->key, key, FNM_PATHNAME) == 0;
		if (named || (meant && (!found || is_pattern(found->key))))
			found = setting;
	}
	return found;
}

void lp_settings_done(struct lp_settings *settings)
{
	for (size_t i = 0; i < settings->n; i++)
		setting_done(&settings->items[i]);
	free(settings->items);
	free(settings->unread);
	*settings = (struct lp_settings){0};
}
