"""Pretrain, fine-tune and score a batch of cells.

Reading order: :mod:`.pretraining_task` (the loss of one pretraining step, and where its batch comes from),
:mod:`.pretrain` (train encoders, stage by stage), :mod:`.adapt` (fine-tune them on labels), :mod:`.score` (log-odds of
the calibration and test subjects). Three modules support these: :mod:`.rendering` renders and encodes sets of subjects
in chunks, :mod:`.batching` has one program for any number of cells, and :mod:`.compilation` has it compiled by one of
the processes that need it.

Every function takes a *batch* of cells of one structure: each array has a leading axis over cells, written ``w`` in
shapes. The result of a cell does not depend on the other cells. Nothing here names a member of a room: conditions
bring their generator, encoder, objective, protocol and mitigation, which provide what :mod:`biasprop.interfaces` says.
"""
