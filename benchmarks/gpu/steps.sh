# shellcheck shell=bash
# Sourced by the scripts that measure, in the folder of `slipway/`, with `out` set: what each of their steps is.
: "${out:?}"
cd slipway || exit 1
slipway=.slipway/venv/bin/slipway
export COLUMNS=160
mkdir -p "$out"

note() { echo "$* $(date +%T)" | tee -a "$out/steps.txt"; }

# job NAME FILE SECONDS [ARGUMENT ...]: one run of a DAG
job() {
  note "== $1"
  timeout "$3" $slipway up "include/deployments/$2.yaml" "${@:4}" > "$out/$1.txt" 2>&1
  note "$1: exit code $?"
  cp .slipway/airflow/slipway.db "$out/"
}

# keep_log ROOT DEPLOYMENT NAME: the server's log
keep_log() { cp "$1/agents/$2.vllm/log" "$out/$3.log" 2>/dev/null; }

# finish DEPLOYMENT ...: the figures of each, and what the runs kept
finish() {
  for name in "$@"; do $slipway results "$name" --runs 20 > "$out/results-$name.txt"; done
  tar -czf "$out/evidence.tar.gz" .slipway/airflow/slipway-artifacts .slipway/airflow/logs 2>/dev/null
  note "== end"
}
