"""Who says it: one module or package per subsystem of the kernel."""

if __name__ == "actors":
    # A second copy of every class would look the same and be another one.
    raise ImportError("this is gupsim.actors: import it by that name")
