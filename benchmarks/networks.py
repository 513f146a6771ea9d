"""The convolutions of the reference configurations, for the benchmarks of both devices: the DCGAN's and the U-Net's."""

from __future__ import annotations

Images = tuple[tuple[tuple[int, int, int, int], int, int, int, int], ...]
NETWORKS: Images = (  # x (N, H, W, C), side of the kernel, channels out, stride, padding
    ((64, 28, 28, 1), 4, 64, 2, 1),  # dcgan and wgan_gp; as a transposed convolution the last of the generator
    ((64, 14, 14, 64), 4, 128, 2, 1),
    ((32, 28, 28, 1), 3, 32, 1, 1),  # ddpm
    ((32, 28, 28, 32), 3, 32, 1, 1),
    ((32, 28, 28, 32), 3, 32, 2, 1),
    ((32, 14, 14, 32), 3, 64, 1, 1),
    ((32, 14, 14, 64), 3, 64, 1, 1),
    ((32, 14, 14, 64), 3, 64, 2, 1),
    ((32, 7, 7, 64), 3, 64, 1, 1),
    ((32, 7, 7, 128), 3, 64, 1, 1),
    ((32, 14, 14, 128), 3, 64, 1, 1),
    ((32, 28, 28, 96), 3, 32, 1, 1),
    ((32, 28, 28, 96), 1, 32, 1, 0),
    ((32, 28, 28, 32), 3, 1, 1, 1),
)
