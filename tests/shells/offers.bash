# What bash offers for the last of some words: offers.bash COMPLETIONS WORD...
# `compopt` needs a completion under way, so it is a function here.
source "$1"
shift
compopt() { :; }
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
complete -p ai_proxy >/dev/null
_ai_proxy
printf '%s\n' "${COMPREPLY[@]}"
