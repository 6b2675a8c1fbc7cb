"""Fast evaluation of networks, in training and in simulations: loops for CPU and GPU, neighbour lists, potentials.

``fused`` says what is within reach; ``environment`` is differentiable, ``network_potential`` and ``gpu_potential`` are
for simulations, ``interaction`` is the drop-in for hippynn.
"""
