#!/usr/bin/env bash
# Everything to be recorded on a machine with an accelerator, into a folder, a part at a time:
#
#   tests/benchmarks/on_device.sh OUT [study|bench|bf16|pytorch|paper]...     (all of them, in this order)
#
# study    wall time of the whole of skin_tone, then again into another folder with its programs compiled (5 minutes on
#          an H200 are expected, most of it compilation)
# bench    throughput against width, fraction of the ceiling, compile time, memory (minutes a width: compilation)
# bf16     the same with bfloat16 products and float32 sums, and how far scores move
# pytorch  side by side with PyTorch on the same device (skipped where torch has no CUDA)
# paper    wall time of skin_tone --scale paper
#
# PYTHON names the interpreter (python3). Every part leaves its own file, so a part that was cut off is run again alone.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
out=${1:?give the folder to write into}
shift
parts=("$@")
[ ${#parts[@]} -gt 0 ] || parts=(study bench bf16 pytorch paper)
python=${PYTHON:-python3}
study=studies/skin_tone.toml
mkdir -p "$out"
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH} XDG_CACHE_HOME=${XDG_CACHE_HOME:-$out/cache}

"$python" -c 'import jax; print(jax.devices())' | tee "$out/devices.txt"
nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv 2>/dev/null | tee -a "$out/devices.txt" || true

timed() { # name, command...: its wall time, output and exit code
  local name=$1 began=$EPOCHREALTIME code=0
  shift
  "$@" >"$out/$name.out" 2>"$out/$name.err" || code=$?
  echo "$name $(awk "BEGIN { print $EPOCHREALTIME - $began }") s, exit code $code" | tee -a "$out/wall.txt"
}

for part in "${parts[@]}"; do
  case $part in
    study)
      timed study "$python" -m biasprop.run $study --out "$out/results" --json
      timed study-again "$python" -m biasprop.run $study --out "$out/again" --json
      ;;
    bench) timed bench "$python" -m biasprop.bench $study --json ;;
    bf16)
      smoke=(-m biasprop.run $study --smoke --json -q)
      timed smoke "$python" "${smoke[@]}" --out "$out/float32"
      JAX_DEFAULT_MATMUL_PRECISION=bfloat16 timed smoke-bf16 "$python" "${smoke[@]}" --out "$out/bfloat16"
      JAX_DEFAULT_MATMUL_PRECISION=bfloat16 timed bench-bf16 \
        "$python" -m biasprop.bench $study --only stages --only ceilings --json
      ;;
    pytorch)
      if "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
        # Both sides have processes on the device at once: neither may take all of its memory.
        XLA_PYTHON_CLIENT_PREALLOCATE=false timed side-by-side \
          "$python" -m tests.benchmarks.side_by_side $study --device cuda --steps 0.2 --cells 5 --repeats 2 --json
        for width in 8 32; do
          XLA_PYTHON_CLIENT_PREALLOCATE=false timed "side-by-side-$width" \
            "$python" -m tests.benchmarks.side_by_side $study --device cuda --only stages --width $width --json
        done
      else
        echo "pytorch skipped: no torch with CUDA here" | tee -a "$out/wall.txt"
      fi
      ;;
    paper) timed paper "$python" -m biasprop.run $study --scale paper --out "$out/results" --json ;;
    *)
      echo "$part: there is no such part; study, bench, bf16, pytorch, paper" >&2
      exit 2
      ;;
  esac
done
