"""Who says it: one module or package per subsystem of the kernel."""
