# Registers its own process id, then becomes the server: however early the
# parent dies, whoever cleans up finds the id or this script finds `closed`.
#   $1 stack directory, $2 signal that stops the server, then its command line
# The first line of the record says which process had the id: Linux's
# /proc/PID/stat (of which field 22, the start time, counts), else ps's lstart.
dir=$1 signal=$2
shift 2
if [ -d /proc/self ]; then
    read -r line </proc/$$/stat || exit 1
else
    line=$(ps -o lstart= -p $$)
fi
printf '%s\n%s\n' "$line" "$signal" >"$dir/run/$$" || exit 1
[ -e "$dir/closed" ] && exit 1
exec "$@"
