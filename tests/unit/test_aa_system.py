"""The all-atom system's topology, box and structure files; no engine runs here."""

import subprocess
from dataclasses import replace

import numpy as np
import pytest
from cgdistill.aa.gro import Structure, read_gro, write_gro
from cgdistill.aa.system import SystemSpec, build_box, included_files, read_molecule, write_topology
from cgdistill.core.errors import InputError


@pytest.fixture
def section(root):
    """Config section aa.system: 2 choline, 2 chloride, 4 urea."""
    opls = root / "resources" / "opls-des"
    rows = [("CHOL", 2, "choline"), ("Cl", 2, "chloride"), ("UREA", 4, "urea")]
    return {
        "molecules": [
            {
                "name": name,
                "count": count,
                "structure": str(opls / f"{stem}.pdb"),
                "topology": str(opls / f"{stem}.itp"),
            }
            for name, count, stem in rows
        ],
        "force_field": [str(opls / "forcefield.itp")],
        "cell_A": [16.0, 16.0, 16.0],
        "packing_tolerance_A": 1.5,
    }


def test_topology_includes_files_by_paths_relative_to_itself(section, root, tmp_path, monkeypatch):
    """The paths must lead to the files from the topology's folder, whatever the working directory.

    Cannot tell whether GROMACS accepts the file (the integration tests do).
    """
    monkeypatch.chdir(root)
    section["force_field"] = ["resources/opls-des/forcefield.itp"]
    top = tmp_path / "a" / "b" / "system.top"
    write_topology(SystemSpec.from_config(section), top)
    includes = [line.split('"')[1] for line in top.read_text().splitlines() if line.startswith("#include")]
    assert len(includes) == 4 and not any(include.startswith("/") for include in includes)
    monkeypatch.chdir(tmp_path)
    names = [path.name for path in included_files(top)]
    assert names == ["system.top", "forcefield.itp", "choline.itp", "chloride.itp", "urea.itp"]
    rows = top.read_text().split("[ molecules ]")[1].split()
    assert rows == ["CHOL", "2", "Cl", "2", "UREA", "4"]


def test_charged_system_is_refused(section, tmp_path):
    """One chloride too few leaves +0.8 e, which Ewald sums would hide behind a background charge."""
    section["molecules"][1]["count"] = 1
    with pytest.raises(InputError, match=r"net charge of \+0\.800 e \(2 CHOL, 1 Cl, 4 UREA\), expected 0 e"):
        write_topology(SystemSpec.from_config(section), tmp_path / "system.top")
    assert not (tmp_path / "system.top").exists()


def test_force_field_has_the_charges_of_its_publication(root):
    """Charges scaled to +-0.8 e, neutral urea, atom names unique within a molecule."""
    opls = root / "resources" / "opls-des"
    for stem, name, n_atoms, charge in (
        ("choline", "CHOL", 21, 0.8),
        ("chloride", "Cl", 1, -0.8),
        ("urea", "UREA", 8, 0.0),
    ):
        molecule = read_molecule(opls / f"{stem}.itp", name)
        assert len(set(molecule.atom_names)) == len(molecule.atom_names) == n_atoms
        assert sum(molecule.charges_e) == pytest.approx(charge, abs=1e-9)
        assert "[ pairs ]" not in (opls / f"{stem}.itp").read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s["molecules"][0].update(count=0), "molecules.CHOL.count: found 0"),
        (lambda s: s.update(cell_A=[10.0, 10.0]), r"cell_A: found \[10.0, 10.0\], expected three edges"),
        (lambda s: s.update(cell_A=[10.0, 10.0, -1.0]), "cell_A"),
        (lambda s: s["molecules"][2].update(structure="gone.pdb"), "no file gone.pdb"),
    ],
)
def test_impossible_system_is_refused(section, change, message):
    """Each fault is named before anything runs."""
    change(section)
    with pytest.raises(InputError, match=message):
        SystemSpec.from_config(section)


def test_unknown_molecule_is_named(root):
    """The message says which molecules the file does define."""
    with pytest.raises(InputError, match=r"found \['UREA'\], expected a molecule named WATER"):
        read_molecule(root / "resources" / "opls-des" / "urea.itp", "WATER")


def test_missing_include_is_named(tmp_path):
    """An include that leads nowhere is found before an engine starts."""
    (tmp_path / "system.top").write_text('#include "gone.itp"\n')
    with pytest.raises(InputError, match=r"system.top: #include: found no file .*gone.itp"):
        included_files(tmp_path / "system.top")


def test_missing_packmol_names_its_package(section, tmp_path, monkeypatch):
    """Without Packmol on PATH the message says where to get it."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError, match="program packmol.*apt-get install packmol"):
        build_box(SystemSpec.from_config(section), 1, tmp_path / "a.top", tmp_path / "a.gro", tmp_path / "work")


def test_failed_packing_is_an_error(section, tmp_path, monkeypatch):
    """Packmol that reports no success stops the job, even where it left a file and exit status 0."""
    monkeypatch.setattr("cgdistill.aa.system.require_program", lambda name: name)
    done = subprocess.CompletedProcess([], 0, stdout="ERROR: molecules do not fit\n", stderr="")
    monkeypatch.setattr(subprocess, "run", lambda *args, **kwargs: done)
    with pytest.raises(InputError, match="molecules do not fit.*1.5 A apart in 16 x 16 x 16 A"):
        build_box(SystemSpec.from_config(section), 1, tmp_path / "a.top", tmp_path / "a.gro", tmp_path / "work")
    assert not (tmp_path / "a.gro").exists()


def test_structure_that_does_not_fit_its_topology(section, tmp_path, monkeypatch):
    """A .pdb with another number of atoms than the .itp is named before Packmol runs."""
    monkeypatch.setattr("cgdistill.aa.system.require_program", lambda name: name)
    section["molecules"][2]["structure"] = section["molecules"][1]["structure"]
    with pytest.raises(InputError, match="chloride.pdb: atoms of UREA: found 1, expected 8"):
        build_box(SystemSpec.from_config(section), 1, tmp_path / "a.top", tmp_path / "a.gro", tmp_path / "work")


def test_gro_round_trip(tmp_path):
    """Positions keep 1e-4 A, velocities 1e-8 A/fs; names and the cell stay. MDAnalysis reads the same."""
    import MDAnalysis

    rng = np.random.default_rng(3)
    structure = Structure(
        residue_numbers=np.array([1, 1, 2]),
        residue_names=("CHOL", "CHOL", "Cl"),
        atom_names=("C1", "HO1", "CL"),
        positions_A=rng.uniform(-5, 30, (3, 3)),
        velocities_A_fs=rng.normal(0, 0.01, (3, 3)),
        cell_A=np.array([22.6, 23.7, 24.8]),
        title="round trip",
    )
    write_gro(tmp_path / "a.gro", structure)
    again = read_gro(tmp_path / "a.gro")
    assert again.residue_names == structure.residue_names and again.atom_names == structure.atom_names
    np.testing.assert_allclose(again.positions_A, structure.positions_A, atol=6e-5)
    np.testing.assert_allclose(again.velocities_A_fs, structure.velocities_A_fs, atol=6e-9)
    np.testing.assert_allclose(again.cell_A, structure.cell_A)
    other = MDAnalysis.Universe(str(tmp_path / "a.gro"))
    np.testing.assert_allclose(other.atoms.positions, structure.positions_A, atol=1e-4)
    np.testing.assert_allclose(other.atoms.velocities, structure.velocities_A_fs * 1000, atol=1e-4)
    write_gro(tmp_path / "b.gro", replace(structure, velocities_A_fs=None))
    assert read_gro(tmp_path / "b.gro").velocities_A_fs is None


def test_cut_gro_is_refused(tmp_path):
    """A structure that ends before its atoms do is named, not read in part."""
    (tmp_path / "a.gro").write_text("title\n    3\n    1Cl      CL    1   0.000   0.000   0.000\n")
    with pytest.raises(InputError, match="a.gro"):
        read_gro(tmp_path / "a.gro")
