"""DIV2K: 800 photos to train on and 100 to validate on, with LR images."""

import http.client
import os
import pathlib
import shutil
import urllib.request
import zipfile

from sr_keras.datasets.folder import folder, image_files

_SPLITS = {"train": "train", "validation": "valid"}
_TIMEOUT = 10  # seconds without an answer
_CHUNK = 2**20


def div2k(scale, split="train", track="bicubic", path=None, progress=None):
    """Makes a dataset of DIV2K, which is fetched if it is not there yet.

    The zips land in `div2k` in `path`, or are put there by hand under their
    official names. The `div2k` builder of tensorflow-datasets says where they come
    from, and its `DownloadManager` verifies their SHA-256. Its
    `download_and_prepare` is not used: that wants the zips of both splits, begins a
    broken download again from zero, and writes records that have neither the
    photos' names nor random access. Here only the zips of the split are fetched, an
    interrupted download goes on where it was, and nothing is done twice.

    Args:
        scale: Upscaling factor: 2, 3, 4 or 8 for "bicubic", 2, 3 or 4 for
            "unknown", 4 for the others.
        split: "train" (0001 to 0800) or "validation" (0801 to 0900).
        track: "bicubic", "unknown", "realistic_mild", "realistic_difficult" or
            "realistic_wild", whose train split has four LR images of each photo.
        path: Folder for downloads, by default the one that the environment variable
            `SR_KERAS_DATA` names, or else `data`.
        progress: None, or a function that wraps an iterable, to show how far each
            download and each extraction is.

    Returns:
        A `Pairs`, whose names are DIV2K's.

    Raises:
        ValueError: If there is no such split or track, or a zip is corrupt, which
            is named.
        ConnectionError: If a zip cannot be fetched. The message says which files
            to put where by hand.
        OSError: If the disk has too little space.

    Reference:
        [Agustsson and Timofte, 2017](https://doi.org/10.1109/CVPRW.2017.150)
    """
    import tensorflow_datasets as tfds  # half a second that only DIV2K needs

    builder = tfds.builder_cls("div2k")
    configs = {config.name: config for config in builder.BUILDER_CONFIGS}
    if f"{track}_x{scale}" not in configs:
        raise ValueError(
            f"DIV2K has the tracks {', '.join(configs)}. Received: {track}_x{scale}"
        )
    if split not in _SPLITS:
        raise ValueError(
            f"`split` must be one of {', '.join(_SPLITS)}. Received: {split}"
        )
    urls = configs[f"{track}_x{scale}"].download_urls
    urls = [urls[f"{_SPLITS[split]}_{part}_url"] for part in ("hr", "lr")]

    if path is None:
        path = os.environ.get("SR_KERAS_DATA", "data")
    path = pathlib.Path(path) / "div2k"
    targets = {
        url: path / "extracted" / builder.url_infos[url].filename.removesuffix(".zip")
        for url in urls
    }
    todo = {url: builder.url_infos[url] for url in urls if not targets[url].is_dir()}
    if todo:
        path.mkdir(parents=True, exist_ok=True)
        _fetch_missing(todo, path, progress)
        manager = tfds.download.DownloadManager(
            download_dir=path, manual_dir=path, url_infos=builder.url_infos
        )
        for url, info in todo.items():
            try:
                file = manager.download(url)
            except tfds.download.download_manager.NonMatchingChecksumError as error:
                raise ValueError(
                    f"{path / info.filename} is corrupt. Delete it, and it is fetched"
                    f" anew. {error}"
                ) from error
            _extract(file, targets[url], progress)

    hr_path, lr_path = (
        os.path.commonpath([file.parent for file in image_files(targets[url])])
        for url in urls
    )
    return folder(hr_path, scale, lr_path)


def _fetch_missing(infos, path, progress):
    """Fetches the zips that are not in `path`, if the disk can hold all of them.

    `infos` maps URLs to what tensorflow-datasets knows: size, checksum, filename.
    """
    missing = {
        url: info for url, info in infos.items() if not (path / info.filename).exists()
    }
    # PNG files take the same space in a zip and out of it
    needed = sum(info.size for info in [*infos.values(), *missing.values()])
    parts = [path / f"{info.filename}.part" for info in missing.values()]
    needed -= sum(part.stat().st_size for part in parts if part.exists())
    free = shutil.disk_usage(path).free
    if needed > free:
        raise OSError(
            f"DIV2K takes {_megabytes(needed)} more in {path}, whose disk has"
            f" {_megabytes(free)} left."
        )
    for url, info in missing.items():
        print(
            f"Fetching {info.filename} ({_megabytes(info.size)}) into {path}. Its"
            " photos take as much again when extracted, and about twice as much again"
            " when decoded for training."
        )
        try:
            _fetch(url, info, path, progress)
        except (OSError, http.client.HTTPException) as error:
            wanted = "\n".join(
                f"{info.filename}, {info.size:d} bytes, SHA-256 {info.checksum}, {url}"
                for url, info in missing.items()
                if not (path / info.filename).exists()
            )
            raise ConnectionError(
                f"{info.filename} cannot be fetched: {error}. What has come is kept,"
                " and the next call goes on there. By hand, put into"
                f" {path.resolve()}:\n{wanted}"
            ) from error


def _fetch(url, info, path, progress):
    """Fetches one file; goes on after a break as long as that brings new bytes."""
    part = path / f"{info.filename}.part"
    part.touch()
    while (done := part.stat().st_size) < info.size:
        error = ConnectionError("the connection broke")
        try:
            _fetch_rest(url, part, info.size, progress)
        except (OSError, http.client.HTTPException) as reason:
            error = reason
        if part.stat().st_size <= done:
            raise error
    os.replace(part, path / info.filename)


def _fetch_rest(url, part, size, progress):
    done = part.stat().st_size
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"})
    with (
        urllib.request.urlopen(request, timeout=_TIMEOUT) as response,
        open(part, "r+b") as file,
    ):
        if response.status != 206:  # the server sends it from the beginning only
            done = 0
            file.truncate()
        file.seek(done)
        steps = range(done, size, _CHUNK)
        for _ in steps if progress is None else progress(steps):
            chunk = response.read(_CHUNK)
            file.write(chunk)
            if not chunk:
                break


def _extract(file, target, progress):
    part = target.with_name(f"{target.name}.part")
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        for member in members if progress is None else progress(members):
            archive.extract(member, part)
    os.replace(part, target)


def _megabytes(size):
    return f"{size / 1e6:,.0f} MB"
