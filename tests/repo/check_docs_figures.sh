#!/usr/bin/env bash
# SPDX-License-Identifier: EUPL-1.2
# The tables of docs/performance.md show what docs/figures/ holds, and nothing typed by hand.
set -eu
cd "$(dirname "$0")/../.."
shopt -s nullglob
figures=(docs/figures/*.tsv)
[ ${#figures[@]} -eq 0 ] || python3 tests/bench/table.py --check docs/performance.md "${figures[@]}"
