"""What is measured of a trained model: at a training's end, and by `genbench evaluate`."""

EVAL_BATCH = 500  # images scored at once
EVAL_MOST = 2_000  # of a split, for the losses of a model that is judged by its samples
EVAL_SEED = 0  # of noise and samples while training: the same at every epoch and in every run
