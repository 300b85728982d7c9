"""Network parts and the optimiser loop, shared by encoders, objectives, protocols and mitigations.

:mod:`.layers` has the layers of encoders and decoders behind pure functions, :mod:`.heads` linear heads and the solver
of logistic regression, :mod:`.views` random augmentation, :mod:`.optimisation` the compiled training loop of every
stage with the two task contracts it minimises (``TrainingTask``, ``ValidatedTask``), and :mod:`.xla_barriers` stops
XLA:CPU from computing a value more than once. Nothing here knows subgroups, studies or members of another room.
"""
