from dataclasses import replace

import numpy as np
import pytest

from edgeconv.data import DataRequest, check, choose, ready_items
from edgeconv.errors import InternalError, UsageError
from edgeconv.preprocess import Preprocess
from edgeconv.progress import Silent
from tests.bundles import source

X = np.random.default_rng(0).normal(size=(7, 4, 4, 3)).astype(np.float32)
#: Would spoil what is ready, were it applied.
PREPROCESS = Preprocess(height=4, width=4, scale=(0.5,), offset=(-1.0,))


def test_ready_inputs_come_out_as_they_went_in():
    items = ready_items([X, X[:, 0, 0]], PREPROCESS, "made up")
    batches = list(items.batches(3))
    assert [batch.x[0].shape for batch in batches] == [(3, 4, 4, 3), (3, 4, 4, 3), (1, 4, 4, 3)]
    np.testing.assert_array_equal(np.concatenate([batch.x[0] for batch in batches]), X)
    np.testing.assert_array_equal(np.concatenate([batch.x[1] for batch in batches]), X[:, 0, 0])
    assert batches[2].y is None and not items.labelled and batches[2].ids == ("input 6",)


def test_their_fingerprint_is_that_of_their_content():
    one, same, other = (ready_items([x], PREPROCESS, "made up") for x in (X, X.copy(), X + 1))
    assert one.fingerprint == same.fingerprint != other.fingerprint
    assert len(set(one.item_hashes())) == len(X)
    assert one.take(3).item_hashes() == tuple(one.item_hashes()[i] for i in (0, 2, 4))


def test_they_can_t_be_preprocessed_in_another_way():
    with pytest.raises(InternalError):
        ready_items([X], PREPROCESS, "made up").with_preprocess(Preprocess(kind="array"))


def test_where_no_data_calibrates_the_built_in_pictures_judge():
    request = DataRequest(calibration="none")
    check(request)
    calibration, parity = choose(request, source(), True, Silent())
    assert calibration is None and parity.name == "built-in pictures:parity"


def test_given_data_judge_whole_where_none_calibrates(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.zeros((5, 3), np.float32))
    arrays = replace(source(task="raw"), preprocess=Preprocess(kind="array"))
    arrays = replace(arrays, inputs=(replace(arrays.inputs[0], shape=(None, 3)),))
    request = DataRequest(calibration="none", parity=str(tmp_path / "x.npz"))
    calibration, parity = choose(request, arrays, True, Silent())
    assert calibration is None and len(parity) == 5
    with pytest.raises(UsageError, match="judged") as caught:
        choose(replace(request, parity=None), arrays, True, Silent())
    assert "--parity" in caught.value.hint


def test_a_parity_set_called_none_is_not_there():
    with pytest.raises(UsageError, match="no data 'none'"):
        check(DataRequest(parity="none"))
