"""Pure array functions, imported as `minigen.kernels`: one folder per operation, one file per rung."""
