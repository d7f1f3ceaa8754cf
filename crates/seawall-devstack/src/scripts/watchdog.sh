# Waits until the process that owns the stack is gone (standard input is a pipe
# of which only that process has the other end), then stops every server
# registered in the stack's directory and removes the directory.
#   $1 stack directory, $2 title of its PostgreSQL processes
trap '' INT TERM HUP QUIT
dir=$1 title=$2
while read -r _; do :; done
[ -d "$dir" ] || exit 0 # stopped in good order
: >"$dir/closed"        # launch.sh starts nothing from here on

# Sets mark to what identifies the process, state to Z if it is only a zombie.
parse() {
    mark=${1##*') '}
    set -- $mark
    state=$1
    mark=${20:-$mark}
}

# True while the process that registered under this id is alive.
alive() {
    read -r line <"$dir/run/$1" || return 1
    parse "$line"
    was=$mark
    if [ -d /proc/self ]; then
        read -r line <"/proc/$1/stat" || return 1
    else
        line=$(ps -o lstart= -p "$1") || return 1
    fi
    parse "$line"
    [ "$state" != Z ] && [ "$mark" = "$was" ]
}

registered() {
    for file in "$dir"/run/*; do
        alive "${file##*/}" && echo "${file##*/}"
    done
}

# PostgreSQL's own children; they name their cluster in their title.
backends() {
    if [ -d /proc/self ]; then
        grep -l "^postgres: $title" /proc/[0-9]*/cmdline | cut -d/ -f3
    else
        ps -axo pid=,command= | sed -n "s/^ *\([0-9]*\) postgres: $title.*/\1/p"
    fi
}

{
    for pid in $(registered); do
        kill -"$(sed -n 2p "$dir/run/$pid")" "$pid"
        kill -CONT "$pid" # a stopped server would not see the first signal
    done
    kill -CONT $(backends)
    tries=0
    while [ -n "$(registered)$(backends)" ] && [ $tries -lt 50 ]; do
        [ $tries -ge 20 ] && kill -KILL $(registered) $(backends)
        tries=$((tries + 1))
        sleep 0.1
    done
    rm -rf "$dir" || { sleep 0.2 && rm -rf "$dir"; }
} 2>/dev/null
