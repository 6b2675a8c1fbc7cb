"""Settings of a simulation: defaults, conversion to steps, refusals.

Cannot detect that a setting is read but not used; the integration tests look at temperature, steps and limits.
"""

from __future__ import annotations

import pytest
from cgdistill.core.errors import InputError
from cgdistill.md.protocol import SimulationSpec


def test_published_protocol_is_the_default():
    """298.15 K, 100 fs, 2 fs, 1 ns of equilibration, 100 frames 5 ps apart."""
    spec = SimulationSpec.from_config({})
    assert (spec.temperature_K, spec.damping_fs, spec.timestep_fs, spec.ensemble) == (298.15, 100, 2, "nvt")
    assert spec.equilibration_steps == 500_000 and spec.total_steps == 750_000
    assert spec.production_ps / spec.frame_every_ps == 100


def test_nested_keys_and_numbers():
    """Parts may be given in part; whole numbers stand for floats; steps are rounded, not cut."""
    spec = SimulationSpec.from_config({"timestep_fs": 3, "limits": {"temperature_K": 900}, "equilibration_ps": 0})
    assert (spec.limits.temperature_K, spec.limits.check_every_steps) == (900.0, 100)
    assert spec.timestep_fs == 3.0 and spec.equilibration_steps == 0
    assert spec.steps(0.7) == 233 and SimulationSpec.from_config({}).steps(0.3 - 1e-12) == 150


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"timestep": 2.0}, "simulation.timestep: found an unknown key"),
        ({"limits": {"temp": 2.0}}, "simulation.limits.temp: found an unknown key"),
        ({"limits": 3}, "simulation.limits: found 3, expected a mapping"),
        ({"timestep_fs": 0}, "simulation.timestep_fs: found 0.0, expected a positive number"),
        ({"temperature_K": -1}, "simulation.temperature_K: found -1.0"),
        ({"temperature_K": float("nan")}, "simulation.temperature_K: found nan"),
        ({"temperature_K": "warm"}, "simulation.temperature_K: found 'warm', expected a number"),
        ({"checkpoint_every_steps": 10.5}, "simulation.checkpoint_every_steps: found 10.5, expected a whole"),
        ({"limits": {"check_every_steps": 0}}, "simulation.limits.check_every_steps: found 0"),
        ({"limits": {"check_every_steps": True}}, "simulation.limits.check_every_steps: found True"),
        (
            {"limits": {"force_kcal_mol_A": -1}},
            "simulation.limits.force_kcal_mol_A: found -1.0, expected a number that",
        ),
        ({"limits": {"energy_kcal_mol_bead": "no"}}, "simulation.limits.energy_kcal_mol_bead: found 'no'"),
        ({"limits": {"keep_frames": 2.5}}, "simulation.limits.keep_frames: found 2.5, expected a whole"),
        ({"minimise": {"max_iterations": -1}}, "simulation.minimise.max_iterations: found -1"),
        ({"coupling": "mpi"}, "simulation.coupling: found mpi, expected external or mliap"),
        ({"ensemble": "npt"}, "simulation.ensemble: found npt, expected nvt or nve"),
        ({"ensemble": 3}, "simulation.ensemble: found 3, expected a word"),
        ({"frame_every_ps": 0.0005}, "simulation.frame_every_ps: found 0.0005, expected at least a time step"),
    ],
)
def test_refusals_name_the_key(section, message):
    """A key that does not exist, or a value that makes no sense."""
    with pytest.raises(InputError) as caught:
        SimulationSpec.from_config(section, "my.yaml")
    assert str(caught.value).startswith("my.yaml: " + message)
