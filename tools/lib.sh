# SPDX-License-Identifier: EUPL-1.2
# Shared by the scripts in tools/: source it, do not run it.
# shellcheck shell=bash

torg_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

say() {
    printf '\033[1m%s\033[0m\n' "$*" | if [ -t 1 ]; then cat; else sed $'s/\033\\[[0-9]*m//g'; fi
}

die() {
    printf '%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# packages GROUP...: the names of these groups, from the one list.
packages() {
    local group
    for group in "$@"; do
        awk -v group="$group" '$1 == group { print $2 }' "$torg_root/tools/packages.txt"
    done
}

# missing_packages GROUP...: those that are not installed.
missing_packages() {
    local name
    for name in $(packages "$@"); do
        dpkg-query -W -f '${Status}' "$name" 2>/dev/null | grep -q 'ok installed' || echo "$name"
    done
}

# install_packages GROUP...: what is missing, or the line that an administrator must run.
install_packages() {
    local missing
    command -v dpkg-query >/dev/null || die "this script installs Debian packages; on another system install the counterparts of tools/packages.txt and build with meson"
    missing=$(missing_packages "$@" | tr '\n' ' ')
    [ -n "$missing" ] || return 0
    if [ "$(id -u)" != 0 ]; then
        die "packages are missing; run this, then start again:
  sudo apt-get update && sudo apt-get install --no-install-recommends -y $missing"
    fi
    say "Installing: $missing"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq || die "apt-get update failed: are the package sources reachable?"
    # shellcheck disable=SC2086
    apt-get install -qq -y --no-install-recommends $missing >"${TMPDIR:-/tmp}/torg-apt.log" 2>&1 || {
        tail -n 20 "${TMPDIR:-/tmp}/torg-apt.log" >&2
        die "apt-get install failed; its output is in ${TMPDIR:-/tmp}/torg-apt.log"
    }
}

# build DIR [meson setup options]: configure if needed, then build everything, or what TARGETS
# names; quiet unless it fails.
build() {
    local directory=$1
    shift
    if [ ! -f "$directory/build.ninja" ]; then
        (cd "$torg_root" && meson setup "$directory" "$@" >"$directory.log" 2>&1) || {
            cat "$directory.log" >&2
            die "meson setup failed"
        }
        rm -f "$directory.log"
    fi
    # shellcheck disable=SC2086
    ninja -C "$directory" ${TARGETS:-} >"$directory/build.log" 2>&1 || {
        tail -n 40 "$directory/build.log" >&2
        die "the build failed; its whole output is in $directory/build.log"
    }
}
