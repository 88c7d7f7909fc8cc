/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Makes text that others chose (a command, a file name) safe to print: control characters and
 * bytes that are not UTF-8 become '?'. In place; the length stays.
 */
void lp_utf8_clean(char *text);
