/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/*
 * Fails the test unless the file beside this one has just this text. UPDATE_GOLDEN=1 writes it anew
 * instead.
 */
void golden_compare(const char *name, const char *text);
