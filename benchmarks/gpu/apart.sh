#!/usr/bin/env bash
# After prepare.sh, in the same folder, on a machine with two GPUs, `ip` and `sshd`: a foreign process on a GPU, then two hosts
# of one GPU each: a wrong interface, the whole deployment, teardown.
#   apart.sh OUT
set -uo pipefail
out=$1
# shellcheck source=benchmarks/gpu/steps.sh
source "$(dirname "$0")/steps.sh"
python3 tests/testbed/hosts.py up > "$out/hosts.json" || exit 1

/opt/serve/bin/python -c 'import time, torch; held = torch.zeros(2 << 30, dtype=torch.uint8, device="cuda:1"); time.sleep(150)' &
foreign=$!
job foreign-process h100-pair 120 --job preflight
kill -0 "$foreign" && note "the foreign process $foreign still runs"
kill "$foreign"; wait "$foreign"

AIRFLOW_HOME=.slipway/airflow .slipway/venv/bin/airflow connections import .slipway/hosts/connections.json
sed 's/NCCL_SOCKET_IFNAME: eth0/NCCL_SOCKET_IFNAME: ibs108/; s/^name: .*/name: h100-wrong/' include/deployments/h100-apart.yaml \
  > include/deployments/h100-wrong.yaml
job wrong-interface h100-wrong 60 --job preflight
job deploy h100-apart 480 --conf '{"seconds": 10}'
keep_log .slipway/hosts/slipway-h1/srv/slipway h100-apart vllm-deploy
nvidia-smi > "$out/nvidia-smi-serving.txt"
job teardown h100-apart 120 --job teardown
nvidia-smi > "$out/nvidia-smi-after.txt"
finish h100-apart
