# Runs tcpdump at the link of a Pod, whose port OVN calls $1, until standard input ends: then nobody looks any more. tcpdump ends with this
# shell, too, however that ends.
port=$1
shift
link=$(ovs-vsctl --timeout=5 --bare --columns=name find Interface "external_ids:iface-id=$port") || exit
if [ -z "$link" ]; then
    echo "Pod $port has no link on its node" >&2
    exit 1
fi
exec 3<&0
setpriv --pdeathsig KILL tcpdump -Z root --immediate-mode -l -U -i "$link" "$@" 3<&- &
capture=$!
cat <&3 >/dev/null 2>&1 &
reader=$!
exec 3<&-
wait -n
kill "$reader" 2>/dev/null
if kill "$capture" 2>/dev/null; then
    # Where nobody takes what it has to write, it does not get to hear that.
    sleep 2 >/dev/null 2>&1 &
    limit=$!
    wait -n "$capture" "$limit"
    kill -KILL "$capture" "$limit" 2>/dev/null
fi
wait "$capture"
status=$?
exit $status
