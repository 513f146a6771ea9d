"""Writes a network of a trained run as a small file: its parameters and its layers' state by path, in float16.

minigen train dcgan --data glyphs --set width=32 --set latents=32 --out runs/lesson-02
python lessons/weights/make.py runs/lesson-02 lessons/weights/02_dcgan.safetensors
minigen train ddpm --set data.size=16 --set width=16 --set classes=10 --batch 32 --rate 2e-3 --steps 900 --out runs/lesson-04
python lessons/weights/make.py runs/lesson-04 lessons/weights/04_ddpm.safetensors net
minigen train glow --set levels=3 --set steps=6 --set width=64 --set data.size=16 --steps 14000 --rate 2.5e-3 \\
    --out runs/lesson-05
    (stopped after step 8,418, an hour on a busy core)
python lessons/weights/anneal.py runs/lesson-05 700
python lessons/weights/make.py runs/lesson-05 lessons/weights/05_glow.safetensors flow
minigen train ebm --data mnist
python lessons/weights/make.py runs/ebm-mnist lessons/weights/06_ebm.safetensors energy
python -m benchmarks.pixelcnn_mnist
python lessons/weights/make.py runs/gated_pixelcnn_mnist lessons/weights/07_gated_pixelcnn.safetensors net
minigen train wavenet
python lessons/weights/make.py runs/wavenet-plucked lessons/weights/12_wavenet.safetensors net
minigen train char_wavenet
python lessons/weights/make.py runs/char_wavenet-grammar lessons/weights/12_char_wavenet.safetensors net

Where a run keeps running averages of its parameters, those are written.
"""

import sys
from contextlib import ExitStack

import numpy as np
from safetensors.numpy import save_file

from minigen.training import load_model

if __name__ == "__main__":
    run, out, network = (*sys.argv[1:], "generator")[:3]
    model, settings, step, _ = load_model(run)
    net = model.nets[network]
    made = {
        "command": f"minigen train {settings.model} --data {settings.data} --batch {settings.batch} --rate {settings.rate:g}",
        "options": str(settings.options),
        "data_options": str(settings.data_options),
        "step": str(step),
    }
    with ExitStack() as stack:
        for average in model.averages.values():
            stack.enter_context(average.swapped())
        arrays = dict(net.named(network))
        for path, node in net.walk(network):
            arrays |= {f"{path}.{name}": value for name, value in node.state.items()}
        save_file({name: np.ascontiguousarray(a, np.float16) for name, a in arrays.items()}, out, metadata=made)
    print(f"{out}: {len(arrays)} arrays, {sum(a.size for a in arrays.values()):,} numbers, step {step:,}")
