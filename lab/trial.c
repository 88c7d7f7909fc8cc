/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lab/trial.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"

const char *lab_verdict_name(enum lab_verdict verdict)
{
	static const char *const names[] = {
	        [LAB_NOT_RUN] = "not-run",
	        [LAB_CONFIRMED] = "confirmed",
	        [LAB_REFUTED] = "refuted",
	        [LAB_DEPENDS] = "depends",
	};
	return names[verdict];
}

const struct lab_claim *lab_claim_find(const char *id)
{
	for (size_t i = 0; lab_claims[i]; i++)
		if (!strcmp(lab_claims[i]->id, id))
			return lab_claims[i];
	return NULL;
}

int lab_trial_begin(struct lab_trial *trial, const struct lab_claim *claim,
                    const struct lab_turn *turn)
{
	*trial = (struct lab_trial){.claim = claim, .turn = turn};
	trial->measured = json_object();
	trial->current = trial->measured;
	return trial->measured ? 0 : -ENOMEM;
}

void lab_trial_end(struct lab_trial *trial)
{
	json_decref(trial->measured);
}

json_t *lab_trial_json(const struct lab_trial *trial)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:O}", "id", trial->claim->id, "claim",
	                 trial->claim->claim, "verdict", lab_verdict_name(trial->verdict), "why",
	                 trial->why, "measured", trial->measured);
}

int lab_trial_ns(struct lab_trial *trial, struct lab_ns *ret)
{
	struct lab_ns ns = LAB_NS_NONE;
	int r = lab_ns_make(&ns, &trial->err);
	for (size_t i = 0; r == 0 && trial->turn && trial->turn->sysctls[i].path; i++)
		r = lab_sysctl(&ns, &trial->err, trial->turn->sysctls[i].path, "%s",
		               trial->turn->sysctls[i].value);
	if (r < 0) {
		lab_ns_done(&ns);
		return r;
	}
	*ret = ns;
	return 0;
}

bool lab_turned(const struct lab_trial *trial, const char *flag)
{
	return trial->turn && trial->turn->flag && !strcmp(trial->turn->flag, flag);
}

double lab_seconds_since(const struct lab_trial *trial, int64_t start_ns)
{
	double scale = trial->turn && trial->turn->clock > 0 ? trial->turn->clock : 1;
	return (double)(lp_clock_ns() - start_ns) / 1e9 * scale;
}

struct lp_error *lab_error(struct lab_trial *trial)
{
	return &trial->err;
}

void lab_measured(struct lab_trial *trial, const char *name, double value)
{
	/* three digits after the point are as much as a run of this kind can tell */
	json_object_set_new(trial->current, name, json_real(round(value * 1000) / 1000));
}

void lab_counted(struct lab_trial *trial, const char *name, int64_t value)
{
	json_object_set_new(trial->current, name, json_integer(value));
}

void lab_saw(struct lab_trial *trial, const char *name, bool value)
{
	json_object_set_new(trial->current, name, json_boolean(value));
}

void lab_told(struct lab_trial *trial, const char *name, const char *value)
{
	json_object_set_new(trial->current, name, json_string(value));
}

void lab_case(struct lab_trial *trial, const char *name)
{
	trial->current = trial->measured;
	if (!name)
		return;
	if (!trial->cases) {
		trial->cases = json_object();
		json_object_set_new(trial->measured, "cases", trial->cases);
	}
	json_t *figures = json_object();
	if (json_object_set_new(trial->cases, name, figures) == 0)
		trial->current = figures;
}

static void give_verdict(struct lab_trial *trial, enum lab_verdict verdict, const char *why,
                         va_list args)
{
	trial->verdict = verdict;
	(void)vsnprintf(trial->why, sizeof(trial->why), why, args);
}

int lab_verdict(struct lab_trial *trial, enum lab_verdict verdict, const char *why, ...)
{
	va_list args;
	va_start(args, why);
	give_verdict(trial, verdict, why, args);
	va_end(args);
	return 0;
}

int lab_verdict_if(struct lab_trial *trial, bool holds, const char *why, ...)
{
	va_list args;
	va_start(args, why);
	give_verdict(trial, holds ? LAB_CONFIRMED : LAB_REFUTED, why, args);
	va_end(args);
	return 0;
}

int lab_not_run(struct lab_trial *trial, const char *why, ...)
{
	va_list args;
	va_start(args, why);
	give_verdict(trial, LAB_NOT_RUN, why, args);
	va_end(args);
	return 0;
}
