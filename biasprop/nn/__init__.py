"""What networks and their training are made of: layers, heads, views, and the one optimiser loop.

:mod:`.layers` has the parts of encoders and decoders, :mod:`.heads` linear heads and the solver of a probe,
:mod:`.views` random views of images, :mod:`.optimisation` the compiled training loop of every stage, and
:mod:`.xla_barriers` keeps XLA:CPU from computing a thing twice. Encoders, objectives and protocols are made of these.
"""
