#!/usr/bin/env bash
# SPDX-License-Identifier: EUPL-1.2
# A rule that nothing can break checks nothing: plant one breach of each kind.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

planted() { # FILE LINE
    rm -rf "${scratch:?}"/*
    mkdir -p "$scratch"/{protocol,index,daemon,tools,tests}
    printf '%s\n' "$2" >"$scratch/$1"
    if "$here/check_layers.sh" "$scratch" >/dev/null; then
        echo "not found: $1: $2" >&2
        exit 1
    fi
}

planted protocol/a.c '#include "index/store.h"'
planted index/a.c '#include "daemon/log.h"'
planted daemon/a.c '#include "tools/cli.h"'
planted tools/a.c '#include "tests/support/test.h"'
planted index/a.c '#include <lmdb.h>'
planted daemon/a.c '#  include <proj.h>'
planted index/rtree.c '#include <geodesic.h>'
planted index/shape.c '#include <geos_c.h>'
planted index/a.c '#include <event2/event.h>'
planted protocol/a.c '#include <pthread.h>'
planted protocol/a.c '#include <unistd.h>'
planted index/a.c 'now = time(NULL);'
echo "check_layers: every planted breach was found"
