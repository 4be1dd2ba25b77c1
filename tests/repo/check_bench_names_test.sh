#!/usr/bin/env bash
# SPDX-License-Identifier: EUPL-1.2
# check_bench_names.sh must see the macro that was once missing, and a function that is gone.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

without() { # NAME FILE: its declaration taken out of that header
    rm -rf "${scratch:?}/tests"
    mkdir -p "$scratch/tests"
    cp -R "$here/../bench" "$scratch/tests/bench"
    sed -i "/$1/d" "$scratch/tests/bench/$2"
    if "$here/check_bench_names.sh" "$scratch" >/dev/null; then
        echo "not found: $2 without $1" >&2
        exit 1
    fi
}

without BENCH_LON_SCALE bench.h
without server_http_get server_http.h
echo "check_bench_names: every missing name was found"
