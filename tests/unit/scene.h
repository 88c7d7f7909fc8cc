/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * A machine made by hand, for the rules: healthy until a test breaks something. Limits and
 * forecasts are the real ones.
 */

#include "finding/finding.h"
#include "limit/kinds.h"

enum { SCENE_ROOM = 64 };

struct scene {
	struct lp_snapshot *snapshot;
	struct lp_netns *netns; /* the only one, until a test adds another */
	struct lp_limits limits;
	struct lp_forecast *forecasts;
	struct lp_findings findings;
};

/* One namespace with Debian's sysctls, nothing in it. */
void scene_make(struct scene *scene);
void scene_done(struct scene *scene);

/* The same before and after each test: one that has a scene. Their state is it. */
int scene_begin(void **state);
int scene_end(void **state);
#define SCENE_CASE(function, scene) \
	cmocka_unit_test_prestate_setup_teardown(function, scene_begin, scene_end, &(scene))

/* A pool of 10.0.0.1 to `remote`:80, whose TIME_WAITs were made evenly over the last minute. */
struct lp_pool *scene_pool(struct scene *scene, const char *remote, uint16_t established,
                           uint16_t time_wait);
/* The same for a client of the listener 10.0.0.1:80. */
struct lp_pool *scene_client(struct scene *scene, const char *client, uint16_t established,
                             uint16_t time_wait);
struct lp_listener *scene_listener(struct scene *scene, const char *address, uint16_t port);

/* Judges anew. */
void scene_judge(struct scene *scene);
/* The first limit of that kind, of when it was judged; NULL where there is none. */
const struct lp_limit *scene_limit(const struct scene *scene, const struct lp_limit_kind *kind);
/* The finding of that id, also one that another explains; NULL where there is none. */
const struct lp_finding *scene_find(const struct scene *scene, const char *id);
/* Fails the test unless the finding is there, and well made. */
const struct lp_finding *scene_must(const struct scene *scene, const char *id);
/* Fails the test where there is any. */
void scene_fine(struct scene *scene);
/* Why a rule was not judged, or NULL. */
const char *scene_not_judged(const struct scene *scene, const char *id);
/* The remedy whose title has the word; NULL where there is none. */
const struct lp_remedy *scene_remedy(const struct lp_finding *finding, const char *word);
/* The first step of it that has the word; NULL where there is none. */
const char *scene_step(const struct lp_remedy *remedy, const char *word);
/* Fails the test unless the remedy changes that figure, and gives what it becomes. */
double scene_becomes(const struct lp_remedy *remedy, const char *what);
