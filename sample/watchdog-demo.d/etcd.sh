# shellcheck shell=bash
# shellcheck disable=SC2034,SC2154 # variables are shared with the other parts
#
# Part of sample/watchdog-demo: the members of etcd.

etcd_hosts() {
    local number hosts=
    for number in 0 1 2; do
        hosts=$hosts${hosts:+,}$(place_address "etcd$number"):2379
    done
    printf '%s' "$hosts"
}

etcd_peers() {
    local number peers=
    for number in 0 1 2; do
        peers=$peers${peers:+,}etcd$number=http://$(place_address "etcd$number"):2380
    done
    printf '%s' "$peers"
}

# Heartbeats for one machine's network: so its leader's loss is noticed in half a second.
run_etcd() {
    local place=$1 address
    address=$(place_address "$place")
    inside "$place" setsid runuser -u postgres -- etcd --name "$place" \
        --data-dir "$dir/$place" \
        --listen-client-urls "http://$address:2379" \
        --advertise-client-urls "http://$address:2379" \
        --listen-peer-urls "http://$address:2380" \
        --initial-advertise-peer-urls "http://$address:2380" \
        --initial-cluster "$(etcd_peers)" --initial-cluster-token "$NAME" \
        --heartbeat-interval 50 --election-timeout 500 \
        >>"$dir/$place.log" 2>&1 </dev/null 8>&- 9>&- &
}

etcd_control() {
    inside client env ETCDCTL_API=3 etcdctl --endpoints "$(etcd_hosts)" \
        --dial-timeout=2s --command-timeout=3s "$@"
}

etcd_healthy() { etcd_control get nothing; }

start_etcd() {
    local number place
    step 'Starting three members of etcd'
    for number in 0 1 2; do
        place=etcd$number
        server_dir "$dir/$place" 0700
        : >>"$dir/$place.log"
        if [ -n "$(place_pids "$place")" ]; then
            say "    $place: runs already"
        else
            say "    $place: starting on $(place_address "$place"):2379"
            run_etcd "$place"
        fi
    done
    wait_for 'waiting until they agree' 60 "$dir/etcd0.log" etcd_healthy
}

stop_etcd() {
    local number
    for number in 0 1 2; do
        place_signal TERM "etcd$number"
    done
    wait_for 'etcd: stopping' 20 "$dir/etcd0.log" etcd_gone
}

etcd_gone() { [ -z "$(place_pids etcd0)$(place_pids etcd1)$(place_pids etcd2)" ]; }
