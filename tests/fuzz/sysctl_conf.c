/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* sysctl.d files: whatever they hold, keys stay below net/, and the amount is bounded. */

#include "kernel/sysctl_conf.h"
#include "text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = fuzz_text(data, size);
	struct lp_settings settings = {0};
	must_hold(lp_sysctl_conf_parse(text, "a", &settings) == 0);
	must_hold(settings.n <= LP_CONF_SETTINGS);
	lp_settings_settle(&settings);
	for (size_t i = 0; i < settings.n; i++) {
		const struct lp_setting *setting = &settings.items[i];
		must_hold(!strncmp(setting->key, "net/", 4) ||
		          !strcmp(setting->key, "fs/file-max"));
		must_hold(!strchr(setting->value, '\n') && !strchr(setting->key, ' '));
		must_hold(setting->line > 0 && setting->loses_to <= settings.n);
		must_hold(lp_settings_find(&settings, setting->key) != NULL);
	}
	lp_settings_done(&settings);
	free(text);
	return 0;
}
