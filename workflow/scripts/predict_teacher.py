"""Predict all frames with a teacher, and check its forces against finite differences.

Inputs: beads, split, weights, settings. Outputs: predictions, check.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from cgdistill.beads import BeadFile
from cgdistill.console import job
from cgdistill.provenance import stamp
from cgdistill.tables import write_table

N_COMPONENTS = 24

with job(snakemake.log[0], snakemake.threads) as log:
    from cgdistill.frames import PairFrames
    from cgdistill.gradient_check import check_gradient
    from cgdistill.network import load_model
    from cgdistill.predictions import single_predictions, write_predictions
    from cgdistill.split import read_split
    from cgdistill.training import predict
    from cgdistill.training_job import choose_device

    params, output = snakemake.params, snakemake.output
    folder = Path(snakemake.input.weights).parent
    model, device = load_model(folder), choose_device(params.device)
    with BeadFile(snakemake.input.beads) as beads:
        types, everything = beads.topology.bead_types, np.arange(len(beads))
        frames = PairFrames.from_beads(beads, everything, model.spec.cutoff_A)
        tested = beads.frames(read_split(snakemake.input.split, len(beads)).test[:4])
    found = predict(model.to(device), frames, everything, params.batch_size, device)
    provenance = stamp({"batch_size": params.batch_size}, dict(snakemake.input.items()), seed=params.seed)
    predictions = single_predictions(folder.name, found["forces"], found["epsilon"], types)
    write_predictions(output.predictions, predictions, provenance)
    check = check_gradient([model.cpu()], tested, types, N_COMPONENTS, params.seed)
    log.info("forces against finite differences: %s", check)
    write_table(output.check, pd.DataFrame([{"teacher": folder.name, **check}]), provenance)
