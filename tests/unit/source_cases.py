"""A small package and changes of it, for the tests of the source digest."""

from __future__ import annotations

from collections.abc import Mapping

#: A small package; the script `job.py` uses most of it.
FILES = {
    "job.py": """\
# Makes a result.
from toy.runtime import log, job
from toy.energy import Model
with job(snakemake.log[0]):
    from toy.tables import rows
    log.info("writes %s", snakemake.output[0])
    Model(snakemake.params.k).save(rows(), snakemake.output[0])
""",
    "__init__.py": """\
'''A toy.'''
__version__ = "1.0"
""",
    "runtime/__init__.py": """\
from .messages import log
def job(path):
    return log.open(path)
def progress(items, label):
    return items
def write_text(path, text):
    path.write_text(text)
""",
    "runtime/messages.py": """\
import logging
log = logging.getLogger("toy")
""",
    "core/__init__.py": "",
    "core/errors.py": """\
class InputError(Exception):
    '''Bad input.'''
""",
    "constants.py": """\
SCALE = 2.0
OFFSET, UNUSED = 1.0, 5.0
TABLE = {"first": 1.0}
""",
    "register.py": """\
METRICS = {}
def register(name):
    def add(function):
        METRICS[name] = function
        return function
    return add
class Family:
    members = []
    def __init_subclass__(cls):
        Family.members.append(cls)
""",
    "metrics.py": """\
from .register import METRICS, Family, register
@register("mean")
def mean(values: list) -> float:
    return sum(values) / len(values)
class Child(Family):
    weight = 3.0
METRICS["largest"] = lambda values: max(values)
largest = 1.0
""",
    "kernels/__init__.py": """\
from .pair import energy as pair_energy, half
""",
    "kernels/pair.py": """\
from __future__ import annotations
from math import exp, log as natural
from ..constants import SCALE
def energy(r: float, power: int = 2) -> float:
    '''Energy.'''
    return SCALE * exp(-r) ** power
def half(x):
    return x / 2
def unused(x):
    return x / 3
""",
    "kernels/other.py": """\
from math import exp
from ..constants import SCALE
def energy(r: float, power: int = 2) -> float:
    return SCALE * exp(-r) ** power + 1
""",
    "energy.py": """\
from __future__ import annotations
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, ClassVar
from . import kernels, metrics
from . import constants as fixed
from .core.errors import InputError
from .kernels import pair_energy
from .register import METRICS
from .runtime import log, progress, write_text
if TYPE_CHECKING:
    from pathlib import Path
@dataclass
class Model:
    '''A model.'''
    k: float
    cutoff: float = 10.0
    kind: ClassVar[str] = "toy"
    def total(self, values: list[float]) -> float:
        '''Total.'''
        expected = "a positive number"
        if self.k < 0:
            raise InputError("config", "k", self.k, expected)
        if not values:
            raise ValueError(f"no values for {self.k}")
        assert len(values) > 0, "no values"
        if len(values) == 1:
            pass
        total: float = 0.0
        for value in progress(values, "values"):
            total += pair_energy(value) + kernels.half(value) + fixed.OFFSET
        if total > 5:
            log.warning("large total: %s", total)
        return self.k * total * METRICS["mean"](values)
    def save(self, values: list, path: Path) -> None:
        write_text(path, f"total = {self.total(values):.3f}")
""",
    "tables.py": """\
import numpy as np
from collections import OrderedDict
def rows():
    from .constants import TABLE
    from .lazy import shift
    found = OrderedDict((name, shift(value)) for name, value in TABLE.items())
    return np.sort(list(found.values()))
""",
    "lazy.py": """\
from .kernels.pair import half as halved
@staticmethod
def shift(x, by=0.5, *, sign=1):
    return sign * halved(x) + by
""",
}


def edit(*edits: str, files: Mapping[str, str] | None = None) -> dict[str, str]:
    """`FILES` with pieces replaced: file, old, new, file, old, new, ...; a piece has to be there."""
    found = dict(FILES if files is None else files)
    for name, old, new in zip(edits[::3], edits[1::3], edits[2::3], strict=True):
        assert old in found[name], (name, old)
        found[name] = found[name].replace(old, new)
    return found


def move(source: str, target: str, *edits: str) -> dict[str, str]:
    """`FILES` with one of them under another name, and pieces replaced afterwards."""
    return edit(*edits, files={target if name == source else name: text for name, text in FILES.items()})


_LARGEST = 'METRICS["largest"] = lambda values: max(values)\n'
_ADVICE = '        if total > 5:\n            log.warning("large total: %s", total)\n'
_HALF = "def half(x):\n    return x / 2\n"

#: Changes that cannot change a value.
SAME = {
    "comment": edit("kernels/pair.py", "return SCALE", "# exact\n    return SCALE"),
    "docstring": edit("kernels/pair.py", "'''Energy.'''", "'''Energy of a pair, kcal/mol.'''"),
    "no docstring": edit("kernels/pair.py", "    '''Energy.'''\n", ""),
    "docstring of a class": edit("energy.py", "'''A model.'''", "'''Another text.'''"),
    "docstring of a module": edit("kernels/pair.py", "from __future__", "'''Pairs.'''\nfrom __future__"),
    "docstring of a package": edit("__init__.py", "A toy", "Another toy"),
    "comment in a script": edit("job.py", "# Makes a result.", "# Makes another result."),
    "layout": edit("kernels/pair.py", "SCALE * exp(-r) ** power", "(SCALE\n        * exp( -r )**power)"),
    "text of a log": edit("energy.py", '"large total: %s", total', '"a total of %s is large", round(total)'),
    "log in a script": edit("job.py", '"writes %s"', '"writing %s"'),
    "no log": edit("energy.py", _ADVICE, ""),
    "another log": edit("energy.py", "        return self.k",
                        '        log.info("total: %s", total)\n        return self.k'),
    "local import of another package": edit(
        "energy.py", "    def save(self, values: list, path: Path) -> None:\n",
        "    def save(self, values: list, path: Path) -> None:\n        import json\n"),
    "warning": edit("tables.py", "import numpy", "import warnings\nimport numpy",
                    "tables.py", "    return", '    warnings.warn("rows")\n    return'),
    "logger of another package": edit("tables.py", "import numpy", "import logging\nimport numpy", "tables.py",
                                      "def rows", "logging.getLogger('x').setLevel(logging.ERROR)\ndef rows"),
    "message of an error": edit("energy.py", 'f"no values for {self.k}"', '"nothing"'),
    "cause of an error": edit("energy.py", '{self.k}")', '{self.k}") from None'),
    "message of bad input": edit("energy.py", '"config", "k", self.k', '"config.yaml", "model.k", str(self.k)'),
    "text that only a message uses": edit("energy.py", '"a positive number"', 'f"above {0}"'),
    "no text": edit("energy.py", '        expected = "a positive number"\n', "",
                    "energy.py", ", expected)", ", 'positive')"),
    "message of an assertion": edit("energy.py", '> 0, "no values"', '> 0, "empty"'),
    "label of a progress bar": edit("energy.py", '(values, "values")', '(values, "terms")'),
    "annotation of a parameter": edit("kernels/pair.py", "r: float, power", "r: complex, power"),
    "annotation of a result": edit("energy.py", "list[float]) -> float", "list[float]) -> complex"),
    "annotation of a variable": edit("energy.py", "total: float = 0.0", "total = 0.0"),
    "annotation of a constant": edit("constants.py", "SCALE =", "SCALE: float ="),
    "annotation without value": edit("energy.py", "total: float = 0.0", "value: int\n        total: float = 0.0"),
    "import for annotations": edit("energy.py", "from pathlib import Path", "from .lazy import shift as Path"),
    "cast": edit("tables.py", "import numpy", "from typing import cast\nimport numpy",
                 "tables.py", "list(found.values())", "cast(list, list(found.values()))"),
    "unused function of a used module": edit("kernels/pair.py", "x / 3", "x / 4"),
    "new constant": edit("constants.py", "SCALE", "NEW = 1.0\nSCALE"),
    "unused module": edit("kernels/other.py", "+ 1", "+ 2"),
    "unused import": edit("lazy.py", "@static", "import json\n@static"),
    "program": edit("lazy.py", "@static", "if __name__ == '__main__':\n    shift(1)\n@static"),
    "neutral code": edit("runtime/__init__.py", "return items", "return list(items)"),
    "neutral imports": edit("runtime/messages.py", "import logging", "import logging\nfrom ..kernels import other"),
    "errors": edit("core/errors.py", "(Exception)", "(ValueError)"),
    "version": edit("__init__.py", "1.0", "1.1"),
    "order of definitions": edit("constants.py", "SCALE = 2.0\n", "",
                                 "constants.py", "TABLE", "SCALE = 2.0\nTABLE"),
    "no alias": edit("lazy.py", "half as halved", "half", "lazy.py", "halved(x)", "half(x)"),
    "name for an attribute": edit("tables.py", "import numpy as np", "from numpy import sort",
                                  "tables.py", "np.sort", "sort"),
    "shorter way round a re-export": edit("energy.py", "kernels.half(value)", "kernels.pair.half(value)"),
    "import of the whole path": edit("lazy.py", "from .kernels.pair import half as halved", "import toy.kernels.pair",
                                     "lazy.py", "halved(x)", "toy.kernels.pair.half(x)"),
    "import at the top": edit("tables.py", "    from .lazy import shift\n", "",
                              "tables.py", "def rows", "from .lazy import shift\ndef rows"),
    "renamed constant": edit("constants.py", "SCALE", "FACTOR", "kernels/pair.py", "SCALE", "FACTOR"),
    "moved module": move("constants.py", "core/numbers.py", "kernels/pair.py", "..constants", "..core.numbers",
                         "kernels/other.py", "..constants", "..core.numbers",
                         "tables.py", ".constants", ".core.numbers",
                         "energy.py", "from . import constants as", "from .core import numbers as"),
    "moved module that acts": move("metrics.py", "core/averages.py", "core/averages.py", ".register", "..register",
                                   "energy.py", "kernels, metrics", "kernels\nfrom .core import averages"),
    "moved function": edit("kernels/pair.py", _HALF, "", "lazy.py", "@staticmethod", f"{_HALF}@staticmethod",
                           "lazy.py", "from .kernels.pair import half as halved\n", "", "lazy.py", "halved", "half",
                           "kernels/__init__.py", ", half", "\nfrom ..lazy import half"),
}  # fmt: skip

#: Changes that can change a value.
OTHER = {
    "formula": edit("kernels/pair.py", "** power", "* power"),
    "number": edit("kernels/pair.py", "return x / 2", "return x / 2.0"),
    "constant": edit("constants.py", "SCALE = 2.0", "SCALE = 2.5"),
    "constant by module attribute": edit("constants.py", "1.0, 5.0", "1.5, 5.0"),
    "swapped constants": edit("constants.py", "OFFSET, UNUSED", "UNUSED, OFFSET"),
    "table in a lazy import": edit("constants.py", '{"first": 1.0}', '{"first": 1.0, "second": 2.0}'),
    "default": edit("kernels/pair.py", "power: int = 2", "power: int = 3"),
    "default in a lazy import": edit("lazy.py", "by=0.5", "by=0.25"),
    "keyword only": edit("lazy.py", "by=0.5, *", "*, by=0.5"),
    "default of a keyword": edit("lazy.py", "sign=1", "sign=-1"),
    "attribute of a definition": edit("tables.py", "TABLE.items()", "TABLE.others()"),
    "decorator": edit("lazy.py", "@staticmethod", "@classmethod"),
    "no decorator": edit("lazy.py", "@staticmethod\n", ""),
    "function by alias and re-export": edit("kernels/pair.py", "x / 2", "x / 5"),
    "method": edit("energy.py", "self.k * total", "self.k + total"),
    "default of a field": edit("energy.py", "cutoff: float = 10.0", "cutoff: float = 12.0"),
    "order of fields": edit("energy.py", "    k: float\n    cutoff: float = 10.0\n",
                            "    cutoff: float = 10.0\n    k: float\n"),
    "another field": edit("energy.py", "cutoff: float = 10.0", "cutoff: float = 10.0\n    width: float = 1.0"),
    "class variable made a field": edit("energy.py", "ClassVar[str]", "str"),
    "base class": edit("energy.py", "class Model:", "class Model(dict):"),
    "registered function": edit("metrics.py", "/ len(values)", "/ (len(values) - 1)"),
    "name in a register": edit("metrics.py", '@register("mean")', '@register("average")'),
    "registered lambda": edit("metrics.py", "max(values)", "min(values)"),
    "registered subclass": edit("metrics.py", "weight = 3.0", "weight = 4.0"),
    "another registration": edit("metrics.py", _LARGEST, 'METRICS["n"] = len\n' + _LARGEST),
    "assignment that registers": edit("metrics.py", _LARGEST, 'n = register("n")(len)\n' + _LARGEST),
    "loop that registers": edit("metrics.py", _LARGEST,
                                 _LARGEST + "for f in (min, max):\n    METRICS[f.__name__] = f\n"),
    "order of registrations": edit("metrics.py", _LARGEST, "", "metrics.py", "@register", _LARGEST + "@register"),
    "no registration": edit("energy.py", "kernels, metrics", "kernels"),
    "register": edit("register.py", "METRICS[name] = function", "METRICS.setdefault(name, function)"),
    "redirected import": edit("lazy.py", "import half", "import unused"),
    "redirected re-export of the same name": edit(
        "kernels/__init__.py", "from .pair import energy as pair_energy, half",
                               "from .other import energy as pair_energy\nfrom .pair import half"),
    "redirected import of another package": edit("kernels/pair.py", "from math import exp", "from numpy import exp"),
    "redirected name of another package": edit("tables.py", "from collections", "from other"),
    "redirected attribute of another package": edit("tables.py", "np.sort", "np.flip"),
    "kind of error": edit("energy.py", "raise ValueError", "raise KeyError"),
    "no error": edit("energy.py", "raise ValueError", "print"),
    "condition of an assertion": edit("energy.py", "assert len(values) > 0", "assert len(values) > 1"),
    "condition of an error": edit("energy.py", "self.k < 0", "self.k <= 0"),
    "text in a file": edit("energy.py", "total = {self", "sum = {self"),
    "format in a file": edit("energy.py", ":.3f", ":.4f"),
    "argument of neutral code": edit("energy.py", "progress(values,", "progress(values[1:],"),
    "script": edit("job.py", "snakemake.params.k", "snakemake.params.k + 1"),
}  # fmt: skip
