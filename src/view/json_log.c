/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* JSON of the kernel log. */

#include <errno.h>

#include "view/json_parts.h"

static int set_new(json_t *object, const char *key, json_t *value)
{
	return json_object_set_new(object, key, value) < 0 ? -ENOMEM : 0;
}

/* A namespace that a line names may be gone or not ours to see. */
static json_t *netns_of(const struct lp_snapshot *snapshot, uint64_t inode)
{
	for (size_t i = 0; i < snapshot->n_netns; i++)
		if (snapshot->netns[i].inode == inode)
			return lp_json_netns(&snapshot->netns[i]);
	const struct lp_netns unseen = {.inode = inode};
	return lp_json_netns(&unseen);
}

static json_t *entry_object(const struct lp_snapshot *snapshot, const struct lp_log_entry *entry)
{
	json_auto_t *object = json_object();
	if (set_new(object, "what", json_string(lp_log_kinds[entry->what].name)) < 0 ||
	    (entry->netns && set_new(object, "netns", netns_of(snapshot, entry->netns)) < 0) ||
	    (*entry->subject && set_new(object, "subject", lp_json_text(entry->subject)) < 0) ||
	    set_new(object, "times", json_integer((json_int_t)entry->lines)) < 0 ||
	    set_new(object, "first", lp_json_time(entry->first_ms)) < 0 ||
	    set_new(object, "last", lp_json_time(entry->last_ms)) < 0)
		return NULL;
	return json_incref(object);
}

static json_t *entry_list(const struct lp_snapshot *snapshot)
{
	json_auto_t *list = json_array();
	for (size_t i = 0; i < snapshot->log.n; i++)
		if (json_array_append_new(list, entry_object(snapshot, &snapshot->log.entries[i])) <
		    0)
			return NULL;
	return json_incref(list);
}

static int set_if_any(json_t *object, const char *key, uint64_t n)
{
	return n ? set_new(object, key, json_integer((json_int_t)n)) : 0;
}

json_t *lp_json_log(const struct lp_snapshot *snapshot)
{
	const struct lp_log *log = &snapshot->log;
	json_auto_t *object = json_object();
	int r = 0;
	if (log->read)
		r = set_new(object, "log", entry_list(snapshot));
	else
		r = set_new(object, "log_unread", json_string(lp_log_unread(log->error)));
	if (r < 0 || set_if_any(object, "log_suppressed", log->suppressed) < 0 ||
	    set_if_any(object, "log_crowded_out", log->crowded_out) < 0 ||
	    set_if_any(object, "log_lost", log->lost) < 0 ||
	    (log->cut && set_new(object, "log_cut", json_true()) < 0))
		return NULL;
	return json_incref(object);
}
