# What zsh offers for a line, one a line: offers.zsh DIRECTORY LINE
# A shell in a pseudo-terminal gets the line and a key that lists instead of inserting.
zmodload zsh/zpty
zpty inner zsh -f -i
quiet() { zpty -w inner "$1"; }
quiet "PS1= PS2= RPS1=; stty -echo rows 50 columns 200; unsetopt zle_bracketed_paste prompt_cr prompt_sp"
quiet "fpath=(${(q)1} \$fpath); autoload -Uz compinit; compinit -D -u"
quiet 'zstyle ":completion:*" list-colors ""; zstyle ":completion:*" verbose no'
# Every match goes out between two marks; nothing is inserted.
quiet 'compadd() {
    local -a found
    local name
    builtin compadd -O found "$@"
    for name in $found; do
        print -r -- "<<$name>>"
    done
    builtin compadd "$@"
}'
quiet 'offer() { print -r -- "<<begin>>"; zle complete-word; print -r -- "<<end>>"; BUFFER=; zle .accept-line }'
quiet 'zle -C complete-word .list-choices _main_complete; zle -N offer; bindkey "^X" offer; print "<<ready>>"'
wait_for() {
    local piece
    text=
    while zpty -r inner piece; do
        text+=$piece
        [[ $text == *$1* ]] && return
    done
}
wait_for $'\n<<ready>>'
zpty -w -n inner "$2"$'\x18'
wait_for '<<end>>'
print -r -- "$text" | grep -o '<<[^>]*>>' | grep -v '<<begin>>\|<<end>>\|<<ready>>' | tr -d '<>'
zpty -d inner
