"""What a manuscript needs from the results: figures, numbers, methods. Run ``python -m paper.make``."""
