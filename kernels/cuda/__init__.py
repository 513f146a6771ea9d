"""CUDA C: what the kernels for the GPU share, and the machinery that compiles, checks and launches them.

    source.py        a .cu file as one text, with what it says of itself
    launch.py        on a GPU through CuPy; on the CPU in tests
    on_cpu.py, .h    the same files run on the CPU
    resources.py     the committed table of registers and instructions
    *.cuh            what several .cu files include

The kernels themselves lie in the folders of their operations, beside the rungs for the CPU: `matmul/naive.cu`. Importing this
package compiles nothing and imports neither CuPy nor Numba.
"""
