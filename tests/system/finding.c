/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "finding.h"

static bool is_about(const json_t *finding, uint64_t netns)
{
	const json_t *of = json_object_get(json_object_get(finding, "netns"), "inode");
	return (uint64_t)json_integer_value(of) == netns;
}

static const json_t *find(const json_t *list, const char *id, uint64_t netns)
{
	json_t *finding;
	size_t i;
	json_array_foreach(list, i, finding)
	{
		if (!strcmp(finding_text(finding, "id"), id) && is_about(finding, netns))
			return finding;
		const json_t *below = find(json_object_get(finding, "explains"), id, netns);
		if (below)
			return below;
	}
	return NULL;
}

const json_t *finding_of(const struct answer *answer, const char *id, uint64_t netns)
{
	return find(json_object_get(answer->root, "findings"), id, netns);
}

const json_t *finding_with_remedies(const struct answer *answer, const char *id, uint64_t netns)
{
	json_t *finding;
	size_t i;
	json_array_foreach(json_object_get(answer->root, "findings"), i, finding)
	{
		bool is = !strcmp(finding_text(finding, "id"), id) && is_about(finding, netns);
		if (is || find(json_object_get(finding, "explains"), id, netns))
			return finding;
	}
	return NULL;
}

const char *finding_text(const json_t *finding, const char *name)
{
	const char *text = json_string_value(json_object_get(finding, name));
	if (!text)
		fail_msg("a finding without %s", name);
	return text;
}

unsigned finding_count(const struct answer *answer, uint64_t netns)
{
	unsigned n = 0;
	json_t *finding;
	size_t i;
	json_array_foreach(json_object_get(answer->root, "findings"), i, finding)
	{
		if (!is_about(finding, netns))
			continue;
		note("%s: %s", finding_text(finding, "id"), finding_text(finding, "summary"));
		n++;
	}
	return n;
}

static const json_t *remedy_of(const json_t *finding, const char *word)
{
	json_t *remedy;
	size_t i;
	json_array_foreach(json_object_get(finding, "remedies"), i,
	                   remedy) if (strstr(finding_text(remedy, "title"), word)) return remedy;
	fail_msg("%s has no remedy \"%s\"", finding_text(finding, "id"), word);
	return NULL;
}

double finding_predicts(const json_t *finding, const char *remedy, const char *figure)
{
	json_t *change;
	size_t i;
	json_array_foreach(
	        json_object_get(remedy_of(finding, remedy), "changes"), i,
	        change) if (!strcmp(finding_text(change, "figure"),
	                            figure)) return json_number_value(json_object_get(change,
	                                                                              "to"));
	fail_msg("\"%s\" does not tell %s", remedy, figure);
	return 0;
}

const char *finding_step(const json_t *finding, const char *remedy, const char *word)
{
	json_t *step;
	size_t i;
	json_array_foreach(
	        json_object_get(remedy_of(finding, remedy), "steps"), i,
	        step) if (strstr(json_string_value(step), word)) return json_string_value(step);
	return NULL;
}

const json_t *finding_of_process(const struct answer *answer, const char *id, pid_t pid)
{
	char word[32];
	(void)snprintf(word, sizeof(word), "(%d)", pid);
	json_t *finding;
	size_t i;
	json_array_foreach(json_object_get(answer->root, "findings"), i, finding)
	{
		if (!strcmp(finding_text(finding, "id"), id) &&
		    strstr(finding_text(finding, "summary"), word))
			return finding;
	}
	return NULL;
}
