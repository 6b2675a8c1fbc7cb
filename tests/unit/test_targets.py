"""Register of the training targets: declared and computed, and what follows for one that is added."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from cgdistill.config.students import read_students
from cgdistill.config.targets import TARGETS, Target, active_weights, complete_weights
from cgdistill.core.errors import InputError
from cgdistill.forcefield.trainable import ModelOutput
from cgdistill.training.loss import Objective
from cgdistill.training.metrics import metrics_table
from cgdistill.training.predictions import single_predictions
from cgdistill.training.targets import COMPUTATIONS, Computation, teacher_values

TYPES = np.array([0, 1, 1])


def test_every_target_is_declared_once_and_computed():
    assert list(COMPUTATIONS) == list(TARGETS)
    for values in zip(*((t.weight_column, t.symbol, t.file_part.casefold()) for t in TARGETS.values()), strict=True):
        assert len(set(values)) == len(TARGETS)
    assert all(target.name == name for name, target in TARGETS.items())


def test_torch_and_numpy_give_the_same_values():
    rng = np.random.default_rng(1)
    output = ModelOutput(rng.normal(size=(4, 3, 3)), rng.normal(size=(4, 3)))
    for name, computation in COMPUTATIONS.items():
        expected = computation.of_model(output)
        found = computation.of_model(ModelOutput(*map(torch.as_tensor, output)))
        np.testing.assert_allclose(found.numpy(), expected, err_msg=name)
        assert (expected.shape[:2] == (4, 3)) == TARGETS[name].per_bead


def test_a_model_reaches_the_values_of_itself_as_teacher():
    """All that a teacher predicts, computed from the same output: equal but for the constants per type."""
    rng = np.random.default_rng(2)
    output = ModelOutput(rng.normal(size=(4, 3, 3)), rng.normal(size=(4, 3)) + np.array([5.0, -3.0])[TYPES])
    values = teacher_values(single_predictions("a", output, TYPES))
    assert list(values) == ["f", "E", "epsilon"]
    assert (metrics_table(values, output, TYPES, ("a", "b")).rmse < 1e-6).all()


def test_weights_by_target():
    assert complete_weights({"f": 1}) == {"F": 0.0, "f": 1.0, "E": 0.0, "epsilon": 0.0}
    assert list(active_weights({"epsilon": 1, "F": 2, "E": 0})) == ["F", "epsilon"]
    with pytest.raises(InputError, match="found torque, expected only F, f, E, epsilon"):
        complete_weights({"torque": 1.0})


def test_a_target_that_is_added_is_known_everywhere(monkeypatch):
    """Squared forces, say: from its two entries follow loss, criterion and metrics."""
    added = Target("f2", "f²", "squared forces", "(kcal/mol/A)^2", "w_f2", False, True, "kd2")
    monkeypatch.setitem(TARGETS, "f2", added)
    computation = Computation(
        lambda output: output.forces_kcal_mol_A**2, lambda predictions: predictions.forces_kcal_mol_A**2
    )
    monkeypatch.setitem(COMPUTATIONS, "f2", computation)
    output = ModelOutput(torch.full((1, 3, 3), 2.0), torch.zeros(1, 3))
    plain = ModelOutput(*(values.numpy() for values in output))
    assert teacher_values(single_predictions("a", plain, TYPES))["f2"].tolist() == [[[4.0] * 3] * 3]
    objective = Objective.constant({"f2": 2.0})
    loss, terms = objective.evaluate([output], [{"f2": torch.ones(1, 3, 3)}], [1])
    assert loss.tolist() == [12.0] and list(terms) == ["f2"]
    assert objective.criterion.value(plain, {"f2": np.ones((1, 3, 3))}) == 12.0
    table = metrics_table({"f2": np.ones((1, 3, 3))}, plain, TYPES, ("a", "b"))
    assert table.mae.tolist() == [3.0] * 3 and set(table.unit) == {added.unit}


def test_columns_of_the_table_are_those_of_the_register(root):
    header = (root / "config/students.tsv").read_text(encoding="utf-8").splitlines()[0].split("\t")
    assert header[3:] == [target.weight_column for target in TARGETS.values()]
    assert all(list(student.weights) == list(TARGETS) for student in read_students(root / "config/students.tsv"))
