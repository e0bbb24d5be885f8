"""Photos in folders: degraded by us, or paired with LR files by name."""

import pathlib
import re

from sr_keras import images
from sr_keras.datasets.pairs import Pairs


def folder(path, scale, lr_path=None, degradation="bicubic"):
    """Makes a dataset of the photos in a folder.

    With `lr_path`, LR files are paired with HR files by name, as DIV2K and the
    benchmark sets name them: `0001.png` with `0001x4.png` (or `0001x4m.png`, ...),
    or with an equal name. A photo with several LR files, as in DIV2K's wild track,
    makes a pair with each, named like the LR file.

    If `path` is laid out as the benchmark sets or DIV2K are, see `find_lr`, and
    neither `lr_path` nor another degradation is given, the LR files that lie there
    are used.

    Args:
        path: Folder of HR photos; those in subfolders count too.
        scale: Upscaling factor.
        lr_path: None, or the folder of the LR files.
        degradation: What makes the LR images if there are no files, see
            `degradations.get`.

    Returns:
        A `Pairs`.

    Raises:
        FileNotFoundError: If there is no such folder, or there are no images in
            it.
        ValueError: If an HR photo has no LR file, which is named, or both
            `lr_path` and another degradation than "bicubic" are given, or the folder
            holds benchmark sets, LR files and all.
    """
    path = pathlib.Path(path)
    if lr_path is not None and degradation != "bicubic":
        raise ValueError(
            f"The LR images are either files or made by {degradation}: give `lr_path`"
            " or `degradation`."
        )
    if lr_path is None:
        path, found = find_lr(path, scale)
        if degradation == "bicubic":
            lr_path = found
    if lr_path is None:
        sets = [str(found) for found in find_sets(path) if any(found.glob("LR*"))]
        if sets:
            raise ValueError(
                f"{path} holds sets with LR files; name one of {', '.join(sets)}"
            )
    hr_files = image_files(path)
    names = [_name(file, path) for file in hr_files]
    if lr_path is None:
        return Pairs(
            names,
            scale,
            lambda index: images.read(hr_files[index]),
            degradation=degradation,
            key=fingerprint(hr_files),
        )

    lr_path = pathlib.Path(lr_path)
    pairs = []
    for name, hr_file, lr_files in zip(
        names, hr_files, _partners(names, lr_path, scale), strict=True
    ):
        if not lr_files:
            raise ValueError(
                f"{hr_file} has no LR file: {lr_path} has neither {name}x{scale} nor"
                f" {name}."
            )
        for lr_file in lr_files:
            pair_name = name if len(lr_files) == 1 else _name(lr_file, lr_path)
            pairs.append((pair_name, hr_file, lr_file))
    names, hr_files, lr_files = zip(*pairs, strict=True)
    return Pairs(
        names,
        scale,
        lambda index: images.read(hr_files[index]),
        lambda index: images.read(lr_files[index]),
        key=fingerprint(hr_files + lr_files),
    )


def image_files(path):
    """Returns the image files in a folder and its subfolders, sorted.

    Raises:
        FileNotFoundError: If there is no such folder, or there are none.
    """
    path = pathlib.Path(path)
    if not path.is_dir():
        raise FileNotFoundError(f"There is no folder {path}")
    files = [
        file
        for file in sorted(path.rglob("*"))
        if file.suffix.lower() in images.SUFFIXES
        and file.is_file()
        and not any(part.startswith(".") for part in file.relative_to(path).parts)
    ]
    if not files:
        raise FileNotFoundError(
            f"There are no images in {path} (files that end in"
            f" {', '.join(images.SUFFIXES)})."
        )
    return files


def find_lr(path, scale):
    """Finds HR and LR folders side by side, as the field lays them out.

    Args:
        path: A folder with `HR` and `LR_bicubic/X4` in it (the benchmark sets), or
            one such as `DIV2K_train_HR` beside `DIV2K_train_LR_bicubic/X4`.
        scale: Upscaling factor.

    Returns:
        `(hr_folder, lr_folder)`; `lr_folder` is None if there is none for this
        scale, and `hr_folder` is `path` if the layout is none of these.
    """
    path = pathlib.Path(path)
    if (path / "HR").is_dir():
        hr, lr = path / "HR", path / "LR_bicubic"
    elif path.name.endswith("_HR"):
        hr, lr = path, path.with_name(path.name.removesuffix("HR") + "LR_bicubic")
    else:
        return path, None
    for lr_folder in (lr / f"X{scale}", lr / f"x{scale}"):
        if lr_folder.is_dir():
            return hr, lr_folder
    return hr, None


def find_sets(path):
    """Returns the folders of benchmark sets in a folder: those with `HR` in them."""
    return sorted(hr.parent for hr in pathlib.Path(path).glob("*/HR") if hr.is_dir())


def _name(file, path):
    return file.relative_to(path).with_suffix("").as_posix()


def _partners(names, lr_path, scale):
    """Returns a list of LR files for every name."""
    ending = re.compile(rf"x{scale}([mdw]\d?)?$")
    partners = {name: [] for name in names}
    for file in image_files(lr_path):
        name = _name(file, lr_path)
        if name not in partners:
            name = ending.sub("", name)
        if name in partners:
            partners[name].append(file)
    return [partners[name] for name in names]


def fingerprint(files):
    """Returns a text that changes when one of the files does."""
    stats = [(file, file.stat()) for file in files]
    return " ".join(
        f"{file.resolve()} {stat.st_size} {stat.st_mtime_ns}" for file, stat in stats
    )
