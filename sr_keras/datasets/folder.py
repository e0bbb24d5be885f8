"""Photos in folders, degraded or paired with LR files."""

import itertools
import os
import pathlib
import re
import warnings

from sr_keras import degradations, images
from sr_keras.checks import check_counts
from sr_keras.datasets.pairs import Pairs

_LISTED = 5  # files that an error shows

# Names of folders in lower case, such as "train_hr", "lq", "lr_bicubic" and "x4"
_HR_FOLDER = re.compile(r"(.*[ ._-])?(hr|gt)(x\d+)?([ ._-].*)?")
_LR_FOLDER = re.compile(r"(.*[ ._-])?(lr|lq)(x\d+)?([ ._-].*)?|x\d+")


def folder(path, scale, lr_path=None, degradation=None, shrink=1):
    """Makes a dataset of the photos in a folder.

    The LR images are files or made by a degradation. Files are used if `lr_path` is
    given, or if `degradation` is None and they are stored in one of these layouts (in
    upper or lower case), where X4 stands for the scale:

    - `path/HR` and `path/LR_bicubic/X4`, as in the benchmark sets;
    - `path/HR` and `path/LR` (or `LR/X4`, `LR_x4`, `X4`, ...);
    - `path` ends in `HR` and there is a folder such as `LR` or `LR_bicubic/X4` beside
      it: `DIV2K_train_HR` and `DIV2K_train_LR_bicubic/X4`.

    LR files are matched with HR files by name: an equal name, or one that ends in `x4`
    (`x4m`, `x4w1`, ...), `_LR`, `_LRx4`, `_bicLRx4` and the like. HR names may end in
    `_HR`; `hr_` and `lr_` at the beginning are ignored as well. A photo with several LR
    files, as in DIV2K's wild track, makes a pair with each, named after the LR file.

    Args:
        path: Folder of HR photos, with subfolders.
        scale: Upscaling factor.
        lr_path: Folder of the LR files, or None.
        degradation: What makes the LR images, see `degradations.get`. None for the LR
            files where there are any, and for bicubic elsewhere.
        shrink: Factor by which HR photos are shrunk before use, with antialiased
            bicubic interpolation. 2 or 3 removes the artefacts of strongly compressed
            photos.

    Returns:
        A `Pairs`.

    Raises:
        FileNotFoundError: If there is no such folder, or it contains no images.
        ValueError: If an HR photo has no LR file, the folders fit none of the layouts
            but look as if they contained LR files, or options exclude each other.

    Warns:
        UserWarning: If a folder that is degraded looks as if it contained LR files.
    """
    path = pathlib.Path(path)
    check_counts(shrink=shrink)
    if lr_path is not None and degradation is not None:
        raise ValueError(
            "`lr_path` and `degradation` cannot be combined: the LR images are either"
            f" files or made. Received: lr_path={str(lr_path)!r},"
            f" degradation={degradation!r}"
        )
    if lr_path is None:
        path, lr_path = find_lr(path, scale, search=degradation is None)
    if lr_path is not None and shrink != 1:
        raise ValueError(
            f"`shrink` changes the HR photos, so that the LR files in {lr_path} do not"
            ' fit them: pass `degradation`, such as "bicubic". Received:'
            f" shrink={shrink!r}"
        )
    hr_files = image_files(path)
    names = [_name(file, path) for file in hr_files]
    if lr_path is None:
        _check_unpaired(path, names, degradation)
        return Pairs(
            names,
            scale,
            lambda index: _shrunk(images.read(hr_files[index]), shrink),
            degradation=degradation,
            key=f"{fingerprint(hr_files)} shrink {shrink}",
            hr_files=hr_files,
        )

    lr_path = pathlib.Path(lr_path)
    pairs = []
    for name, hr_file, lr_files in zip(
        names, hr_files, _partners(names, lr_path, scale), strict=True
    ):
        if not lr_files:
            found = [_name(file, lr_path) for file in image_files(lr_path)]
            more = ", ..." if len(found) > _LISTED else ""
            raise ValueError(
                f"{hr_file} has no LR file: {lr_path} should contain {name}x{scale} or"
                f" {name}. Found there: {', '.join(found[:_LISTED])}{more}"
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
        hr_files=hr_files,
    )


def image_files(path):
    """Returns the image files in a folder and its subfolders, sorted.

    Hidden files and folders are ignored.

    Raises:
        FileNotFoundError: If there is no such folder, or it contains no images.
    """
    path = pathlib.Path(path)
    if not path.is_dir():
        raise FileNotFoundError(f"There is no folder {path}.")
    found = []  # strings, because thousands of paths take seconds to make and compare
    for parent, folders, names in os.walk(path, followlinks=True):
        folders[:] = [name for name in folders if not name.startswith(".")]
        found += [
            os.path.join(parent, name)
            for name in names
            if not name.startswith(".") and _is_image(name)
        ]
    found.sort(key=lambda file: file.split(os.sep))
    files = [pathlib.Path(file) for file in found if os.path.isfile(file)]
    if not files:
        raise FileNotFoundError(
            f"There are no images in {path} (files that end in"
            f" {', '.join(images.SUFFIXES)})."
        )
    return files


def find_lr(path, scale, search=True):
    """Finds the HR and LR folders of the layouts that `folder` describes.

    Args:
        path: A folder.
        scale: Upscaling factor.
        search: Whether to look for LR files.

    Returns:
        `(hr_folder, lr_folder)`. `hr_folder` is `path` unless it contains `HR`.
        `lr_folder` is None if there are no LR files, or if the LR files were made by
        bicubic interpolation for other scales only.

    Raises:
        ValueError: If there are LR folders, but none for this scale, or an LR folder
            without an HR folder.
    """
    path = pathlib.Path(path)
    inside = _folders(path)
    hr = inside.get("hr")
    if hr is not None:
        prefix, beside = "", inside
    elif path.name.lower().endswith("hr") and path.is_dir():
        prefix, beside = path.name[:-2].lower(), _folders(path.resolve().parent)
        if prefix and not prefix.endswith(("_", "-")):
            return path, None  # a word that happens to end so
        hr = path
    else:
        if search and "lr" in inside:
            raise ValueError(
                f"{path} contains {inside['lr'].name} but no HR folder. Found there:"
                f" {', '.join(found.name for found in inside.values())}"
            )
        return path, None
    if not search:
        return hr, None
    lr_folders = {
        name.removeprefix(prefix): found
        for name, found in beside.items()
        if re.fullmatch(rf"{re.escape(prefix)}(lr([_-].*|x\d+)?|x\d+)", name)
    }
    ways = ["lr_bicubic", "lr", *(f"lr{way}x{scale}" for way in ("_bicubic_", "_", ""))]
    ways.append(f"x{scale}")
    for way in ways:
        found = lr_folders.get(way)
        if found is None:
            continue
        deeper = _folders(found)
        if f"x{scale}" in deeper:
            return hr, deeper[f"x{scale}"]
        is_for_all_scales = not any(re.fullmatch(r"x\d+", name) for name in deeper)
        if is_for_all_scales and any(map(_is_image, found.rglob("*"))):
            return hr, found
    others = [found for name, found in lr_folders.items() if "bicubic" not in name]
    if others:
        raise ValueError(
            f"{hr} has LR folders, but none was recognized as that of scale {scale}:"
            f" {', '.join(map(str, others))}. Name it by `lr_path`, or pass"
            ' `degradation`, such as "bicubic", to make the LR images.'
        )
    return hr, None


def find_sets(path):
    """Returns the folders of benchmark sets in a folder: those that contain `HR`."""
    return sorted(hr.parent for hr in pathlib.Path(path).glob("*/HR") if hr.is_dir())


def fingerprint(files):
    """Returns a text that changes when one of the files does."""
    here = os.getcwd()
    stats = [(os.path.join(here, file), os.stat(file)) for file in files]
    return " ".join(
        f"{os.path.normpath(file)} {stat.st_size} {stat.st_mtime_ns}"
        for file, stat in stats
    )


def _is_image(name):
    return os.path.splitext(name)[1].lower() in images.SUFFIXES


def _folders(path):
    """Returns the folders in a folder by their names in lower case."""
    if not path.is_dir():
        return {}
    return {found.name.lower(): found for found in path.iterdir() if found.is_dir()}


def _check_unpaired(path, names, degradation):
    """Raises an error if a folder of HR photos seems to contain LR files as well.

    With a degradation, which shows that no LR files are expected, it is a warning.
    """
    message = _lr_among(path, names)
    if message is None:
        return
    if degradation is None:
        raise ValueError(
            f"{path} contains {message}, or pass `degradation`, such as"
            ' "bicubic", to use all of them as HR photos.'
        )
    warnings.warn(
        f"{path} contains {message}. All of them are now used as HR photos.",
        stacklevel=4,
    )


def _lr_among(path, names):
    """Returns which of the photos in a folder seem to be LR files; None for none."""
    sets = [str(found) for found in find_sets(path) if any(found.glob("LR*"))]
    if sets:
        return f"several sets with LR files: name one of {', '.join(sets)}"

    holders = {name.rpartition("/")[0] for name in names}
    folders = holders.union(
        *(itertools.accumulate(f.split("/"), "{}/{}".format) for f in holders if f)
    )
    for lr in sorted(folders):
        parent, _, name = lr.rpartition("/")
        if not _LR_FOLDER.fullmatch(name.lower()) or _HR_FOLDER.fullmatch(name.lower()):
            continue
        for hr in sorted(folders):
            above, _, name = hr.rpartition("/")
            is_beside = above == parent and _HR_FOLDER.fullmatch(name.lower())
            if is_beside or (hr == parent and hr in holders):
                return (
                    f"LR files in {lr} beside the HR photos in {hr or path}. Name the"
                    " folder of the HR photos, and that of the LR files by `lr_path`"
                )

    known, plain = set(names), {_without_hr(name) for name in names}
    is_lr = re.compile(r"[_-]LR([_-]?x\d+)?$").search
    marked = [name for name in names if is_lr(name)]
    partners = [
        name
        for name in names
        if any(
            other != name and (other in known or other in plain)
            for other in _without_lr(name, r"\d+")
        )
    ]
    if partners or 0 < len(marked) < len(names):
        return (
            f"both HR and LR files, such as {(partners or marked)[0]}. Move the LR"
            " files to another folder and name it by `lr_path`"
        )
    return None


def _shrunk(hr, factor):
    if factor == 1:
        return hr
    shape = hr.shape
    hr = degradations.Downscale(factor)(hr.reshape(*shape[:2], -1))
    return hr.reshape(*hr.shape[:2], *shape[2:])


def _name(file, path):
    # as `file.relative_to(path).with_suffix("")`, in a fifth of the time
    inner = os.fspath(file).removeprefix(os.path.join(path, ""))
    return os.path.splitext(inner)[0].replace(os.sep, "/")


def _partners(names, lr_path, scale):
    """Returns a list of LR files for every name."""
    partners = {name: [] for name in names}
    plain = {_without_hr(name): name for name in names}
    for file in image_files(lr_path):
        name = _name(file, lr_path)
        stripped = _without_lr(name, scale)
        found = [n for n in (name, *stripped) if n in partners or n in plain]
        if found:
            name = found[0]
            partners[name if name in partners else plain[name]].append(file)
    return [partners[name] for name in names]


def _without_hr(name):
    return _strip(name, "hr", r"[_-]hr$")


def _without_lr(name, scale):
    """Returns what the name of an LR file may be without what marks it as one."""
    way, factor = "(bicubic|bic|bi)", rf"([_-]?x{scale}([mdw]\d?)?)"
    # The shortest first, because the name of a photo may end in "_bi" as well.
    endings = (
        rf"{factor}$",
        rf"[_-]lr{factor}?$",
        rf"[_-](({way}[_-]?)?lr[_-]?{way}?|{way}){factor}?$",
    )
    return [_strip(name, "lr", ending) for ending in endings]


def _strip(name, beginning, ending):
    """Removes what tells HR from LR names; folders in a name stay."""
    parent, slash, stem = name.rpartition("/")
    stem = re.sub(rf"^{beginning}[_-]", "", stem, flags=re.IGNORECASE)
    stripped = re.sub(ending, "", stem, count=1, flags=re.IGNORECASE)
    return parent + slash + (stripped or stem)
