"""What can be taken out of a module, with what it stands on; and what is refused, by its name."""

from __future__ import annotations

import functools
import importlib.util
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

from drivetrain.eject import tree
from drivetrain.eject.known import Known
from drivetrain.eject.lift import Lifter
from drivetrain.eject.modules import Import, is_own, origin_of
from drivetrain.eject.names import names_in
from drivetrain.errors import EjectError
from drivetrain.optim.schedules import one_cycle

Make = Callable[..., ModuleType]


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Write and import a module of a person's own: `module("mine", text)`."""
    made: list[str] = []

    def make(name: str, text: str) -> ModuleType:
        path = tmp_path / f"{name}.py"
        path.write_text(textwrap.dedent(text).lstrip("\n"))
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        found = importlib.util.module_from_spec(spec)
        sys.modules[name] = found
        made.append(name)
        spec.loader.exec_module(found)
        return found

    monkeypatch.syspath_prepend(str(tmp_path))
    yield make
    for name in made:
        sys.modules.pop(name, None)


def texts(lifter: Lifter) -> dict[str, str]:
    """The pieces as text, by name."""
    return {name: tree.render([piece.node]) for name, piece in lifter.pieces.items()}


def imports(lifter: Lifter) -> set[str]:
    return {one.statement for one in lifter.imports.values()}


# --- what is refused ------------------------------------------------------------------------------


def test_a_lambda_is_refused_with_its_line(module: Make) -> None:
    mine = module("mine", "loss = lambda a, b: a - b\n")
    with pytest.raises(EjectError) as error:
        Lifter().need(mine.loss)
    assert str(error.value) == (
        f"A lambda (line 1 of {mine.__file__}) has no name that a script could use. "
        "Define it by `def` at the top of a module."
    )


def test_a_function_within_another_is_refused(module: Make) -> None:
    mine = module("mine", "def outer():\n    def inner():\n        pass\n    return inner\n")
    with pytest.raises(EjectError) as error:
        Lifter().need(mine.outer())
    assert str(error.value) == (
        "`inner` is defined within `outer`, where a script cannot reach it. "
        "Define it at the top of a module."
    )


def test_a_lambda_within_a_function_is_refused_as_a_lambda(module: Make) -> None:
    mine = module("mine", "def outer():\n    return lambda: 1\n")
    with pytest.raises(EjectError, match=r"^A lambda \(line 2 of "):
        Lifter().need(mine.outer())


def test_an_object_is_refused() -> None:
    with pytest.raises(EjectError) as error:
        Lifter().need(torch.nn.Linear(2, 3))
    assert str(error.value) == (
        "A script cannot take along an object of `Linear`. "
        "Give a function or class that is defined at the top of a module."
    )


def test_a_method_of_a_class_is_refused(module: Make) -> None:
    mine = module("mine", "class A:\n    def f(self):\n        pass\n")
    with pytest.raises(EjectError) as error:
        Lifter().need(mine.A.f)
    assert str(error.value) == (
        "`A.f` is not at the top of a module, so a script cannot take it along. "
        "Define it there by `def` or `class`."
    )


def test_a_bound_method_is_refused(module: Make) -> None:
    mine = module("mine", "class A:\n    def f(self):\n        pass\n")
    with pytest.raises(EjectError, match=r"^A script cannot take along an object of `method`\. "):
        Lifter().need(mine.A().f)


def test_a_name_that_its_module_does_not_define_is_refused(module: Make) -> None:
    mine = module("mine", "globals()['made'] = type('made', (), {})\n")
    mine.made.__module__ = "mine"
    with pytest.raises(EjectError) as error:
        Lifter().need(mine.made)
    assert str(error.value) == (
        "`made` is not at the top of the module mine, so a script cannot take it along. "
        "Define it there by `def`, `class` or an assignment."
    )


def test_a_module_without_source_is_refused(module: Make) -> None:
    mine = module("mine", "def f():\n    pass\n")
    Path(str(mine.__file__)).unlink()
    mine.__spec__.loader = mine.__loader__ = None
    with pytest.raises(EjectError) as error:
        Lifter().need(mine.f)
    assert str(error.value) == (
        "The module mine has no source that can be read. "
        "Put what the script shall take along into a file."
    )


@pytest.mark.parametrize("line", ["import tools", "import tools as helpers"])
def test_a_persons_module_used_as_a_whole_is_refused(module: Make, line: str) -> None:
    module("tools", "def help():\n    return 1\n")
    name = line.rpartition(" ")[2]
    mine = module("mine", f"{line}\n\ndef f():\n    return len(dir({name}))\n")
    with pytest.raises(EjectError) as error:
        Lifter().need(mine.f)
    assert str(error.value) == (
        "mine uses the module tools as a whole. A script takes functions along: "
        "import what it uses, `from tools import …`."
    )


def test_a_part_of_the_library_used_as_a_whole_is_refused(module: Make) -> None:
    mine = module("mine", "from drivetrain import metrics\n\ndef f():\n    return dir(metrics)\n")
    with pytest.raises(EjectError) as error:
        Lifter().need(mine.f)
    assert str(error.value) == (
        "mine uses the module drivetrain.metrics as a whole. A script takes functions along: "
        "import what it uses, `from drivetrain.metrics import …`."
    )


# --- a person's module ----------------------------------------------------------------------------


def test_helpers_and_constants_come_along(module: Make) -> None:
    mine = module(
        "mine",
        '''
        RATE = 0.5  # of all
        UNUSED = 1


        def helper(x):
            return x * RATE


        def unused():
            return UNUSED


        def f(x):
            """A docstring.

            With a second paragraph.
            """
            assert x  # a guard
            return helper(x)
        ''',
    )
    lifter = Lifter()
    assert lifter.need(mine.f) == "f"
    found = texts(lifter)
    assert found.keys() == {"f", "helper", "RATE"}
    assert found["RATE"] == "RATE = 0.5  # of all\n"
    assert "With a second paragraph." in found["f"] and "assert x  # a guard" in found["f"]


def test_a_partial_is_its_function(module: Make) -> None:
    mine = module("mine", "def f(x):\n    return x\n")
    assert Lifter().need(functools.partial(mine.f, 1)) == "f"


def test_a_cached_function_is_the_function(module: Make) -> None:
    mine = module("mine", "import functools\n\n\n@functools.cache\ndef f(x):\n    return x\n")
    lifter = Lifter()
    assert lifter.need(mine.f) == "f"
    assert "@functools.cache" in texts(lifter)["f"]  # a person's own stays as it is
    assert imports(lifter) == {"import functools"}


def test_a_base_class_and_a_decorator_come_along(module: Make) -> None:
    mine = module(
        "mine",
        """
        def marked(cls):
            return cls

        class Base:
            pass

        @marked
        class A(Base):
            def __init__(self):
                super().__init__()
                self.other = Other()

        class Other:
            pass
        """,
    )
    lifter = Lifter()
    lifter.need(mine.A)
    assert lifter.pieces.keys() == {"A", "Base", "Other", "marked"}


def test_functions_that_call_each_other_come_once(module: Make) -> None:
    mine = module(
        "mine",
        "def even(n):\n    return n == 0 or odd(n - 1)\n\n"
        "def odd(n):\n    return n != 0 and even(n - 1)\n",
    )
    lifter = Lifter()
    lifter.need(mine.even)
    lifter.need(mine.odd)
    assert lifter.pieces.keys() == {"even", "odd"}


def test_what_comes_from_another_module_of_a_person_comes_along(module: Make) -> None:
    module("tools", "FACTOR = 3\n\ndef scaled(x):\n    return x * FACTOR\n")
    mine = module(
        "mine",
        "from tools import scaled as by_three\nimport tools\n\n"
        "def f(x):\n    return by_three(x) + tools.FACTOR\n",
    )
    lifter = Lifter()
    lifter.need(mine.f)
    found = texts(lifter)
    assert found.keys() == {"f", "scaled", "FACTOR"}
    assert found["f"] == "def f(x):\n    return scaled(x) + FACTOR\n"


def test_names_that_clash_get_the_name_of_their_module(module: Make) -> None:
    module("left", "def read(x):\n    return helper(x)\n\ndef helper(x):\n    return x\n")
    module("right", "def read(x):\n    return helper(x)\n\ndef helper(x):\n    return -x\n")
    mine = module(
        "mine",
        "from left import read\nfrom right import read as other\n\n"
        "def f(x):\n    return read(x) + other(x)\n",
    )
    lifter = Lifter()
    lifter.need(mine.f)
    names: dict = {}
    exec("\n".join(texts(lifter).values()), names)  # noqa: S102 - text of this test
    assert len(lifter.pieces) == 5
    assert names["f"](3) == 0


def test_a_name_that_an_import_has_is_not_given_to_a_piece(module: Make) -> None:
    module("tools", "def nn(x):\n    return x\n")
    mine = module(
        "mine",
        "from torch import nn\nfrom tools import nn as mine_nn\n\n"
        "def f(x):\n    return nn.ReLU()(mine_nn(x))\n",
    )
    lifter = Lifter()
    lifter.need(mine.f)
    called = {*lifter.pieces, *lifter.imports}
    assert len(called) == len(lifter.pieces) + len(lifter.imports)
    names: dict = {}
    exec("\n".join([*imports(lifter), *texts(lifter).values()]), names)  # noqa: S102 - text of this test
    assert names["f"](torch.tensor(-3)) == 0


def test_a_local_name_is_no_name_of_the_module(module: Make) -> None:
    mine = module(
        "mine",
        "def size():\n    pass\n\ndef f(x):\n    size = x + 1\n    return [size for x in range(size)]\n",
    )
    lifter = Lifter()
    lifter.need(mine.f)
    assert lifter.pieces.keys() == {"f"}


def test_names_in_a_persons_annotations_come_along(module: Make) -> None:
    mine = module(
        "mine",
        """
        from __future__ import annotations
        from torch import Tensor

        Pair = tuple[Tensor, Tensor]

        def f(x: Tensor) -> Pair:
            return x, x
        """,
    )
    lifter = Lifter()
    lifter.need(mine.f)
    assert "Pair" in lifter.pieces
    assert "from torch import Tensor" in imports(lifter)


def test_one_name_of_several_that_are_assigned_at_once_comes_with_the_others_once(
    module: Make,
) -> None:
    mine = module("mine", "A, B = 1, 2\n\ndef f():\n    return A + B\n")
    lifter = Lifter()
    lifter.need(mine.f)
    names: dict = {}
    text = "\n".join(texts(lifter).values())
    exec(text, names)  # noqa: S102 - text of this test
    assert names["f"]() == 3
    assert text.count("A, B = 1, 2") == 1


@pytest.mark.parametrize(
    ("name", "text", "answer"),
    [
        ("TABLE", "TABLE = {}\nTABLE['a'] = 1\n\ndef f(): return TABLE['a']\n", 1),
        ("ITEMS", "ITEMS = []\nITEMS.append(1)\n\ndef f(): return len(ITEMS)\n", 1),
        ("RATE", "RATE = 1\nRATE *= 3\n\ndef f(): return RATE\n", 3),
        ("RATE", "if True:\n    RATE = 2\nelse:\n    RATE = 3\n\ndef f(): return RATE\n", 2),
        (
            "ujson",
            "try:\n    import ujson\nexcept ImportError:\n    ujson = None\n\ndef f(): return ujson\n",
            None,
        ),
        (
            "g",
            "try:\n    from math import g\nexcept ImportError:\n"
            "    def g(): return 4\n\ndef f(): return g()\n",
            4,
        ),
        ("SUM", "SUM = 0\nfor i in range(3):\n    SUM += i\n\ndef f(): return SUM\n", 3),
        ("sqrt", "from math import *\n\ndef f(): return sqrt(9)\n", 3.0),
        (
            "N",
            "def f():\n    return N\n\nN = 1\n\ndef more():\n    global N\n    N += 1\n\nmore()\n",
            2,
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and "\n" not in value else "",
)
def test_what_is_made_in_several_statements_comes_along_or_is_refused_by_its_name(
    module: Make, name: str, text: str, answer: object
) -> None:
    mine = module("mine", text)
    assert mine.f() == answer
    lifter = Lifter()
    try:
        lifter.need(mine.f)
    except EjectError as error:
        assert name in str(error)  # noqa: PT017 - either way is right
        return
    names: dict = {}
    exec("\n".join([*imports(lifter), *texts(lifter).values()]), names)  # noqa: S102 - text of this test
    assert names["f"]() == answer


# --- imports --------------------------------------------------------------------------------------


def test_other_packages_are_imported_as_they_were(module: Make) -> None:
    mine = module(
        "mine",
        """
        import math
        import numpy as np
        import torch.nn.functional as F
        from torch import nn, Tensor as T
        import os.path

        def f(x):
            return math.pi, np.ones(2), F.relu(x), nn.ReLU, T, os.path.join("a")
        """,
    )
    lifter = Lifter()
    lifter.need(mine.f)
    text = "\n".join(sorted(imports(lifter)))
    assert "import math" in text and "import numpy as np" in text and "from torch import nn" in text
    assert "from torch import Tensor as T" in text
    names: dict = {}
    exec("\n".join([*imports(lifter), *texts(lifter).values()]), names)  # noqa: S102 - text of this test
    assert names["f"](torch.ones(2))[0] > 3


def test_imports_within_a_function_move_to_the_top(module: Make) -> None:
    mine = module(
        "mine",
        "def f(x):\n    import math\n    from os import path as p\n    return math.sqrt(x), p\n",
    )
    lifter = Lifter()
    lifter.need(mine.f)
    assert (
        texts(lifter)["f"] == "def f(x):\n    return (math.sqrt(x), p)\n"
        or "import" not in texts(lifter)["f"]
    )
    assert imports(lifter) == {"import math", "from os import path as p"}


def test_the_name_of_an_import_that_is_taken_gets_another() -> None:
    lifter = Lifter()
    assert lifter.add_import(Import("torch", "nn")) == "nn"
    assert lifter.add_import(Import("torch", "nn")) == "nn"
    assert lifter.add_import(Import("flax", "nn")) == "nn_flax"
    assert Import("flax", "nn", "nn_flax").statement == "from flax import nn as nn_flax"


def test_a_class_of_torch_is_imported_from_where_people_know_it() -> None:
    lifter = Lifter()
    assert lifter.need(torch.optim.SGD) == "SGD"
    assert imports(lifter) == {"from torch.optim import SGD"}


def test_relative_imports_of_a_persons_package_are_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "parcel"
    (package / "inner").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "base.py").write_text("def base(x):\n    return x + 1\n")
    (package / "inner" / "__init__.py").write_text("from ..base import base\n")
    (package / "inner" / "use.py").write_text(
        "from . import base\nfrom ..base import base as again\n\n"
        "def f(x):\n    return base(x) + again(x)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    use = importlib.import_module("parcel.inner.use")
    lifter = Lifter()
    try:
        lifter.need(use.f)
    finally:
        for name in [name for name in sys.modules if name.partition(".")[0] == "parcel"]:
            del sys.modules[name]
    assert texts(lifter)["f"] == "def f(x):\n    return base(x) + base(x)\n"


# --- the library's own ----------------------------------------------------------------------------


def test_a_function_of_the_library_comes_without_guards_and_longer_docstrings() -> None:
    lifter = Lifter()
    assert lifter.need(one_cycle) == "one_cycle"
    text = texts(lifter)["one_cycle"]
    assert "Args:" not in text and "raise" not in text and '"""' in text


def test_caches_of_the_library_drop() -> None:
    lifter = Lifter()
    lifter.need("drivetrain.metrics.foreign:ForeignMetric")
    for text in texts(lifter).values():
        assert "@functools.cache" not in text and "lru_cache" not in text


def test_what_is_known_of_a_piece_is_put_in() -> None:
    lifter = Lifter(known={"drivetrain.optim.schedules:cosine": {"start": Known(1.0, "START")}})
    name = lifter.need("drivetrain.optim.schedules:cosine")
    assert "START" in texts(lifter)[name]


def test_what_is_kept_is_imported() -> None:
    lifter = Lifter(keep=("drivetrain.optim",))
    assert lifter.need(one_cycle) == "one_cycle"
    assert lifter.pieces == {}
    (one,) = imports(lifter)
    assert one.startswith("from drivetrain.optim") and one.endswith("import one_cycle")


def test_a_shorter_form_takes_the_place_of_a_piece() -> None:
    lifter = Lifter(
        instead={"drivetrain.optim.schedules:one_cycle": "def one_cycle(t):\n    return t\n"}
    )
    lifter.need(one_cycle)
    assert texts(lifter)["one_cycle"] == "def one_cycle(t):\n    return t\n"


def test_methods_of_the_library_come_when_somebody_calls_them() -> None:
    lifter = Lifter()
    lifter.need("drivetrain.data.loaders:BatchLoader")
    assert "batches" not in [
        m.name for m in lifter.pieces["BatchLoader"].node.body if hasattr(m, "name")
    ]
    lifter.written = [tree.statement("for one in train.batches(epoch): pass")]
    assert lifter.add_called_methods()
    assert "batches" in [
        m.name for m in lifter.pieces["BatchLoader"].node.body if hasattr(m, "name")
    ]


# --- names ----------------------------------------------------------------------------------------


def test_names_of_a_tree_are_those_that_it_does_not_make() -> None:
    text = """
        def f(a, *b, c=d, **e):
            g = a + h
            for i in j:
                k(i)
            with l as m, n() as o:
                m(o)
            try:
                p()
            except q as r:
                r()
            [s for s in t if s]
            (lambda u: u + v)(w)
            k(y := 1, y)
            class z(aa):
                bb = cc
            def dd():
                return g
            return ee.ff
        """
    found = names_in(tree.statement(textwrap.dedent(text).strip("\n") + "\n"))
    assert found == {"d", "h", "j", "k", "l", "n", "p", "q", "t", "v", "w", "aa", "cc", "ee"}


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("torch", False),
        ("os", False),
        ("drivetrain.optim", False),
        ("numpy.linalg", False),
        ("__main__", True),
    ],
)
def test_what_is_a_persons_own(name: str, answer: bool) -> None:
    assert is_own(name) is answer


def test_a_module_next_to_the_script_is_a_persons_own(module: Make) -> None:
    module("mine", "")
    assert is_own("mine")


def test_the_origin_of_a_function_is_its_module_and_name() -> None:
    assert origin_of(one_cycle) == ("drivetrain.optim.schedules", "one_cycle")
    assert origin_of(functools.partial(one_cycle, 0.5)) == (
        "drivetrain.optim.schedules",
        "one_cycle",
    )


def test_a_constant_of_a_name_that_is_taken_gets_another() -> None:
    lifter = Lifter()
    lifter.constants["EPOCHS"] = 3
    called = lifter.need("drivetrain.tabular.columns.date_text:EPOCHS")
    assert called == "EPOCHS_date_text"
    assert "\nEPOCHS_date_text = {" in "\n" + texts(lifter)[called]


def test_a_piece_may_be_called_otherwise_in_the_script() -> None:
    lifter = Lifter()
    lifter.called_as["drivetrain.optim.schedules:one_cycle"] = "rate"
    assert lifter.need(one_cycle) == "rate"
    assert texts(lifter)["rate"].startswith("def rate(")


def test_a_package_is_imported_as_the_module_calls_it_in_its_types() -> None:
    lifter = Lifter()
    lifter.need("drivetrain.tabular.columns.number_text:_plain")
    assert "import pyarrow as pa" in imports(lifter) and "import pyarrow" not in imports(lifter)
