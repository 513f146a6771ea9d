"""Runs kernels under a sanitizer; the process must have been started with the sanitizer's library loaded.

python tests/cuda/under_sanitizer.py address cases       every case of cuda_cases.py, once
python tests/cuda/under_sanitizer.py thread cases        the same with a thread of the system for each thread of a block
python tests/cuda/under_sanitizer.py address KERNEL      one of faults.cu
"""

from __future__ import annotations

import sys
from pathlib import Path

import conv_cases
import cuda_cases
import layer_cases
import numpy as np
import pass_cases

from minigen.kernels.cuda import on_cpu
from minigen.kernels.cuda.launch import launch

if __name__ == "__main__":
    sanitizer, what = sys.argv[1:]
    with on_cpu.running(sanitizer=sanitizer):
        if what == "cases":
            print(
                sum(
                    case(sanitizer)
                    for case in (*cuda_cases.MATRIX_CASES, *conv_cases.cases(), *layer_cases.cases(), *pass_cases.cases())
                )
            )
        else:
            faults = str(Path(__file__).parent / "faults.cu")
            y = np.zeros(1000, np.float32)  # larger than what NumPy keeps back for later
            by = 990 if what == "write_beyond" else 10
            launch(faults, what, (1,), (64,), y, by, shared=256)
