#!/usr/bin/env bash
# SPDX-License-Identifier: EUPL-1.2
# The folders' rule: tools, tests -> daemon -> index -> protocol. A folder may
# include itself and what stands to its right; some libraries have one file.
# check_layers.sh [ROOT]; prints each breach, exit 1 if there was any.
set -u
root=${1:-$(cd "$(dirname "$0")/../.." && pwd)}
cd "$root" || exit 2
breaches=0

breach() {
    printf '%s\n' "$1"
    breaches=$((breaches + 1))
}

# refuse WHAT FOLDERS PATTERN [EXCEPT]: no include of PATTERN in FOLDERS but in EXCEPT.
refuse() {
    local hit
    while IFS= read -r hit; do
        [ -n "$hit" ] && breach "$1: $hit"
    done < <(grep -rnE --include='*.[ch]' "^[[:space:]]*#[[:space:]]*include[[:space:]]*[<\"]($3)" \
        $2 2>/dev/null | grep -vE "^(${4:-nothing})(:|\$)")
}

refuse "protocol includes only protocol" protocol '(index|daemon|tools|tests)/'
refuse "index includes only index and protocol" index '(daemon|tools|tests)/'
refuse "daemon includes no tools or tests" daemon '(tools|tests)/'
refuse "tools include no tests" tools 'tests/'
refuse "only index/store*.c see LMDB" "protocol index daemon tools" 'lmdb\.h' \
    'index/store(_journal\.c|_internal\.h|\.c)'
refuse "only index/geo.c and geo_transform.c see PROJ" "protocol index daemon tools" \
    '(proj|geodesic)\.h' 'index/geo(_transform)?\.c'
refuse "only index/postings.c sees CRoaring" "protocol index daemon tools" 'roaring/' \
    'index/postings\.c'
refuse "only index/shape_region.c and filter_space.c see GEOS" "protocol index daemon tools" \
    'geos(_c)?[./]' 'index/(shape_region|filter_space)\.c'
refuse "only index/filter_text.c sees utf8proc" "protocol index daemon tools" 'utf8proc\.h' \
    'index/filter_text\.c'
refuse "only index/text_stem.c sees libstemmer" "protocol index daemon tools" 'libstemmer\.h' \
    'index/text_stem\.c'
refuse "only protocol/frame_zip.c sees zstd" "protocol index daemon tools" 'zstd\.h' \
    'protocol/frame_zip\.c'
refuse "only daemon sees libevent" "protocol index tools" 'event2?/'
refuse "no socket, thread or TLS below daemon" "protocol index" \
    '(sys/socket|netinet/[a-z]+|arpa/inet|netdb|poll|sys/epoll|pthread|threads|openssl/[a-z0-9]+)\.h' \
    'index/store(_internal\.h|\.c)'
refuse "no disk in protocol" protocol '(fcntl|unistd|sys/stat|dirent)\.h'
while IFS= read -r hit; do
    [ -n "$hit" ] && breach "no clock below daemon: $hit"
done < <(grep -rnE --include='*.[ch]' \
    '\b(time|gettimeofday|clock_gettime|localtime(_r)?|gmtime(_r)?)[[:space:]]*\(' protocol index)

[ "$breaches" -eq 0 ] || exit 1
echo "layers: ok"
