"""A checkpoint that is not exactly what was written is treated as missing."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_metaconv.extract.checkpoint import Checkpoint, Identity
from airflow_provider_metaconv.extract.page_sizes import Sizes
from airflow_provider_metaconv.files import LocalStorage
from airflow_provider_metaconv.files.manifest import CHECKPOINT_NAME
from tests.integration.extract.scene import Scene, scene, threads

SIZES = Sizes(5, 2, 3)
VALUES: tuple[Any, ...] = (None, True, False, 0, -1, 2**70, 1e308, "", "x", "\ud83d", [], [None], {}, {"x": []})


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """An extraction that ended halfway, with parts, segments and a state with open conversations."""
    with scene(tmp_path_factory.mktemp("page"), threads(12, messages=7)) as page:
        page.add("190/463", route="conversations", match="after=", after_calls=1, times=1)
        page.failing_attempt(sizes=SIZES, rows_per_part=20)
        yield page


@pytest.fixture(scope="module")
def left(page: Scene) -> dict[str, bytes]:
    """The files that the attempt left."""
    return {path.name: path.read_bytes() for path in page.folder.iterdir()}


@pytest.fixture
def restored(page: Scene, left: dict[str, bytes]) -> Scene:
    for path in page.folder.iterdir():
        path.unlink()
    for name, data in left.items():
        (page.folder / name).write_bytes(data)
    return page


def loaded(folder: Path, left: dict[str, bytes]) -> object:
    identity = json.loads(left[CHECKPOINT_NAME])["content"]["identity"]
    return Checkpoint(LocalStorage(folder), Identity(**identity)).load()


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from places(inner, (*path, key))


def with_value(content: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    copy = dict(content) if isinstance(content, dict) else list(content)
    copy[path[0]] = with_value(content[path[0]], path[1:], value)
    return copy


def test_an_undamaged_checkpoint_is_used(restored: Scene, left: dict[str, bytes]) -> None:
    assert loaded(restored.folder, left) is not None
    assert restored.attempt(sizes=SIZES, rows_per_part=20).complete
    assert (restored.message_ids, restored.incomplete) == (restored.ground_truth(), {})


def test_a_corrupted_checkpoint_is_discarded(restored: Scene, left: dict[str, bytes]) -> None:
    content = json.loads(left[CHECKPOINT_NAME])
    undamaged, checkpoint, tried = json.dumps(content), restored.folder / CHECKPOINT_NAME, 0
    for path in places(content):
        for value in VALUES:
            damaged = json.dumps(with_value(content, path, value))
            if damaged == undamaged:
                continue
            # Some file systems write a replaced content to disk at once, but not a new file.
            checkpoint.unlink()
            checkpoint.write_text(damaged)
            assert loaded(restored.folder, left) is None, (path, value)
            tried += 1
    assert tried > 1_000


@pytest.mark.parametrize("seed", range(4))
def test_a_checkpoint_with_a_damaged_file_is_discarded(restored: Scene, left: dict[str, bytes], seed: int) -> None:
    chance = random.Random(seed)
    for name in (CHECKPOINT_NAME, *(name for name in left if name.endswith((".ndjson", ".gz")))):
        data = bytearray(left[name])
        if seed % 2:
            data = data[: chance.randrange(len(data))]
        else:
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        (restored.folder / name).write_bytes(data)
        assert loaded(restored.folder, left) is None, name
        (restored.folder / name).write_bytes(left[name])


@pytest.mark.parametrize("suffix", [".json", ".ndjson", ".gz"])
def test_an_attempt_after_damage_starts_over_and_loses_nothing(
    restored: Scene, left: dict[str, bytes], suffix: str
) -> None:
    for name in left:
        if name.endswith(suffix):
            path = restored.folder / name
            path.write_bytes(path.read_bytes()[:-9])
    assert restored.attempt(sizes=SIZES, rows_per_part=20).complete
    assert (restored.message_ids, restored.incomplete) == (restored.ground_truth(), {})


def test_a_special_file_in_place_of_a_checkpoint_is_replaced(restored: Scene) -> None:
    path = restored.folder / CHECKPOINT_NAME
    path.unlink()
    path.symlink_to("/dev/zero")
    assert restored.attempt(sizes=SIZES, rows_per_part=20).complete
    assert (restored.message_ids, restored.incomplete) == (restored.ground_truth(), {})
