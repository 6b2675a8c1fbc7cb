"""Which changes of the source change its digest: those that can change a value, and no others."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

import pytest
from cgdistill.provenance.source.digest import explain, source_digest
from source_cases import FILES, OTHER, SAME, edit

WORKFLOW = Path(__file__).resolve().parents[2] / "workflow"
SCRIPTS = sorted((WORKFLOW / "scripts").glob("*.py"))
PACKAGE = WORKFLOW / "lib" / "cgdistill"


@pytest.fixture
def written(tmp_path):
    """A function that writes a package into a new folder and returns the folder of the package."""
    number = itertools.count()

    def write(files):
        root = tmp_path / str(next(number)) / "toy"
        for name, text in files.items():
            path = root.parent / name if name == "job.py" else root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return root

    return write


@pytest.fixture
def digest(written):
    """A function that writes a package and returns the digest of its script."""

    def digest_of(texts, *others, **options):
        root = written(texts)
        return source_digest(root.parent / "job.py", *others, package=root, **options)

    return digest_of


@pytest.mark.parametrize("what", SAME)
def test_what_cannot_change_a_value_does_not_count(digest, what):
    assert SAME[what] != FILES
    assert digest(SAME[what]) == digest(FILES)


@pytest.mark.parametrize("what", OTHER)
def test_what_can_change_a_value_counts(digest, what):
    assert digest(OTHER[what]) != digest(FILES)


def toy(**modules):
    """A package whose script uses ``main.run``; modules by name, ``__`` for a dot."""
    texts = {f"{name.replace('__', '/')}.py": text for name, text in modules.items()}
    folders = {name.partition("/")[0] for name in texts if "/" in name}
    empty = {"__init__.py": "", **{f"{folder}/__init__.py": "" for folder in folders}}
    return {**empty, "job.py": "from toy.main import run\nrun()\n", **texts}


def assert_counts(digest, main, old="1", new="2", **modules):
    """A change of ``other.py`` counts, given the text of ``main.py``."""
    other = "def f(x):\n    return x + 1\n"
    assert digest(toy(main=main, other=other, **modules)) != digest(
        toy(main=main, other=other.replace(old, new), **modules)
    )


def test_a_module_that_is_passed_around_counts_whole(digest):
    assert_counts(digest, "from . import other\ndef run():\n    return getattr(other, 'f')(1)\n")
    assert_counts(digest, "from . import other as o\nTABLE = [o]\ndef run():\n    return TABLE[0].f(1)\n")
    assert_counts(digest, "import toy.other\ndef run():\n    return vars(toy.other)\n")


def test_the_order_of_definitions_does_not_count_in_a_whole_module(digest):
    main = "from . import other\ndef run():\n    return vars(other)\n"
    first, second = "A = 1\n", "def f():\n    return A\n"
    assert digest(toy(main=main, other=first + second)) == digest(toy(main=main, other=second + first))


def test_definitions_used_by_name_in_their_own_module_count(digest):
    text = "def f():\n    return 1\ndef run():\n    return globals()['f']()\n"
    assert digest(toy(main=text)) != digest(toy(main=text.replace("1", "2")))


def test_imports_within_branches_and_functions_count(digest):
    assert_counts(
        digest, "try:\n    from .other import f\nexcept ImportError:\n    f = None\ndef run():\n    return f(1)\n"
    )
    assert_counts(
        digest, "def run():\n    def inner():\n        from .other import f\n        return f(1)\n    return inner\n"
    )
    assert_counts(digest, "class A:\n    from .other import f\n    g = f\ndef run():\n    return A.g(1)\n")
    assert_counts(
        digest, "def run():\n    if True:\n        from . import other\n    return [other.f(x) for x in (1,)]\n"
    )


def test_a_variable_is_not_taken_for_the_definition_of_the_same_name(digest):
    main = "from .other import f\ndef run():\n    f = 3\n    return f\n"
    same = toy(main=main, other="def f():\n    return 1\n"), toy(main=main, other="def f():\n    return 2\n")
    assert digest(same[0]) == digest(same[1])
    # A comprehension has variables, but what it goes through is outside.
    assert_counts(digest, "from .other import f\ndef run():\n    return [f for f in f(1)] + [f(2)]\n")
    assert_counts(digest, "from .other import f\ndef run():\n    global f\n    f = f(1)\n")
    assert_counts(digest, "from .other import f\ndef run(g=lambda f: f, h=f):\n    return h(1)\n")


def test_a_class_variable_does_not_hide_a_definition_from_methods(digest):
    assert_counts(
        digest,
        "from .other import f\nclass A:\n    f = 1\n    def g(self):\n        return f(1)\ndef run():\n    A().g()\n",
    )


def test_what_is_imported_only_to_act_counts(digest):
    acting = "from .table import TABLE\nTABLE.append(1)\n"
    modules = {
        "main": "from . import acts\nfrom .table import TABLE\ndef run():\n    return TABLE\n",
        "table": "TABLE = []\n",
    }
    assert digest(toy(**modules, acts=acting)) != digest(toy(**modules, acts=acting.replace("1", "2")))
    lazy = {**modules, "main": "from .table import TABLE\ndef run():\n    from . import acts\n    return TABLE\n"}
    assert digest(toy(**lazy, acts=acting)) != digest(toy(**lazy, acts=acting.replace("1", "2")))
    package = {"main": "from .sub.a import x\ndef run():\n    return x\n", "sub__a": "x = 1\n"}
    files = toy(**package)
    assert digest(files) != digest(
        {**files, "sub/__init__.py": "import torch\ntorch.set_default_dtype(torch.float64)\n"}
    )


def test_a_computed_import_counts_all_that_it_can_choose(digest):
    main = "from importlib import import_module\ndef run(name):\n    return import_module({})\n"
    engines = {"aa__gromacs": "def f():\n    return 1\n", "aa__openmm": "def f():\n    return 1\n", "other": "x = 1\n"}
    for text in (
        "f'.aa.{name}', __package__",
        "f'toy.aa.{name}'",
        "'toy.aa.' + name",
        "name, __package__",
        "'.aa.openmm', __package__",
    ):
        before = toy(main=main.format(text), **engines)
        after = {**before, "aa/openmm.py": "def f():\n    return 2\n"}
        assert digest(before) != digest(after), text
        assert digest(before, choices=["aa.gromacs"]) == digest(after, choices=["aa.gromacs"]), text
        assert digest(before, choices=["aa.openmm"]) != digest(after, choices=["aa.openmm"]), text
    constant = toy(main=main.format("'.aa.gromacs', __package__"), **engines)
    assert digest(constant) == digest({**constant, "aa/openmm.py": ""})
    foreign = toy(main=main.format("'lammps.mliap'"), **engines)
    assert digest(foreign) == digest({**foreign, "aa/openmm.py": ""})


def test_two_definitions_of_equal_text_are_told_apart_by_what_they_use(digest):
    one = "from .{} import g\ndef f(x):\n    return g(x)\n"
    modules = {
        "a": one.format("plus"),
        "b": one.format("minus"),
        "plus": "def g(x):\n    return x + 1\n",
        "minus": "def g(x):\n    return x - 1\n",
    }
    main = "from .a import f as first\nfrom .b import f as second\ndef run(x):\n    return first(x), second(x)\n"
    swapped = main.replace("first(x), second(x)", "second(x), first(x)")
    assert digest(toy(main=main, **modules)) != digest(toy(main=swapped, **modules))


def test_definitions_that_use_each_other_have_a_digest(digest):
    main = "from . import other\ndef run(n=3):\n    return other.back(n)\n"
    other = "from . import main\ndef back(n):\n    return n and main.run(n - 1)\n"
    assert digest(toy(main=main, other=other)) == digest(toy(main=main, other="# again\n" + other))
    assert digest(toy(main=main, other=other)) != digest(toy(main=main, other=other.replace("n - 1", "n - 2")))


def test_a_text_that_is_a_value_counts(digest):
    main = "def run(path):\n    text = 'a'\n    if not path:\n        raise ValueError(text)\n    return {}\n"
    assert digest(toy(main=main.format("text"))) != digest(toy(main=main.format("text").replace("'a'", "'b'")))
    assert digest(toy(main=main.format("1"))) == digest(toy(main=main.format("1").replace("'a'", "'b'")))
    assert digest(toy(main=main.format("locals()"))) != digest(toy(main=main.format("locals()").replace("'a'", "'b'")))
    nested = main.format("lambda: text")
    assert digest(toy(main=nested)) != digest(toy(main=nested.replace("'a'", "'b'")))


def test_an_error_of_the_package_carries_values(digest):
    main = "class Stop(Exception):\n    pass\ndef run(n):\n    raise Stop('stopped', n)\n"
    assert digest(toy(main=main)) == digest(toy(main=main.replace("'stopped'", "f'at {n}'")))
    assert digest(toy(main=main)) != digest(toy(main=main.replace(", n)", ", n + 1)")))


def test_annotations_count_where_a_decorator_can_read_them(digest):
    main = "from other import compiled\n{}def run(x: int):\n    return x\n"
    for decorator, same in (("@compiled\n", False), ("", True)):
        text = main.format(decorator)
        assert (digest(toy(main=text)) == digest(toy(main=text.replace("x: int", "x: float")))) is same


def test_other_entries_and_files_count(digest, tmp_path):
    template = tmp_path / "page.html"
    template.write_text("a")
    first = digest(FILES, files=[template])
    template.write_text("b")
    assert len({first, digest(FILES, files=[template]), digest(FILES)}) == 3
    assert digest(FILES, "kernels.other") != digest(FILES)
    later = edit("kernels/other.py", "+ 1", "+ 2")
    assert digest(FILES, "kernels.other") != digest(later, "kernels.other")


def test_what_cannot_be_followed_is_an_error(digest, written):
    with pytest.raises(ValueError, match=r"main\.py:1: .* \* "):
        digest(toy(main="from .other import *\ndef run():\n    return f()\n", other="f = int\n"))
    with pytest.raises(ValueError, match="absent: no such module"):
        digest(FILES, "absent")
    with pytest.raises(ValueError, match=r"absent\.py: no such script"):
        source_digest("absent.py", package=written(FILES))


def test_the_explanation_names_what_has_changed(written):
    before, after = written(FILES), written(edit("kernels/pair.py", "x / 2", "x / 5"))
    first, second = (explain(root.parent / "job.py", package=root) for root in (before, after))
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == ["kernels.pair:half"]
    assert {"job.py:", "energy:Model", "metrics:mean", "constants:OFFSET, UNUSED"} <= set(first)
    assert not {"kernels.pair:unused", "core.errors:InputError", "runtime.messages:log"} & set(first)


@pytest.fixture(scope="module")
def digests():
    """Digests of this program's scripts."""
    return {script.stem: source_digest(script) for script in SCRIPTS}


@pytest.fixture
def after(tmp_path):
    """A function that replaces a piece of this program's package, in a copy, and returns the digests of the scripts."""
    number = itertools.count()

    def digests_after(old, new):
        root = tmp_path / str(next(number)) / PACKAGE.name
        shutil.copytree(PACKAGE, root, ignore=shutil.ignore_patterns("__pycache__"))
        (path,) = [path for path in root.rglob("*.py") if old in path.read_text(encoding="utf-8")]
        path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
        return {script.stem: source_digest(script, package=root) for script in SCRIPTS}

    return digests_after


def test_every_script_of_the_workflow_has_its_own_digest(digests):
    assert len(set(digests.values())) == len(SCRIPTS) > 20


def test_a_script_reaches_what_it_computes_with():
    names = {name.rpartition(".")[2] for name in explain(WORKFLOW / "scripts" / "compute_structure.py")}
    assert {"rdf:RDF", "kernels:shared_histogram", "pairs:near"} <= names
    assert not any(name.startswith("training:") for name in names)


def test_a_comment_in_the_log_code_reruns_nothing(digests, after):
    assert after("def pin_threads(", "# Every job begins with this.\ndef pin_threads(") == digests


def test_a_formula_reruns_what_uses_it(digests, after):
    found = after("self.type_counts[a] * n_partners", "self.type_counts[b] * n_partners")
    changed = {name for name in digests if digests[name] != found[name]}
    assert {"compute_structure", "compute_reference"} <= changed
    # What shows curves reads the settings of metrics too; it has to be made anew with the curves in any case.
    shown = {"write_report", "compare_cells", *(name for name in digests if name.startswith("plot_"))}
    assert changed - shown == {"compute_structure", "compute_reference"}


@pytest.mark.parametrize(
    ("old", "new"),
    [("Radial distribution functions in bins", "Radial functions in bins"), ("RuleOfThumb(1.0", "RuleOfThumb(2.0")],
)
def test_a_word_on_a_metric_computes_no_curve_anew(digests, after, old, new):
    found = after(old, new)
    changed = {name for name in digests if digests[name] != found[name]}
    assert "write_report" in changed
    assert all(name.startswith("plot_") or name in ("write_report", "compare_cells") for name in changed)


def test_a_step_of_training_reruns_training_only(digests, after):
    found = after("def rmse_plus_mae(prediction", "def rmse_plus_mae(unused=0, *, prediction")
    assert {name for name in digests if digests[name] != found[name]} >= {"train"}
    assert found["simulate"] == digests["simulate"]
    assert found["compute_structure"] == digests["compute_structure"]
