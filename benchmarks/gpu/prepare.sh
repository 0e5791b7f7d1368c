#!/usr/bin/env bash
# Set up a machine with one H100, torch for CUDA 13 and no network: Slipway from its bundle, a serving environment that
# "somebody else made", and a random model in its true layout. Run as root, in a folder that holds
#   slipway.tar.gz   made by `slipway bundle slipway.tar.gz --python 3.12`
#   site.txz         a site-packages tree with vLLM 0.25.1 (CUDA 13) and Ray 2.60.0 for Python 3.12
#   tokenizer/       tokenizer.json, tokenizer_config.json, generation_config.json, config.json of the demo's model
# TORCH_PYTHON is the interpreter that has torch.
set -euo pipefail
torch_python=${TORCH_PYTHON:-$(command -v python3)}
ldconfig /usr/local/nvidia/lib64 2>/dev/null || true

mkdir -p /opt/site
tar -xJf site.txz -C /opt/site &
tar -xzf slipway.tar.gz
PYTHON=$(readlink -f "$torch_python") slipway/install
wait

"$(readlink -f "$torch_python")" -m venv --without-pip /opt/serve
printf '%s\n' /opt/site "$("$torch_python" -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')" \
  > "$(/opt/serve/bin/python -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')/adopted.pth"
# compiled at once by all cores, not by each first import
/opt/serve/bin/python -m compileall -q -j 0 /opt/site > /dev/null &

/opt/serve/bin/python -c 'import torch, vllm, ray; print("vLLM", vllm.__version__, "Ray", ray.__version__, "torch", torch.__version__)'

/opt/serve/bin/python slipway/benchmarks/gpu/random_llama.py --out /mnt/models/random-llama-8b --tokenizer tokenizer
wait
cp slipway/benchmarks/gpu/{h100,h100-pair,h100-apart}.yaml slipway/include/deployments/
