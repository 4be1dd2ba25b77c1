#!/usr/bin/env bash
# SPDX-License-Identifier: EUPL-1.2
# The benchmarks' peers are built only where their libraries are installed. Everywhere: does
# every name of ours that they use (BENCH_X, bench_x, SERVER_X, server_x, http_load) stand in a
# header of the benchmarks, or in the file itself more than where it is used?
# check_bench_names.sh [ROOT]; prints each breach, exit 1 if there was any.
set -u
cd "${1:-$(cd "$(dirname "$0")/../.." && pwd)}/tests/bench" || exit 2
export LC_ALL=C
pattern='\<(BENCH|bench|SERVER|server|http_load)_[A-Za-z0-9_]*\>'

# Comments and strings may say what they like. So may names of files in includes.
code_of() {
    sed -E -e '/^[[:space:]]*#[[:space:]]*include/d' -e 's/"([^"\\]|\\.)*"//g' "$@" |
        sed -E -e 's,//.*,,' -e 's,/\*([^*]|\*[^/])*\*/,,g' -e '/\/\*/,/\*\//d'
}

# What a file defines or declares itself: #define NAME, or a function or struct at a line's
# beginning.
own_names() {
    code_of "$1" | grep -E '^[a-z#]' | grep -oE "$pattern" | sort -u
}

breaches=0
declared=$(code_of ./*.h | grep -oE "$pattern" | sort -u)
for file in *.c *.cpp; do
    while IFS= read -r name; do
        printf 'tests/bench/%s: no header of the benchmarks has %s\n' "$file" "$name"
        breaches=$((breaches + 1))
    done < <(comm -23 <(code_of "$file" | grep -oE "$pattern" | sort -u) \
        <(printf '%s\n' "$declared" "$(own_names "$file")" | sort -u))
done
[ "$breaches" -eq 0 ] || exit 1
echo "benchmarks' names: ok"
