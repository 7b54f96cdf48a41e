# fish completion for ai_proxy: into ~/.config/fish/completions or
# /usr/share/fish/vendor_completions.d.

complete -c ai_proxy -f
complete -c ai_proxy -s c -l config -r -k -a '(__fish_complete_suffix .json)' -d 'the configuration'
complete -c ai_proxy -l check -d 'check the configuration, print it without secrets, and exit'
complete -c ai_proxy -l auto -d 'no file: use known variables and servers on this machine'
complete -c ai_proxy -l print -d 'with --auto: print what was found and exit'
complete -c ai_proxy -l doctor -d 'examine the providers and exit'
complete -c ai_proxy -l spend -d 'with --doctor: by chats of one token, too'
complete -c ai_proxy -l json -d 'with --doctor: for programs'
complete -c ai_proxy -l schema -d 'print the JSON Schema of the configuration and exit'
complete -c ai_proxy -s V -l version -d 'print the version and exit'
complete -c ai_proxy -s h -l help -d 'print the help and exit'
