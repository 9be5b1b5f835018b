# What scenarios of containers share; to be sourced. A project and an image of its own, patience, the command line
# inside a container, and the removal of all that was made.
# shellcheck shell=bash

readonly patience_s=120

has_docker() { docker info && { docker-compose version || docker compose version; }; } >/dev/null 2>&1

if ! has_docker; then
    echo "SKIPPED: no Docker engine with compose answers. NOTHING WAS CHECKED by $0." >&2
    exit 0
fi

scratch=$(mktemp -d)
# All that prints the time of day says the same.
export TZ=UTC
export COMPOSE_PROJECT_NAME=hapi-scenario-$$
export HAPI_IMAGE_NAME=hapi-registry:scenario-$$
export HAPI_IMAGE_STAGE=ready
export HAPI_IMAGE_READY=target/image.tar
export HAPI_SECRET_FILE=$scratch/cluster-secret
# An address without a port: the engine takes a free one for each container.
export HAPI_PUBLISH=127.0.0.1:

compose() {
    if command -v docker-compose >/dev/null; then docker-compose "$@"; else docker compose "$@"; fi
}

say() { printf '\n== %(%T)T %s\n' -1 "$*"; }

fail() {
    echo "error: $*" >&2
    exit 1
}

clean_up() {
    local status=$?
    [[ $status == 0 ]] || compose logs --no-color --tail "${log_lines:-40}" || true
    for process in "${background[@]}"; do
        kill "$process" 2>/dev/null || true
        wait "$process" 2>/dev/null || true
    done
    compose down --volumes --timeout 5 >"$scratch/down" 2>&1 || cat "$scratch/down"
    docker image rm --force "$HAPI_IMAGE_NAME" >/dev/null 2>&1 || true
    rm -rf "$scratch"
}
# Processes that end with the scenario.
background=()
trap clean_up EXIT

# wait_until REASON COMMAND…: looks until the command succeeds.
wait_until() {
    local reason=$1 end=$((SECONDS + patience_s))
    shift
    until "$@"; do
        ((SECONDS < end)) || fail "waited ${patience_s} s in vain until $reason"
        sleep 0.2
    done
}

# containers [FILTER…]: the ids of this project's containers.
containers() {
    docker ps --quiet --filter "label=com.docker.compose.project=$COMPOSE_PROJECT_NAME" "${@/#/--filter=}"
}

are_healthy() { [[ $(containers health=healthy | wc -l) == "$1" ]]; }

# The container's user reads it; the folder keeps everybody else out.
make_secret() {
    head --bytes 32 /dev/urandom | base64 >"$HAPI_SECRET_FILE"
    chmod 0444 "$HAPI_SECRET_FILE"
}

# bootstrap NODE: the first token, by the cluster secret.
bootstrap() {
    docker exec "$1" /hapi-registry bootstrap --peer 127.0.0.1:7080 --secret-file /run/secrets/cluster_secret
}

# on NODE TOKEN ARGUMENT…: the command line inside a container. The token is passed on by name, so that no process
# list shows it.
on() {
    local node=$1
    export HAPI_TOKEN=$2
    shift 2
    docker exec --interactive --env HAPI_TOKEN "$node" /hapi-registry "$@" </dev/null
}

# status NODE EXPRESSION: a Python expression over the node's `status` of the cluster.
status() {
    on "$1" "$operator" cluster status --output json |
        python3 -c 'import json, sys; status = json.load(sys.stdin); print(eval(sys.argv[1]))' "$2"
}

is_leader() { [[ $(status "$1" 'status["node"]["role"]') == leader ]]; }

find_leader() {
    for node in "${nodes[@]}"; do
        if is_leader "$node"; then
            leader=$node
            return
        fi
    done
    return 1
}
