/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* --colour and --width: the same in every command that writes text for people. */

#include "cli/command.h"

enum { KEY_COLOUR = 0x10000, NARROWEST = 40, WIDEST = 1000 };

static const struct argp_option options[] = {
        {"colour", KEY_COLOUR, "WHEN", 0, "'auto' (the default), 'always' or 'never'", 0},
        {"color", 0, NULL, OPTION_ALIAS, NULL, 0},
        {"width", 'w', "COLUMNS", 0, "columns to write for; else the terminal's", 0},
        {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct style *style = state->input;
	switch (key) {
	case KEY_COLOUR:
		style->colour = option_when(state, arg);
		return 0;
	case 'w':
		style->width = (unsigned)option_count(state, "width", arg, NARROWEST, WIDEST);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp argp = {.options = options, .parser = parse};

const struct argp_child style_child[] = {{.argp = &argp}, {0}};

struct lastport_text_options style_text(const struct style *style, unsigned rows)
{
	struct lastport_text_options text = LASTPORT_TEXT_OPTIONS_INIT;
	text.width = style->width ? style->width : output_width();
	text.colour = output_colour(style->colour);
	text.unicode = output_unicode();
	text.rows = rows;
	return text;
}
