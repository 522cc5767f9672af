"""SavedModels that were made to do harm; and those that users write, which must open."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from edgeconv.errors import RefusedInput, Unsupported
from edgeconv.load.operators import PURE, RESTORING
from edgeconv.workshop import Workshop
from tests.attacks import saved_model_calls

CALLS = saved_model_calls.__name__


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workshop]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
        with Workshop(tmp_path_factory.mktemp("workshop")) as child:
            yield child


@pytest.fixture(scope="module")
def sound(workshop: Workshop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sound") / "model"
    workshop.call(f"{CALLS}:export", kind="mobilenet", folder=str(folder))
    return folder


def opened(workshop: Workshop, folder: Path) -> None:
    out = str(folder.parent / "graph.pb")
    workshop.call(
        "edgeconv.load.child:open_saved_model",
        path=str(folder),
        out=out,
        input_size=None,
        keep_head=True,
    )


@pytest.mark.parametrize(
    ("attack", "named"),
    [
        ("on the way to the answer", "WriteFile"),
        ("in a function", "WriteFile"),
        ("under a built-in name", "WriteFile"),
        ("in an attribute of a call", "WriteFile"),
        ("while restoring", "WriteFile"),
        ("saving elsewhere", "SaveV2"),
        ("an unknown operator", "SomebodysOwnOperator"),
    ],
)
def test_an_operator_that_is_not_known_to_be_harmless_is_refused_and_not_run(
    workshop: Workshop, sound: Path, tmp_path: Path, attack: str, named: str
) -> None:
    folder = Path(shutil.copytree(sound, tmp_path / "evil"))
    harm = tmp_path / "harm"
    workshop.call(f"{CALLS}:tamper", folder=str(folder), attack=attack, target=str(harm))

    with pytest.raises(RefusedInput, match=f"evil holds the operator '{named}'"):
        opened(workshop, folder)

    assert not list(tmp_path.glob("harm*"))


def test_an_initializer_is_not_run(workshop: Workshop, sound: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(sound, tmp_path / "evil"))
    harm = tmp_path / "harm"
    workshop.call(
        f"{CALLS}:tamper", folder=str(folder), attack="in the initializer", target=str(harm)
    )

    opened(workshop, folder)

    assert not harm.exists()


@pytest.mark.parametrize(
    ("kind", "shape"), [("mobilenet", (16, 16, 3)), ("resnet", (16, 16, 3)), ("recurrent", (6, 4))]
)
def test_what_keras_exports_opens_and_answers_the_same(
    workshop: Workshop, tmp_path: Path, kind: str, shape: tuple[int, ...]
) -> None:
    wanted = workshop.call(f"{CALLS}:export", kind=kind, folder=str(tmp_path / "model"))

    opened(workshop, tmp_path / "model")

    np.save(tmp_path / "x.npy", np.full((1, *shape), 0.5, np.float32))
    workshop.call(
        "edgeconv.load.child:predict",
        inputs=[str(tmp_path / "x.npy")],
        outputs=[str(tmp_path / "y.npy")],
    )
    assert np.load(tmp_path / "y.npy")[0].tolist() == pytest.approx(wanted, abs=1e-5)


def test_a_saved_model_that_is_cut_short_is_refused(
    workshop: Workshop, sound: Path, tmp_path: Path
) -> None:
    for name in ("saved_model.pb", "variables/variables.index"):
        folder = Path(shutil.copytree(sound, tmp_path / name.replace("/", "-")))
        (folder / name).write_bytes((folder / name).read_bytes()[:100])
        with pytest.raises(RefusedInput, match=folder.name):
            opened(workshop, folder)


def test_a_saved_model_without_a_serving_signature_is_told(
    workshop: Workshop, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "saved_model.pb").write_bytes(b"")

    with pytest.raises(Unsupported, match="serving_default"):
        opened(workshop, tmp_path / "empty")


@pytest.mark.parametrize(
    "word", ["File", "Py", "Save", "Dataset", "Iterator", "Send", "Recv", "Print", "Decode", "Xla"]
)
def test_no_operator_on_the_list_reaches_beyond_the_graph(word: str) -> None:
    assert not [name for name in PURE | RESTORING if word in name]


@pytest.mark.parametrize("custom", [True, False])
def test_a_loss_of_the_users_own_is_neither_loaded_nor_in_the_way(
    workshop: Workshop, tmp_path: Path, custom: bool
) -> None:
    from edgeconv.load.guard import check_source

    path = tmp_path / "trained.keras"
    workshop.call(f"{CALLS}:keras_file", path=str(path), custom_loss=custom)

    assert check_source(path) == "keras"
    info = workshop.call(
        "edgeconv.load.child:open_file", path=str(path), out=str(tmp_path / "g.pb"),
        input_size=None, keep_head=False, trust=False, custom=None,
    )  # fmt: skip
    assert info["layers"] == ["head"]
