#!/usr/bin/env bash
# A sweep of `wink eval` in tasks of one shard each.
#
#   sweep.sh count CONF              how many tasks there are
#   sweep.sh show  CONF INDEX        what task INDEX (from 0) runs
#   sweep.sh task  CONF INDEX OUT    runs it; a task that is done already is left as it is
#   sweep.sh merge CONF OUT          a report for each run, from its shards
#
# CONF is a bash file that sets POLICIES, PRECISIONS, SEEDS, EPISODES, SHARDS and OPTIONS: see sweep.conf. WINK names the program.
set -euo pipefail

fail() {
    echo "sweep.sh: $*" >&2
    exit 2
}

[[ $# -ge 2 ]] || fail "give count, show, task or merge, and a configuration"
command=$1 conf=$2
[[ -r $conf ]] || fail "$conf: cannot be read"
POLICIES=() PRECISIONS=("") SEEDS=(0) EPISODES=100 SHARDS=1 OPTIONS=("")
# shellcheck source=/dev/null
source "$conf"
((${#POLICIES[@]} && ${#PRECISIONS[@]} && ${#SEEDS[@]} && ${#OPTIONS[@]} && SHARDS >= 1)) ||
    fail "$conf: POLICIES, PRECISIONS, SEEDS and OPTIONS need an entry each, SHARDS at least 1"
WINK=${WINK:-wink}

runs=$((${#POLICIES[@]} * ${#PRECISIONS[@]} * ${#SEEDS[@]} * ${#OPTIONS[@]}))
tasks=$((runs * SHARDS))

# Sets `arguments` and `name` of the run with this number. Shards of a run are neighbours.
run() {
    local rest=$1 policy precision seed options
    policy=${POLICIES[rest % ${#POLICIES[@]}]} rest=$((rest / ${#POLICIES[@]}))
    precision=${PRECISIONS[rest % ${#PRECISIONS[@]}]} rest=$((rest / ${#PRECISIONS[@]}))
    seed=${SEEDS[rest % ${#SEEDS[@]}]} rest=$((rest / ${#SEEDS[@]}))
    options=${OPTIONS[rest]}
    read -ra arguments <<<"$options"
    arguments+=(--policy "$policy" --seed "$seed" --episodes "$EPISODES")
    [[ -z $precision ]] || arguments+=(--precision "$precision")
    # The checksum tells runs of different options apart, and those of a configuration that has changed since.
    name=$(basename "$policy")${precision:+-$precision}-seed$seed-$(cksum <<<"${arguments[*]}" | cut -d " " -f 1)
}

# Checks the number of a task and sets `shard` and those of its run.
task() {
    if ! [[ $1 =~ ^[0-9]+$ ]] || ((10#$1 >= tasks)); then
        fail "task \"$1\": there are 0 to $((tasks - 1))"
    fi
    run $((10#$1 / SHARDS))
    shard=$((10#$1 % SHARDS + 1))
}

case $command in
count) echo "$tasks" ;;
show)
    task "${3:-}"
    echo "$name shard $shard/$SHARDS: $WINK eval ${arguments[*]}"
    ;;
task)
    task "${3:-}"
    out=${4:?give the folder for the results}/$name/shard-$shard
    # The folder appears when the shard is done: a task that was killed has left none and starts again.
    if [[ -e $out/shard.json ]]; then
        echo "$out: done already"
        exit
    fi
    exec "$WINK" eval "${arguments[@]}" --shard "$shard/$SHARDS" --out "$out"
    ;;
merge)
    out=${3:?give the folder with the results}
    for ((index = 0; index < runs; index++)); do
        run "$index"
        shards=()
        for ((shard = 1; shard <= SHARDS; shard++)); do
            shards+=("$out/$name/shard-$shard")
        done
        "$WINK" merge "${shards[@]}" --out "$out/$name/all" --force
        # What killed tasks left.
        rm -rf "$out/$name"/.shard-*.partial
    done
    ;;
*) fail "$command: give count, show, task or merge" ;;
esac
