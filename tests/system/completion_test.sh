#!/bin/bash
# SPDX-License-Identifier: EUPL-1.2
# What bash offers must be what torg takes: completion that lags behind teaches options away.
set -eu
torg=$1
. "$(dirname "$0")/../../tools/completion/torg.bash"

offers() { # expected word, then the words typed; the last one is being completed
    local expected=$1
    shift
    COMP_WORDS=("$torg" "$@")
    COMP_CWORD=$#
    _torg "$torg"
    printf '%s\n' "${COMPREPLY[@]}" | grep -qxF -- "$expected" || {
        echo "after \"torg $*\": $expected is not among: ${COMPREPLY[*]}"
        exit 1
    }
}
offers import im
offers verify ""
offers --dry-run import --d
offers --repair verify --r
offers import snapshot i
offers --new-epoch charter new --new-
offers --threshold charter new --thr
offers sign charter s
offers service-points export --collection s
offers revoke token r
offers delete collection d
offers remove member r
offers suspended member set Umea --status s
offers --openAt query --open
offers csv import --format c
offers rank query --order r
offers municipality query --facets m
COMP_WORDS=("$torg" import some)
COMP_CWORD=2
_torg "$torg"
((${#COMPREPLY[@]} == 0)) || { echo "files must be left to bash: ${COMPREPLY[*]}"; exit 1; }
echo "[  PASSED  ] 1 test: completion"
