"""Split of the frames and start frames of the runs."""

from __future__ import annotations

import json

import numpy as np
import pytest
from cgdistill.core.errors import InputError
from cgdistill.data.split import read_split, split_frames, start_frame, write_split

FRACTIONS = {"train": 0.8, "valid": 0.1, "test": 0.1}


@pytest.mark.parametrize("method", ["random", "blocks"])
@pytest.mark.parametrize("n_frames", [10, 33, 1000])
def test_parts_are_disjoint_complete_and_of_the_right_size(method, n_frames):
    split = split_frames(n_frames, FRACTIONS, method, seed=1)
    together = np.concatenate([split.train, split.valid, split.test])
    assert sorted(together) == list(range(n_frames))
    np.testing.assert_array_equal(split.known(), np.arange(n_frames))
    assert len(split.valid) == len(split.test) == round(0.1 * n_frames)
    for part in (split.train, split.valid, split.test):
        assert (np.diff(part) > 0).all()


def test_blocks_are_contiguous_and_random_is_not():
    blocks = split_frames(100, FRACTIONS, "blocks", seed=1)
    assert (blocks.train[-1], blocks.valid[0], blocks.valid[-1], blocks.test[0]) == (79, 80, 89, 90)
    assert split_frames(100, FRACTIONS, "random", seed=1).valid.max() - 9 > 0
    assert (np.diff(split_frames(100, FRACTIONS, "random", seed=1).valid) > 1).any()


def test_seed_decides():
    one, same, other = (split_frames(100, FRACTIONS, "random", seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one.test, same.test)
    assert not np.array_equal(one.test, other.test)


def test_fewer_training_frames_leave_the_other_parts_alone():
    whole = split_frames(200, FRACTIONS, "random", seed=3)
    cut = split_frames(200, FRACTIONS, "random", seed=3, max_train_frames=7)
    assert len(cut.train) == len(set(cut.train)) == 7
    assert set(cut.train) <= set(whole.train)
    np.testing.assert_array_equal(cut.valid, whole.valid)
    np.testing.assert_array_equal(cut.test, whole.test)
    assert (cut.train[0], cut.train[-1]) == (whole.train[0], whole.train[-1])


def test_an_empty_part_is_refused():
    with pytest.raises(InputError, match=r"split\.valid"):
        split_frames(4, FRACTIONS, "random", seed=1)


def test_file_round_trip_and_faults(tmp_path):
    path = tmp_path / "split.json"
    split = split_frames(30, FRACTIONS, "random", seed=1)
    write_split(path, split, {"seed": 1})
    back = read_split(path, 30)
    for name in ("train", "valid", "test"):
        np.testing.assert_array_equal(back.part(name), split.part(name))
    with pytest.raises(InputError, match="frames below 20"):
        read_split(path, 20)
    data = json.loads(path.read_text(encoding="utf-8"))
    faults = {
        "a frame in two sets": data | {"valid": data["train"][:1]},
        "at least one frame": data | {"test": []},
        "train, valid and test": {"train": [0]},
        "JSON": [1, 2],
    }
    for message, content in faults.items():
        path.write_text(json.dumps(content), encoding="utf-8")
        with pytest.raises(InputError, match=message):
            read_split(path, 30)
    path.write_text("{", encoding="utf-8")
    with pytest.raises(InputError, match=r"split\.json"):
        read_split(path, 30)


def test_start_frames_come_from_training_and_repeat_only_when_used_up():
    train = np.array([3, 5, 8, 13])
    frames = [start_frame(train, number, seed=1) for number in range(8)]
    assert sorted(frames[:4]) == train.tolist()
    assert frames[4:] == frames[:4]
    long = np.arange(100)
    drawn = [[start_frame(long, number, seed) for number in range(8)] for seed in (1, 2)]
    assert drawn[0] != drawn[1]
