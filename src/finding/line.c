/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "finding/line.h"

#include <ctype.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/number.h"

enum { LAST_PORT = 65535 };

/* The text in small letters, cut at LP_LINE_LONGEST; words of the tables are compared with it. */
struct text {
	const char *plain; /* as it came, cut like the other */
	char *small;
	size_t length;
};

static bool is_word(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

static char small(char c)
{
	return (char)tolower((unsigned char)c);
}

/* Where words (of any case) are at `from` or after; NULL: nowhere. */
static const char *find(const char *from, const char *words)
{
	size_t length = strlen(words);
	for (; *from; from++) {
		size_t i = 0;
		while (i < length && from[i] == small(words[i]))
			i++;
		if (i == length)
			return from;
	}
	return NULL;
}

/* ---- the error ---------------------------------------------------------------------------------
 */

/* A name stands alone: not a part of a longer word. */
static bool has_name(const struct text *text, const char *name)
{
	size_t length = strlen(name);
	for (const char *at = text->small; (at = find(at, name)); at++)
		if ((at == text->small || !is_word(at[-1])) && !is_word(at[length]))
			return true;
	return false;
}

static bool has_message(const struct text *text, const struct lp_error_name *error)
{
	for (int i = 0; i < 4 && error->messages[i]; i++)
		if (find(text->small, error->messages[i]))
			return true;
	return false;
}

/* "errno 99", "os error 99)", "code: 99": a number right behind one of these words. */
static bool number_follows(const struct text *text, const char *word, int number)
{
	for (const char *at = text->small; (at = find(at, word)); at++) {
		const char *digits = at + strlen(word);
		digits += strspn(digits, " =:(");
		uint64_t n;
		if (lp_number_parse(&digits, INT_MAX, &n) == 0 && n == (uint64_t)number &&
		    !is_word(*digits))
			return true;
	}
	return false;
}

/* "(99)" and "(99:" */
static bool number_in_parentheses(const struct text *text, int number)
{
	for (const char *at = strchr(text->small, '('); at; at = strchr(at + 1, '(')) {
		const char *digits = at + 1;
		uint64_t n;
		if (lp_number_parse(&digits, INT_MAX, &n) == 0 && n == (uint64_t)number &&
		    (*digits == ')' || *digits == ':'))
			return true;
	}
	return false;
}

static bool has_number(const struct text *text, int number)
{
	return number_follows(text, "errno", number) || number_follows(text, "error", number) ||
	       number_follows(text, "code", number) || number_in_parentheses(text, number);
}

/* A name says most, then a message, then a number. */
static const char *find_error(const struct text *text)
{
	for (const struct lp_error_name *error = lp_error_names; error->name; error++)
		if (has_name(text, error->name))
			return error->name;
	for (const struct lp_error_name *error = lp_error_names; error->name; error++)
		if (has_message(text, error))
			return error->name;
	for (const struct lp_error_name *error = lp_error_names; error->name; error++)
		if (error->number > 1 && has_number(text, error->number))
			return error->name;
	return NULL;
}

/* ---- who and what ------------------------------------------------------------------------------
 */

static enum lp_call find_call(const struct text *text)
{
	for (const struct lp_call_words *words = lp_call_words; words->words; words++)
		if (find(text->small, words->words))
			return words->call;
	return LP_CALL_ANY;
}

static const struct lp_program_words *find_program(const struct text *text)
{
	for (const struct lp_program_words *words = lp_program_words; words->words; words++)
		if (find(text->small, words->words))
			return words;
	return NULL;
}

static const struct lp_symptom *find_symptom(const struct text *text, const struct lp_line *line)
{
	for (const struct lp_phrase *phrase = lp_phrases; phrase->words; phrase++)
		if (find(text->small, phrase->words))
			return lp_symptom_find(phrase->symptom);
	return line->error ? lp_symptom_of(line->error, line->call) : NULL;
}

/* "nginx[812]:" of syslog, "812#812:" of nginx, "pid 812" and "pid=812". */
static pid_t find_pid(const struct text *text)
{
	static const struct {
		const char *before, *after;
	} forms[] = {{"pid ", ""}, {"pid=", ""}, {"pid:", ""}, {"[", "]:"}, {"] ", "#"}};
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++)
		for (const char *at = text->small; (at = find(at, forms[i].before)); at++) {
			const char *digits = at + strlen(forms[i].before);
			uint64_t n;
			if (lp_number_parse(&digits, 1 << 22, &n) == 0 && n > 0 &&
			    !is_word(*digits) &&
			    !strncmp(digits, forms[i].after, strlen(forms[i].after)))
				return (pid_t)n;
		}
	return 0;
}

/* ---- the destination ---------------------------------------------------------------------------
 */

/* An address in the line, and how much speaks for its being the destination. */
struct place {
	struct lp_address address;
	uint16_t port;
	int score;
};

static bool ends_with(const struct text *text, const char *at, const char *words)
{
	size_t length = strlen(words);
	if ((size_t)(at - text->plain) < length)
		return false;
	const char *before = text->small + (at - text->plain) - length;
	for (size_t i = 0; i < length; i++)
		if (before[i] != small(words[i]))
			return false;
	return true;
}

/* What stands right before an address tells what it is of. */
static int score_of(const struct text *text, const char *at)
{
	static const struct {
		const char *before;
		int score;
	} words[] = {{"upstream: \"", 9},    {"://", 5},         {"->", 6},
	             {"remote address:", 6}, {" to ", 4},        {"dial tcp ", 4},
	             {"dial udp ", 4},       {"host ", 3},       {"host='", 3},
	             {"host=\"", 3},         {"host \"", 3},     {"server on '", 3},
	             {"at \"", 3},           {"at ", 3},         {"/", 2},
	             {"client: ", -9},       {"local (", -9},    {"server: ", -2},
	             {"accept tcp ", -5},    {"listen tcp ", -1}};
	int best = 0;
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (ends_with(text, at, words[i].before) && abs(words[i].score) > abs(best))
			best = words[i].score;
	/* an URL as the upstream: the scheme stands between */
	if (best == 5 && (ends_with(text, at, "upstream: \"http://") ||
	                  ends_with(text, at, "upstream: \"https://")))
		best = 9;
	return best;
}

/* "port 80", "port=80", "port', 80": the next number after the word, close behind. */
static uint16_t port_behind(const char *at)
{
	enum { CLOSE = 64 };
	char next[CLOSE];
	size_t i = 0;
	for (; i + 1 < sizeof(next) && at[i]; i++)
		next[i] = small(at[i]);
	next[i] = '\0';
	const char *digits = find(next, "port");
	if (!digits)
		return 0;
	digits += strcspn(digits, "0123456789");
	uint64_t port;
	if (lp_number_parse(&digits, LAST_PORT, &port) < 0)
		return 0;
	return (uint16_t)port;
}

/* Copies what may belong to an address from `at` on; how many bytes. */
static size_t copy_token(const char *at, char *buf, size_t size)
{
	size_t n = 0;
	while (n + 1 < size && at[n] && (isxdigit((unsigned char)at[n]) || strchr(".:[]", at[n])))
		n++;
	memcpy(buf, at, n);
	buf[n] = '\0';
	return n;
}

/* At the end of a sentence or before a message stand '.' and ':' that are no part of it. */
static void trim_token(char *token)
{
	size_t n = strlen(token);
	while (n && (token[n - 1] == '.' || token[n - 1] == ':' ||
	             (token[n - 1] == ']' && !strchr(token, '['))))
		token[--n] = '\0';
}

static bool parse_place(const struct text *text, const char *at, struct place *ret)
{
	char token[LP_ADDRESS_TEXT];
	size_t length = copy_token(at, token, sizeof(token));
	trim_token(token);
	if (!strpbrk(token, ".:"))
		return false;
	*ret = (struct place){.score = score_of(text, at)};
	if (lp_address_port_parse(token, &ret->address, &ret->port) == 0)
		ret->score++;
	else if (lp_address_parse(token, &ret->address) == 0)
		ret->port = port_behind(at + length);
	else
		return false;
	return !lp_address_is_any(&ret->address);
}

/* Not inside of a word or number; behind a colon only where that is no part of an address. */
static bool may_begin(const struct text *text, const char *at)
{
	if (!isxdigit((unsigned char)*at) && !strchr(":[", *at))
		return false;
	if (at == text->plain)
		return true;
	if (at[-1] == ':')
		return isdigit((unsigned char)*at) && at[strspn(at, "0123456789")] == '.';
	return !is_word(at[-1]) && at[-1] != '.' && at[-1] != '[';
}

static void find_destination(const struct text *text, struct lp_line *line)
{
	struct place best = {.score = -1};
	for (const char *at = text->plain; at < text->plain + text->length; at++) {
		struct place place;
		if (may_begin(text, at) && parse_place(text, at, &place) &&
		    place.score > best.score)
			best = place;
	}
	if (best.score < 0)
		return;
	line->address = best.address;
	line->port = best.port;
}

/* ---- everything
 * ---------------------------------------------------------------------------------*/

void lp_line_read(const char *text, struct lp_line *ret)
{
	struct text line = {.length = strnlen(text, LP_LINE_LONGEST)};
	char *plain = strndup(text, line.length);
	*ret = (struct lp_line){0};
	line.plain = plain;
	line.small = plain ? strdup(plain) : NULL;
	if (line.small) {
		for (char *c = line.small; *c; c++)
			*c = small(*c);
		ret->error = find_error(&line);
		ret->call = find_call(&line);
		ret->program = find_program(&line);
		ret->symptom = find_symptom(&line, ret);
		ret->pid = find_pid(&line);
		find_destination(&line, ret);
	}
	free(line.small);
	free(plain);
}
