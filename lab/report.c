/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lab/report.h"

#include <errno.h>
#include <string.h>

#include "lab/claim.h"

static const char *word(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));
	return text ? text : "";
}

/* An error of before has left nothing in errno by now. */
static int written(FILE *out)
{
	if (fflush(out) == EOF)
		return lp_errno();
	return ferror(out) ? -EIO : 0;
}

static const char *colour_of(const char *verdict)
{
	if (!strcmp(verdict, lab_verdict_name(LAB_CONFIRMED)))
		return "\033[32m";
	if (!strcmp(verdict, lab_verdict_name(LAB_REFUTED)))
		return "\033[31m";
	return "\033[33m";
}

/* Writes words up to a column, the next lines indented. ASCII only where the text is: by bytes. */
static void wrapped(const char *text, unsigned indent, unsigned width, FILE *out)
{
	unsigned column = indent;
	fprintf(out, "%*s", (int)indent, "");
	while (*text) {
		size_t length = strcspn(text, " ");
		if (column > indent && column + 1 + length > width) {
			fprintf(out, "\n%*s", (int)indent, "");
			column = indent;
		} else if (column > indent) {
			(void)fputc(' ', out);
			column++;
		}
		(void)fwrite(text, 1, length, out);
		column += (unsigned)length;
		text += length;
		text += strspn(text, " ");
	}
	(void)fputc('\n', out);
}

enum { INDENT = 11 };

static void one_result(const json_t *result, const struct lab_report_options *options, FILE *out)
{
	const char *verdict = word(result, "verdict");
	fprintf(out, "%s%-9s%s  %s\n", options->colour ? colour_of(verdict) : "", verdict,
	        options->colour ? "\033[0m" : "", word(result, "id"));
	wrapped(word(result, "claim"), INDENT, options->width, out);
	if (options->colour)
		(void)fputs("\033[2m", out);
	wrapped(word(result, "why"), INDENT, options->width, out);
	if (options->colour)
		(void)fputs("\033[0m", out);
}

static size_t count_verdict(const json_t *results, enum lab_verdict verdict)
{
	size_t i, n = 0;
	json_t *result;
	json_array_foreach(results, i, result) n +=
	        !strcmp(word(result, "verdict"), lab_verdict_name(verdict));
	return n;
}

int lab_report_text(const json_t *results, const struct lab_report_options *options, FILE *out)
{
	size_t i;
	json_t *result;
	json_array_foreach(results, i, result) one_result(result, options, out);
	fprintf(out, "\n%zu claims: %zu confirmed, %zu refuted, %zu depend, %zu not run\n",
	        json_array_size(results), count_verdict(results, LAB_CONFIRMED),
	        count_verdict(results, LAB_REFUTED), count_verdict(results, LAB_DEPENDS),
	        count_verdict(results, LAB_NOT_RUN));
	return written(out);
}

int lab_report_list(const struct lab_report_options *options, FILE *out)
{
	for (size_t i = 0; lab_claims[i]; i++) {
		fprintf(out, "%s\n", lab_claims[i]->id);
		wrapped(lab_claims[i]->claim, 4, options->width, out);
	}
	return written(out);
}

json_t *lab_report_list_json(void)
{
	json_t *claims = json_array();
	for (size_t i = 0; claims && lab_claims[i]; i++) {
		const struct lab_claim *c = lab_claims[i];
		json_array_append_new(claims, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:i}", "id",
		                                        c->id, "claim", c->claim, "source",
		                                        c->source, "experiment", c->experiment,
		                                        "confirms", c->confirms, "refutes",
		                                        c->refutes, "seconds", (int)c->seconds));
	}
	return json_pack("{s:i, s:o}", "schema", 1, "claims", claims);
}

/* A `|` would end the cell. */
static void cell(const char *text, FILE *out)
{
	for (; *text; text++) {
		if (*text == '|')
			(void)fputc('\\', out);
		(void)fputc(*text, out);
	}
}

static void details(const json_t *result, FILE *out)
{
	const struct lab_claim *c = lab_claim_find(word(result, "id"));
	fprintf(out, "\n## %s\n\n", word(result, "id"));
	fprintf(out, "*\"%s.\"*", word(result, "claim"));
	if (c)
		fprintf(out,
		        " — %s\n\n- **Experiment:** %s.\n- **Would confirm:** %s.\n"
		        "- **Would refute:** %s.\n",
		        c->source, c->experiment, c->confirms, c->refutes);
	fprintf(out, "- **Measured: %s.** %s.\n", word(result, "verdict"), word(result, "why"));
}

int lab_report_markdown(const json_t *document, FILE *out)
{
	const json_t *results = json_object_get(document, "claims");
	size_t i;
	json_t *result;
	fprintf(out,
	        "# Claims\n\nWhat people say about these limits, and what Linux %s answered. Made "
	        "by `lastport prove\n--markdown`; run it on your own kernel, since others may "
	        "answer otherwise.\n\n| claim | what people say | verdict |\n|---|---|---|\n",
	        word(document, "kernel"));
	json_array_foreach(results, i, result)
	{
		fprintf(out, "| [`%s`](#%s) | ", word(result, "id"), word(result, "id"));
		cell(word(result, "claim"), out);
		fprintf(out, " | %s |\n", word(result, "verdict"));
	}
	json_array_foreach(results, i, result) details(result, out);
	return written(out);
}

int lab_report_load(const char *path, json_t **ret, struct lp_error *err)
{
	FILE *in = fopen(path, "re");
	if (!in)
		return lp_fail(err, errno, "%s: %s", path, strerror(errno));
	json_error_t error;
	json_t *document = json_loadf(in, JSON_REJECT_DUPLICATES, &error);
	(void)fclose(in);
	if (!document)
		return lp_fail(err, EINVAL,
		               "%s:%d: %s; expected what `lastport prove --json` saved", path,
		               error.line, error.text);
	if (!json_is_array(json_object_get(document, "claims"))) {
		json_decref(document);
		return lp_fail(err, EINVAL,
		               "%s: no \"claims\"; expected what `lastport prove "
		               "--json` saved",
		               path);
	}
	*ret = document;
	return 0;
}

static const json_t *find(const json_t *document, const char *id)
{
	size_t i;
	json_t *result;
	json_array_foreach(json_object_get(document, "claims"), i,
	                   result) if (!strcmp(word(result, "id"), id)) return result;
	return NULL;
}

int lab_report_compare(const json_t *saved, const json_t *now, FILE *out)
{
	size_t i;
	json_t *result;
	int differ = 0;
	json_array_foreach(json_object_get(now, "claims"), i, result)
	{
		const char *id = word(result, "id");
		const json_t *before = find(saved, id);
		if (!before) {
			fprintf(out, "%s: not in the saved run; %s here\n", id,
			        word(result, "verdict"));
		} else if (strcmp(word(before, "verdict"), word(result, "verdict")) != 0) {
			differ++;
			fprintf(out, "%s: %s on %s, %s here (%s)\n  there: %s\n  here:  %s\n", id,
			        word(before, "verdict"), word(saved, "kernel"),
			        word(result, "verdict"), word(now, "kernel"), word(before, "why"),
			        word(result, "why"));
		}
	}
	int r = written(out);
	return r < 0 ? r : differ;
}
