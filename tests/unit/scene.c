/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scene.h"

#include "base/text.h"
#include "unit.h"

void scene_make(struct scene *scene)
{
	*scene = (struct scene){.snapshot = lp_snapshot_new()};
	assert_non_null(scene->snapshot);
	struct lp_netns *netns = lp_snapshot_add_netns(scene->snapshot);
	assert_non_null(netns);
	*netns = (struct lp_netns){
	        .inode = 4026531840,
	        .name = strdup("host"),
	        .own = true,
	        .initial = true,
	        .range_low = lp_figure(32768),
	        .range_high = lp_figure(60999),
	        .tw_reuse = lp_figure(2),
	        .tw_reuse_delay_ms = lp_figure(1000),
	        .timestamps = lp_figure(1),
	        .max_tw_buckets = lp_figure(131072),
	        .in_use4 = lp_figure(0),
	        .in_use6 = lp_figure(0),
	        .time_wait = lp_figure(0),
	        .tcp_counters = {.paws_time_wait = lp_figure(0),
	                         .passive_opens = lp_figure(100000)},
	        .sockets_read = true,
	        .pools = calloc(SCENE_ROOM, sizeof(struct lp_pool)),
	        .listeners = calloc(SCENE_ROOM, sizeof(struct lp_listener)),
	};
	assert_true(netns->name && netns->pools && netns->listeners);
	scene->netns = netns;
	scene->snapshot->settings.read = true;
}

static void forget(struct scene *scene)
{
	lp_findings_done(&scene->findings);
	free(scene->forecasts);
	scene->forecasts = NULL;
	lp_limits_done(&scene->limits);
}

void scene_done(struct scene *scene)
{
	forget(scene);
	lp_snapshot_free(scene->snapshot);
}

static struct lp_pool *add_pool(struct scene *scene, enum lp_side side, const char *remote,
                                uint16_t established, uint16_t time_wait)
{
	struct lp_netns *netns = scene->netns;
	assert_true(netns->n_pools < SCENE_ROOM);
	struct lp_pool *pool = &netns->pools[netns->n_pools++];
	*pool = (struct lp_pool){.key = {.local = unit_address("10.0.0.1"),
	                                 .remote = unit_address(remote),
	                                 .port = 80,
	                                 .side = (uint16_t)side}};
	pool->states[LP_ESTABLISHED] = established;
	pool->states[LP_TIME_WAIT] = time_wait;
	for (unsigned i = 0; i < time_wait; i++) {
		pool->left[i % LP_TIME_WAIT_S]++;
		netns->timers.left[i % LP_TIME_WAIT_S]++;
	}
	netns->states[LP_ESTABLISHED] += established;
	netns->states[LP_TIME_WAIT] += time_wait;
	netns->in_use4.n += established;
	netns->time_wait.n += time_wait;
	return pool;
}

struct lp_pool *scene_pool(struct scene *scene, const char *remote, uint16_t established,
                           uint16_t time_wait)
{
	return add_pool(scene, LP_OPENED, remote, established, time_wait);
}

struct lp_pool *scene_client(struct scene *scene, const char *client, uint16_t established,
                             uint16_t time_wait)
{
	return add_pool(scene, LP_ACCEPTED, client, established, time_wait);
}

struct lp_listener *scene_listener(struct scene *scene, const char *address, uint16_t port)
{
	struct lp_netns *netns = scene->netns;
	assert_true(netns->n_listeners < SCENE_ROOM);
	struct lp_listener *listener = &netns->listeners[netns->n_listeners++];
	*listener = (struct lp_listener){
	        .address = unit_address(address), .port = port, .backlog = 511};
	return listener;
}

const struct lp_limit *scene_limit(const struct scene *scene, const struct lp_limit_kind *kind)
{
	for (size_t i = 0; i < scene->limits.n; i++)
		if (scene->limits.items[i].kind == kind)
			return &scene->limits.items[i];
	return NULL;
}

static bool says_how_full(const struct lp_finding *finding)
{
	static const char *const ids[] = {"local-ports-exhausted", "local-ports-near",
	                                  "connects-refused",      "conntrack-full",
	                                  "conntrack-near",        "snat-ports-exhausted",
	                                  "snat-ports-near",       "time-wait-overflow"};
	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		if (!strcmp(finding->rule->id, ids[i]))
			return true;
	return false;
}

/* No two say the same of one limit. */
static void check_each_is_said_once(const struct lp_findings *findings)
{
	for (size_t i = 0; i < findings->n; i++)
		for (size_t k = 0; k < i; k++) {
			const struct lp_finding *a = &findings->items[i], *b = &findings->items[k];
			if (a->limit == LP_NO_LIMIT || a->limit != b->limit)
				continue;
			if (a->rule == b->rule || (says_how_full(a) && says_how_full(b)))
				fail_msg("%s and %s of one limit", a->rule->id, b->rule->id);
		}
}

/* A shell takes the step as it is printed: what else there is to say is a comment. */
static void check_setting(const char *step)
{
	const char *setting = strstr(step, "sysctl -w ");
	if (!setting || !strncmp(step, "On the clients:", strlen("On the clients:")))
		return;
	const char *value = strchr(setting, '=');
	assert_non_null(value);
	size_t quoted = value[1] == '"' ? strcspn(value + 2, "\"") + 2 : 0;
	const char *end = value + 1 + (quoted ? quoted : strspn(value + 1, "0123456789"));
	if (*end && strncmp(end, " # ", strlen(" # ")) != 0)
		fail_msg("no command: %s", step);
}

static void check_settings(const struct lp_finding *items, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct lp_finding *finding = &items[i];
		for (size_t k = 0; k < finding->n_remedies; k++)
			for (size_t s = 0; s < finding->remedies[k].steps.n; s++)
				check_setting(finding->remedies[k].steps.items[s]);
		check_settings(finding->explains, finding->n_explains);
	}
}

void scene_judge(struct scene *scene)
{
	forget(scene);
	assert_int_equal(lp_limits_collect(scene->snapshot, NULL, &scene->limits), 0);
	scene->forecasts = calloc(scene->limits.n + 1, sizeof(*scene->forecasts));
	assert_non_null(scene->forecasts);
	for (size_t i = 0; i < scene->limits.n; i++)
		scene->forecasts[i] = lp_forecast_one(scene->snapshot, &scene->limits.items[i]);
	const struct lp_facts facts = {.snapshot = scene->snapshot,
	                               .limits = &scene->limits,
	                               .forecasts = scene->forecasts};
	assert_int_equal(lp_findings_judge(&facts, NULL, &scene->findings), 0);
	check_each_is_said_once(&scene->findings);
	check_settings(scene->findings.items, scene->findings.n);
}

static const struct lp_finding *find_in(const struct lp_finding *items, size_t n, const char *id)
{
	for (size_t i = 0; i < n; i++) {
		if (!strcmp(items[i].rule->id, id))
			return &items[i];
		const struct lp_finding *below =
		        find_in(items[i].explains, items[i].n_explains, id);
		if (below)
			return below;
	}
	return NULL;
}

const struct lp_finding *scene_find(const struct scene *scene, const char *id)
{
	return find_in(scene->findings.items, scene->findings.n, id);
}

/* A sentence, in the tone that is wanted. */
static void check_sentence(const char *text)
{
	assert_non_null(text);
	if (!*text || text[strlen(text) - 1] != '.' || strchr(text, '!') || strchr(text, '\n') ||
	    strstr(text, "  ") || strstr(text, "(null)"))
		fail_msg("not a plain sentence: \"%s\"", text);
}

/* What is said of TIME_WAIT for twenty years, and never helped. */
static void check_advice(const char *text, uint64_t buckets)
{
	static const char *const myths[] = {"tcp_tw_recycle", "tcp_fin_timeout", "LINGER"};
	for (size_t i = 0; i < sizeof(myths) / sizeof(myths[0]); i++)
		if (strstr(text, myths[i]))
			fail_msg("a myth is advised: \"%s\"", text);
	const char *value = strstr(text, "tcp_max_tw_buckets=");
	if (value && strtoull(strchr(value, '=') + 1, NULL, 10) <= buckets)
		fail_msg("fewer TIME_WAIT buckets are advised: \"%s\"", text);
}

static void check_finding(const struct lp_finding *finding, uint64_t buckets)
{
	check_sentence(finding->summary);
	check_sentence(finding->cause);
	assert_true(finding->evidence.n > 0);
	for (size_t i = 0; i < finding->evidence.n; i++)
		check_sentence(finding->evidence.items[i]);
	for (size_t i = 0; i < finding->n_remedies; i++) {
		const struct lp_remedy *remedy = &finding->remedies[i];
		assert_true(*remedy->title && remedy->steps.n > 0 && *remedy->effect);
		for (size_t k = 0; k < remedy->steps.n; k++)
			check_advice(remedy->steps.items[k], buckets);
		check_sentence(remedy->risk);
	}
}

const struct lp_finding *scene_must(const struct scene *scene, const char *id)
{
	const struct lp_finding *finding = scene_find(scene, id);
	if (!finding) {
		const char *first = scene->findings.n ? scene->findings.items[0].rule->id : "none";
		fail_msg("no finding %s; the first is %s", id, first);
	}
	check_finding(finding, scene->netns->max_tw_buckets.n);
	return finding;
}

void scene_fine(struct scene *scene)
{
	scene_judge(scene);
	if (scene->findings.n)
		fail_msg("%s: %s", scene->findings.items[0].rule->id,
		         scene->findings.items[0].summary);
}

const char *scene_not_judged(const struct scene *scene, const char *id)
{
	for (size_t i = 0; i < scene->findings.n_not_judged; i++)
		if (!strcmp(scene->findings.not_judged[i].rule->id, id))
			return scene->findings.not_judged[i].why;
	return NULL;
}

const struct lp_remedy *scene_remedy(const struct lp_finding *finding, const char *word)
{
	for (size_t i = 0; i < finding->n_remedies; i++)
		if (strstr(finding->remedies[i].title, word))
			return &finding->remedies[i];
	return NULL;
}

double scene_becomes(const struct lp_remedy *remedy, const char *what)
{
	assert_non_null(remedy);
	for (size_t i = 0; i < remedy->n_changes; i++)
		if (!strcmp(remedy->changes[i].what, what))
			return remedy->changes[i].to;
	fail_msg("%s does not tell %s", remedy->title, what);
	return 0;
}

int scene_begin(void **state)
{
	scene_make(*state);
	return 0;
}

int scene_end(void **state)
{
	scene_done(*state);
	return 0;
}

const char *scene_step(const struct lp_remedy *remedy, const char *word)
{
	assert_non_null(remedy);
	for (size_t i = 0; i < remedy->steps.n; i++)
		if (strstr(remedy->steps.items[i], word))
			return remedy->steps.items[i];
	return NULL;
}
