"""Predict the test frames with a student of the ensemble.

Inputs: beads, split, weights, settings. Outputs: predictions.
"""

from pathlib import Path

import numpy as np
from cgdistill.beads import BeadFile
from cgdistill.console import job
from cgdistill.provenance import stamp
from cgdistill.split import read_split

with job(snakemake.log[0], snakemake.threads):
    from cgdistill.frames import PairFrames
    from cgdistill.network import load_model
    from cgdistill.predictions import single_predictions, write_predictions
    from cgdistill.training import predict
    from cgdistill.training_job import choose_device

    params = snakemake.params
    model, device = load_model(Path(snakemake.input.weights).parent), choose_device(params.device)
    with BeadFile(snakemake.input.beads) as beads:
        types, test = beads.topology.bead_types, read_split(snakemake.input.split, len(beads)).test
        frames = PairFrames.from_beads(beads, test, model.spec.cutoff_A)
    found = predict(model.to(device), frames, np.arange(len(test)), params.batch_size, device)
    predictions = single_predictions(snakemake.wildcards.student, found["forces"], found["epsilon"], types)
    settings = {"frames": "test", "batch_size": params.batch_size}
    write_predictions(snakemake.output.predictions, predictions, stamp(settings, dict(snakemake.input.items())))
