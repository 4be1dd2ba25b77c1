#!/usr/bin/env bash
# SPDX-License-Identifier: EUPL-1.2
# check_texts.py must see a text without Swedish, wherever it is made, and an entry that is wrong.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

changed() { # FILE SCRIPT: the sources with one thing changed by sed
    rm -rf "${scratch:?}"/*
    (cd "$here/../.." && cp -R --parents daemon/*.c protocol/*.c index/*.c "$scratch")
    sed -i -z "$2" "$scratch/$1"
    if cmp -s "$scratch/$1" "$here/../../$1"; then
        echo "check_texts: $2 changes nothing in $1" >&2
        exit 1
    fi
    if python3 "$here/check_texts.py" "$scratch" >/dev/null; then
        echo "not found: $2 in $1" >&2
        exit 1
    fi
}

python3 "$here/check_texts.py" "$here/../.."
changed daemon/http_write.c 's/The body must be a JSON object/The body must be another thing/'
changed daemon/http_params.c 's/must be true or false/is neither of the two/'
changed protocol/listing_check.c 's/must not be negative/is below nought/'
changed protocol/listing_value.c 's/must be digits/has letters in it/'
changed protocol/cql2_text.c 's/"LIKE, BETWEEN or IN"/"LIKE or IN"/'
changed protocol/listing.c 's/the title that people see/what people see/'
changed index/shape_parse.c 's/something follows its end/more follows/'
changed daemon/http_reply.c 's/{410, "Gone"}/{410, "Lost"}/'
changed daemon/http_texts_table.c 's/Innehållet får ha högst {} byte/Innehållet är för stort/'
changed daemon/http_texts_table.c 's/"är tom"/""/'
changed daemon/http_texts_table.c 's/{"is empty"/{"is quite empty", "är helt tom"},\n    &/'
echo "check_texts: every text without its other language was found"
