#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# Format, static analysis and scripts; build/ is there. Called by ./dev lint.
set -uo pipefail
cd "$(dirname "$(readlink -f "$0")")/.." || exit 1

failed=0

# verdict NAME STATUS
verdict() {
	if [[ $2 -eq 0 ]]; then
		printf 'ok      %s\n' "$1"
	else
		printf 'failed  %s\n' "$1"
		failed=1
	fi
}

# files PATTERN...: those of the checkout, not of a build.
files() {
	local patterns=(-false) pattern
	for pattern; do
		patterns+=(-o -name "$pattern")
	done
	find . -name .git -prune -o -name 'build*' -type d -prune -o -type f \( "${patterns[@]}" \) -print
}

formatted() {
	files '*.c' '*.h' | xargs clang-format --dry-run -Werror
}

compiled() {
	python3 -c 'import json
for file in sorted({each["file"] for each in json.load(open("build/compile_commands.json"))}):
	print(file)'
}

# One file a run: with several, clang-tidy 14 takes va_start() for unknown after the first. Its
# notes of how many warnings of system headers were left out say nothing.
tidied() (
	mapfile -t found < <(compiled)
	cd build || exit 1
	printf '%s\n' "${found[@]}" | xargs -P "$(nproc)" -n 1 clang-tidy -p . --quiet 2>&1 |
		grep -v 'warnings\? generated\.$'
	[[ ${PIPESTATUS[1]} -eq 0 ]]
)

# It knows neither the cleanup attribute, so it takes what is freed by it for lost (the sanitizers
# watch that), nor macros of other people's headers. Those of the lab and the tests are beyond it.
cppchecked() {
	cppcheck --project=build/compile_commands.json --file-filter='src/*' \
		--file-filter='bench/*' --quiet --std=c11 --error-exitcode=1 --inline-suppr \
		--enable=warning,performance,portability -j "$(nproc)" \
		--suppress=memleak --suppress=resourceLeak --suppress=unknownMacro
}

scripts() {
	local found
	mapfile -t found < <({
		printf '%s\n' ./dev ./.ci/run
		files '*.sh' '*.bash'
	} | sort -u)
	shellcheck "${found[@]}"
}

formatted
verdict 'clang-format' $?
tidied
verdict 'clang-tidy' $?
cppchecked
verdict 'cppcheck' $?
scripts
verdict 'shellcheck' $?
exit "$failed"
