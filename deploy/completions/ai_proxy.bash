# bash completion for ai_proxy
#
#     sudo cp ai_proxy.bash /usr/share/bash-completion/completions/ai_proxy
#
# or source this file in ~/.bashrc.

_ai_proxy() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
    COMPREPLY=()
    # bash cuts --config=FILE into three words.
    if [ "$word" = = ]; then
        before=$before= word=
    elif [ "$before" = = ]; then
        before=${COMP_WORDS[COMP_CWORD - 2]}=
    fi
    case $before in
        -c | --config | --config=)
            compopt -o filenames
            mapfile -t COMPREPLY < <(compgen -f -X '!*.json' -- "$word"; compgen -d -- "$word")
            ;;
        *)
            mapfile -t COMPREPLY < <(
                compgen -W '-c --config --check --doctor --spend --json --auto --print --schema -V --version -h --help' -- "$word")
            ;;
    esac
}

complete -F _ai_proxy ai_proxy
