#!/usr/bin/env bash
# After prepare.sh, in the same folder, on a machine with two GPUs: tensor parallel 2 over Ray, a rank killed in service, a foreign
# process on a GPU, a wrong interface, the sweep over mp and pipeline parallel 2, two hosts of one GPU each.
#   pair.sh OUT
set -uo pipefail
out=$1
cd slipway || exit 1
slipway=.slipway/venv/bin/slipway
export COLUMNS=160
mkdir -p "$out"

# job NAME FILE [ARGUMENT ...]: one run of a DAG
job() {
  echo "== $1 $(date +%T)" | tee -a "$out/steps.txt"
  timeout 480 $slipway up "include/deployments/$2.yaml" "${@:3}" > "$out/$1.txt" 2>&1
  echo "$1: exit code $?" | tee -a "$out/steps.txt"
  cp .slipway/airflow/slipway.db "$out/"
}

keep_log() { cp "/var/lib/slipway/agents/$1.vllm/log" "$out/$2.log" 2>/dev/null; }

nvidia-smi topo -m > "$out/topology.txt"
job deploy h100-pair
keep_log h100-pair vllm-deploy

# One rank of the running engine: a Ray worker of this deployment on the second GPU, by its own pid.
rank=$(nvidia-smi --id=1 --query-compute-apps=pid --format=csv,noheader | head -1)
echo "== kill rank $rank ($(tr '\0' ' ' < "/proc/$rank/cmdline")) $(date +%T)" | tee -a "$out/steps.txt"
.slipway/venv/bin/python benchmarks/gpu/ask.py http://127.0.0.1:8000 llama-8b > "$out/asked-killed-rank.txt" &
asking=$!
sleep 2
kill -KILL "$rank"
sleep 15
for _ in $(seq 100); do
  .slipway/venv/bin/python benchmarks/gpu/ask.py http://127.0.0.1:8000 llama-8b once && break
  sleep 2
done
kill -INT $asking; wait $asking
keep_log h100-pair vllm-killed-rank
job after-killed-rank h100-pair --job benchmark --conf '{"users": [100], "seconds": 10}'
job sweep h100-pair --job sweep
keep_log h100-pair vllm-sweep
job teardown h100-pair --job teardown
nvidia-smi > "$out/nvidia-smi-after.txt"

/opt/serve/bin/python -c 'import time, torch; held = torch.zeros(2 << 30, dtype=torch.uint8, device="cuda:1"); time.sleep(40)' &
foreign=$!
sleep 12
job foreign-process h100-pair --job preflight
kill "$foreign"; wait "$foreign"
sed 's/NCCL_SOCKET_IFNAME: lo/NCCL_SOCKET_IFNAME: ibs108/; s/^name: .*/name: h100-wrong/' include/deployments/h100-apart.yaml \
  > include/deployments/h100-wrong.yaml
job wrong-interface h100-wrong
job apart h100-apart
keep_log h100-apart vllm-apart
job teardown-apart h100-apart --job teardown
for name in h100-pair h100-apart; do
  $slipway results $name --runs 20 > "$out/results-$name.txt"
done
nvidia-smi > "$out/nvidia-smi-end.txt"
cp .slipway/airflow/slipway.db "$out/"
tar -czf "$out/evidence.tar.gz" .slipway/airflow/slipway-artifacts .slipway/airflow/logs 2>/dev/null
echo "== end $(date +%T)" | tee -a "$out/steps.txt"
