# SPDX-License-Identifier: EUPL-1.2
# Completion of torg for bash. Commands and options are asked of torg itself,
# whose --help is the complete list, so that this file never falls behind it.

_torg_words() {
    "$1" "${@:2}" --help 2>/dev/null
}

_torg() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command=${COMP_WORDS[1]}
    local words=

    COMPREPLY=()
    if ((COMP_CWORD == 1)); then
        words=$(_torg_words "$1" | sed -n 's/^  \([a-z][a-z]*\) .*/\1/p')
        mapfile -t COMPREPLY < <(compgen -W "$words --help --version" -- "$word")
        return
    fi
    case $before in
    --collection) words="companies offers events jobs courses needs service-points places networks" ;;
    --format) words="geojson geojsonseq csv" ;;
    --kind) words="municipality company association region state" ;;
    --order) words="distance rank" ;;
    --facets) words="theme origin municipality collection" ;;
    --status) words="active suspended left" ;;
    --role) words="editor admin company" ;;
    esac
    if [[ -z $words && $word == -* ]]; then
        words=$(_torg_words "$1" "$command" | grep -oE -- '--[a-z][a-zA-Z-]*' | sort -u)
    elif [[ -z $words && COMP_CWORD -eq 2 ]]; then
        case $command in
        snapshot) words="export import" ;;
        peer) words="add remove list" ;;
        token) words="create list revoke" ;;
        collection) words="list delete" ;;
        member) words="add set list remove" ;;
        charter) words="show new sign take key" ;;
        esac
    fi
    # Without words of ours, bash goes on with the names of files.
    [[ -z $words ]] || mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -o bashdefault -o default -F _torg torg
