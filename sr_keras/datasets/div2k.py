"""DIV2K: 800 training and 100 validation photos with LR images."""

import os
import pathlib
import shutil
import zipfile

from sr_keras import files
from sr_keras.checks import check_name
from sr_keras.datasets.folder import folder, image_files

_SPLITS = {"train": "train", "validation": "valid"}


def div2k(
    scale, split="train", track="bicubic", path=None, progress=None, degradation=None
):
    """Makes a dataset of DIV2K and downloads it if necessary.

    The zip files are stored in `div2k` in `path`; they may also be put there by hand
    under their official names. Their addresses and SHA-256 digests come from the
    `div2k` builder of tensorflow-datasets. Its `download_and_prepare` is not used: it
    needs the zip files of both splits, restarts an interrupted download from zero, and
    writes records without the photos' names and without random access. This function
    downloads only the zip files of the split and resumes interrupted downloads.

    Args:
        scale: Upscaling factor: 2, 3, 4 or 8 for "bicubic", 2, 3 or 4 for "unknown", 4
            for the other tracks.
        split: "train" (0001 to 0800) or "validation" (0801 to 0900).
        track: "bicubic", "unknown", "realistic_mild", "realistic_difficult" or
            "realistic_wild", whose train split has four LR images of each photo.
        path: Download folder. None for the one that the environment variable
            `SR_KERAS_DATA` names (`data` if it is not set).
        progress: None, or a function that wraps an iterable to show the progress of
            each download and each extraction.
        degradation: None for the LR images of the track, or what makes LR images
            instead, see `degradations.get`; only the HR photos are downloaded then.

    Returns:
        A `Pairs` with DIV2K's names.

    Raises:
        ValueError: If there is no such split or track, or a zip file is corrupt. The
            message names it.
        ConnectionError: If a zip file cannot be downloaded. The message says which
            files to put where by hand.
        OSError: If the disk has too little space.

    Reference:
        [Agustsson and Timofte, 2017](https://doi.org/10.1109/CVPRW.2017.150)
    """
    import tensorflow_datasets as tfds  # takes half a second

    builder = tfds.builder_cls("div2k")
    configs = {config.name: config for config in builder.BUILDER_CONFIGS}
    check_name("a split", split, _SPLITS)
    if degradation is None:
        check_name("a track and scale of DIV2K", f"{track}_x{scale}", configs)
    elif track != "bicubic":
        raise ValueError(
            "`track` and `degradation` cannot be combined. Received:"
            f" track={track!r}, degradation={degradation!r}"
        )
    config = configs[f"{track}_x{scale}" if degradation is None else "bicubic_x4"]
    parts = ("hr", "lr") if degradation is None else ("hr",)
    urls = [config.download_urls[f"{_SPLITS[split]}_{part}_url"] for part in parts]

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
        _check_space(todo, path)
        for url, info in todo.items():
            _download(url, todo, path, progress)
            _extract(path / info.filename, targets[url], progress)

    folders = [
        os.path.commonpath([file.parent for file in image_files(targets[url])])
        for url in urls
    ]
    return folder(folders[0], scale, *folders[1:], degradation=degradation)


def _check_space(infos, path):
    """Raises an OSError if the disk cannot hold the zip files and their contents.

    `infos` maps URLs to what tensorflow-datasets knows: size, checksum, filename.
    """
    needed = 0
    for info in infos.values():
        needed += info.size  # PNG files are as large in a zip file as outside
        if not (path / info.filename).exists():
            part = path / f"{info.filename}.part"
            needed += info.size - (part.stat().st_size if part.exists() else 0)
    free = shutil.disk_usage(path).free
    if needed > free:
        raise OSError(
            f"DIV2K takes {_megabytes(needed)} more in {path}, but the disk has only"
            f" {_megabytes(free)} left."
        )


def _download(url, infos, path, progress):
    """Downloads one zip file, or checks the one that is there."""
    info = infos[url]
    file = path / info.filename
    if not file.exists():
        print(
            f"Downloading {info.filename} ({_megabytes(info.size)}) to {path}. The"
            " photos take as much space again when extracted, and about twice as much"
            " when decoded for training."
        )
    try:
        files.download(url, file, info.checksum, progress=progress)
    except ValueError as error:
        hint = " Delete it to download it again." if file.exists() else ""
        raise ValueError(f"{info.filename} is corrupt: {error}.{hint}") from error
    except OSError as error:
        wanted = "\n".join(
            f"{info.filename}, {info.size:d} bytes, SHA-256 {info.checksum}, {url}"
            for url, info in infos.items()
            if not (path / info.filename).exists()
        )
        raise ConnectionError(
            f"{info.filename} cannot be downloaded: {error}. The part that has been"
            " downloaded is kept, and the next call resumes there. To do it by hand,"
            f" put into {path.resolve()}:\n{wanted}"
        ) from error


def _extract(file, target, progress):
    part = target.with_name(f"{target.name}.part")
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        for member in members if progress is None else progress(members):
            archive.extract(member, part)
    os.replace(part, target)


def _megabytes(size):
    return f"{size / 1e6:,.0f} MB"
