"""The experiment itself: pretrain, fine-tune, score.

:mod:`.pretrain` trains encoders on a cohort (whose batches :mod:`.pretraining_task` draws), :mod:`.adapt` fine-tunes
them on labels, :mod:`.score` scores everyone who calibrates and tests. :mod:`.rendering` makes their images, and
:mod:`.batching` compiles one program for any number of cells, which run side by side.
"""
