import errno
import io
import os
import struct
import zlib

import numpy as np
import pytest
import tensorflow as tf
import tifffile
from PIL import Image, ImageCms

from sr_keras import image_files, images

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (5, 7), np.uint8)
RGB = RNG.integers(0, 256, (5, 7, 3), np.uint8)
RGBA = RNG.integers(0, 256, (5, 7, 4), np.uint8)
GREY16, RGB16, RGBA16 = (
    RNG.integers(0, 65536, (5, 7, *channels), np.uint16)
    for channels in [(), (3,), (4,)]
)

# What a stored [[1, 2, 3], [4, 5, 6]] looks like upright, by the EXIF standard.
UPRIGHT = {
    1: [[1, 2, 3], [4, 5, 6]],
    2: [[3, 2, 1], [6, 5, 4]],
    3: [[6, 5, 4], [3, 2, 1]],
    4: [[4, 5, 6], [1, 2, 3]],
    5: [[1, 4], [2, 5], [3, 6]],
    6: [[4, 1], [5, 2], [6, 3]],
    7: [[6, 3], [5, 2], [4, 1]],
    8: [[3, 6], [2, 5], [1, 4]],
}


def write_png(path, pixels, color_type, chunks=(), size=None):
    """Writes a PNG by hand; `size` may lie."""

    def chunk(name, data):
        checksum = zlib.crc32(name + data)
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", checksum)

    height, width = pixels.shape[:2] if size is None else size
    depth = 8 * pixels.dtype.itemsize
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    rows = pixels.astype(pixels.dtype.newbyteorder(">"))
    data = b"".join(b"\0" + row.tobytes() for row in rows)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + b"".join(chunk(*each) for each in chunks)
        + chunk(b"IDAT", zlib.compress(data))
        + chunk(b"IEND", b"")
    )


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp", ".ppm"])
def test_reads_the_pixels_of_every_lossless_format(tmp_path, suffix):
    path = tmp_path / f"photo{suffix}"
    Image.fromarray(RGB).save(path, **({"lossless": True} if suffix == ".webp" else {}))
    np.testing.assert_array_equal(images.read(path), RGB)
    assert images.read(str(path)).dtype == np.uint8


def test_grey_stays_grey(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "grey.png")
    np.testing.assert_array_equal(images.read(tmp_path / "grey.png"), GREY)
    Image.fromarray(GREY > 127).save(tmp_path / "bilevel.png")
    expected = np.where(GREY > 127, 255, 0)
    np.testing.assert_array_equal(images.read(tmp_path / "bilevel.png"), expected)


def test_palette_becomes_rgb(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 40, 50, 60])
    image.putpixel((1, 0), 1)
    image.save(tmp_path / "a.png")
    expected = [[[10, 20, 30], [40, 50, 60]]]
    np.testing.assert_array_equal(images.read(tmp_path / "a.png"), expected)
    image.save(tmp_path / "b.png", transparency=1)
    expected = [[[10, 20, 30, 255], [40, 50, 60, 0]]]
    np.testing.assert_array_equal(images.read(tmp_path / "b.png"), expected)


def test_grey_with_alpha_or_a_transparent_colour_becomes_rgba(tmp_path):
    pixels = np.array([[[7, 255], [8, 0]]], np.uint8)
    expected = [[[7, 7, 7, 255], [8, 8, 8, 0]]]
    write_png(tmp_path / "a.png", pixels, color_type=4)
    np.testing.assert_array_equal(images.read(tmp_path / "a.png"), expected)
    transparent = [(b"tRNS", struct.pack(">H", 8))]
    write_png(tmp_path / "b.png", pixels[..., 0], color_type=0, chunks=transparent)
    np.testing.assert_array_equal(images.read(tmp_path / "b.png"), expected)
    deep = pixels[..., 0].astype("uint16")
    write_png(tmp_path / "c.png", deep, color_type=0, chunks=transparent)
    expected = [[[7, 7, 7, 65535], [8, 8, 8, 0]]]
    np.testing.assert_array_equal(images.read(tmp_path / "c.png"), expected)


def test_alpha_is_kept(tmp_path):
    Image.fromarray(RGBA).save(tmp_path / "a.png")
    np.testing.assert_array_equal(images.read(tmp_path / "a.png"), RGBA)


def test_cmyk_becomes_rgb(tmp_path):
    inks = np.array([[[0, 0, 0, 0], [255, 0, 0, 0], [0, 0, 0, 255]]], np.uint8)
    Image.fromarray(inks, "CMYK").save(tmp_path / "inks.tif")
    expected = [[[255, 255, 255], [0, 255, 255], [0, 0, 0]]]
    np.testing.assert_array_equal(images.read(tmp_path / "inks.tif"), expected)


@pytest.mark.parametrize(
    "pixels, color_type",
    [(GREY16, 0), (RGB16, 2), (RGBA16, 6)],
    ids=["grey", "rgb", "rgba"],
)
def test_reads_16_bits_of_a_png(tmp_path, pixels, color_type):
    write_png(tmp_path / "ä photo.png", pixels, color_type)
    image = images.read(tmp_path / "ä photo.png")
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(image, pixels)


def test_reads_16_bits_of_grey_with_alpha(tmp_path):
    write_png(tmp_path / "a.png", RGB16[..., :2], color_type=4)
    expected = RGB16[..., [0, 0, 0, 1]]
    np.testing.assert_array_equal(images.read(tmp_path / "a.png"), expected)


@pytest.mark.parametrize("options", [{}, {"byteorder": ">"}, {"compression": "zlib"}])
@pytest.mark.parametrize("pixels", [GREY16, RGB16, RGBA16], ids=["grey", "rgb", "rgba"])
def test_reads_16_bits_of_a_tiff(tmp_path, pixels, options):
    kind = "minisblack" if pixels.ndim == 2 else "rgb"
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric=kind, **options)
    image = images.read(tmp_path / "a.tif")
    assert image.dtype == np.uint16
    np.testing.assert_array_equal(image, pixels)


@pytest.mark.parametrize(
    "pixels, message",
    [
        (GREY.astype("float32"), "cannot be read.*floats of unknown range"),
        (GREY.astype("int16") - 9, "cannot be read.*integers with a sign"),
        (GREY16.astype("uint32") * 2, "cannot be read.*more than 16 bits"),
        (RGB.astype("float32"), "not a readable image: it is a TIFF of float32 pixels"),
    ],
    ids=["float", "signed", "32 bits", "float RGB"],
)
def test_unsupported_pixel_types_are_refused(tmp_path, pixels, message):
    tifffile.imwrite(tmp_path / "odd.tif", pixels)
    with pytest.raises(ValueError, match=rf"odd\.tif .*{message}"):
        images.read(tmp_path / "odd.tif")


def test_channels_in_planes_and_white_as_0_are_read(tmp_path):
    planes = np.moveaxis(RGB16, 2, 0)
    tifffile.imwrite(
        tmp_path / "a.tif", planes, photometric="rgb", planarconfig="separate"
    )
    np.testing.assert_array_equal(images.read(tmp_path / "a.tif"), RGB16)
    for name, pixels in (("b.tif", GREY), ("c.tif", GREY16)):
        tifffile.imwrite(tmp_path / name, pixels, photometric="miniswhite")
        expected = np.iinfo(pixels.dtype).max - pixels
        np.testing.assert_array_equal(images.read(tmp_path / name), expected)


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("page", [0, 1])
@pytest.mark.parametrize("planes", ["contig", "separate"])
def test_orientation_of_a_16_bit_colour_tiff_is_applied(
    tmp_path, planes, page, orientation
):
    def pixels(values):
        return np.array(values, np.uint16)[..., None] * np.uint16([6000, 500, 7])

    stored = pixels(UPRIGHT[1])
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for turned in (1, orientation)[1 - page :]:
            file.write(
                np.moveaxis(stored, 2, 0) if planes == "separate" else stored,
                photometric="rgb",
                planarconfig=planes,
                extratags=[(0x0112, "H", 1, turned, True)],
            )
    with image_files.ImageFile(tmp_path / "a.tif") as file:
        np.testing.assert_array_equal(file.read(page), pixels(UPRIGHT[orientation]))


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [(), (3,)], ids=["grey", "rgb"])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_exif_orientation_is_applied(tmp_path, suffix, channels, dtype, orientation):
    def pixels(values):
        values = np.array(values, dtype) * (np.iinfo(dtype).max // 10)
        return np.stack([values, values + 1, values + 2], -1) if channels else values

    path, stored = tmp_path / f"a{suffix}", pixels(UPRIGHT[1])
    if suffix == ".png":
        chunks = [(b"eXIf", exif(orientation).tobytes().removeprefix(b"Exif\0\0"))]
        write_png(path, stored, 2 if channels else 0, chunks)
    else:
        tags = [(0x0112, "H", 1, orientation, True)]
        kind = "rgb" if channels else "minisblack"
        tifffile.imwrite(path, stored, photometric=kind, extratags=tags)
    expected = pixels(UPRIGHT[orientation])
    image = images.read(path)
    assert image.dtype == dtype
    np.testing.assert_array_equal(image, expected)


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_exif_orientation_of_a_jpeg_is_applied(tmp_path, orientation):
    blocks = np.kron(np.uint8(UPRIGHT[1]) * 40, np.ones((16, 16), np.uint8))
    path = tmp_path / "photo.jpg"
    Image.fromarray(blocks).save(path, exif=exif(orientation), quality=95)
    image = images.read(path)
    expected = np.array(UPRIGHT[orientation]) * 40
    np.testing.assert_allclose(image[8::16, 8::16], expected, atol=2)


def test_files_that_are_not_images_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no image file .*missing\.png"):
        images.read(tmp_path / "missing.png")
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(FileNotFoundError, match=r"no image file .*folder\.png"):
        images.read(tmp_path / "folder.png")
    (tmp_path / "empty.png").touch()
    with pytest.raises(ValueError, match=r"empty\.png is an empty file"):
        images.read(tmp_path / "empty.png")
    (tmp_path / "text.png").write_text("Not an image at all.")
    with pytest.raises(ValueError, match=r"text\.png is not a readable image"):
        images.read(tmp_path / "text.png")
    write_png(tmp_path / "no_width.png", GREY, 0, size=(5, 0))
    with pytest.raises(ValueError, match=r"no_width\.png is not a readable image"):
        images.read(tmp_path / "no_width.png")
    write_png(tmp_path / "bomb.png", GREY, 0, size=(60_000, 60_000))
    with pytest.raises(ValueError, match=r"bomb\.png is too large .*--max-megapixels"):
        images.read(tmp_path / "bomb.png")


def test_the_limit_of_pixels_can_be_changed(tmp_path, monkeypatch):
    images.write(tmp_path / "a.png", RGB)  # of 35 pixels
    for limit in (None, 0, 35, 1000):
        assert images.read(tmp_path / "a.png", limit).shape == RGB.shape
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert images.color_profile(tmp_path / "a.png") is None  # decodes no pixels
    former = Image.MAX_IMAGE_PIXELS
    with pytest.raises(ValueError, match="a.png is too large"):
        images.read(tmp_path / "a.png", max_pixels=34)
    assert Image.MAX_IMAGE_PIXELS == former


@pytest.mark.parametrize(
    "suffix, dtype",
    [
        *((suffix, "uint8") for suffix in (".png", ".tif", ".jpg", ".webp", ".bmp")),
        *((suffix, "uint16") for suffix in (".png", ".tif")),
    ],
)
@pytest.mark.parametrize("share", [0.5, 0.95])
@pytest.mark.filterwarnings("ignore")
def test_a_truncated_file_is_named(tmp_path, suffix, dtype, share):
    path = tmp_path / f"cut{suffix}"
    noise = RNG.integers(np.iinfo(dtype).max, size=(30, 40, 3), dtype=dtype)
    images.write(path, noise)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(
        ValueError, match=rf"cut\{suffix} (cannot be read|is not a readable)"
    ):
        images.read(path)


def test_quality_decides_on_the_size(tmp_path):
    noise = RNG.integers(0, 256, (64, 64, 3), np.uint8)
    for name in ("a.jpg", "a.webp"):
        sizes = []
        for quality in (20, 90, None):
            images.write(tmp_path / name, noise, quality=quality)
            sizes.append((tmp_path / name).stat().st_size)
        assert sizes == sorted(set(sizes))
    for quality in (0, 101, 9.5):
        with pytest.raises(ValueError, match=f"1 to 100. Received: quality={quality}"):
            images.write(tmp_path / "a.jpg", noise, quality=quality)


@pytest.mark.parametrize(
    "pixels",
    [GREY, RGB, RGBA, GREY16, RGB16, RGBA16],
    ids=["grey", "rgb", "rgba", "grey16", "rgb16", "rgba16"],
)
@pytest.mark.parametrize("suffix", [".png", ".tif", ".PNG"])
def test_written_images_are_read_back(tmp_path, pixels, suffix):
    path = tmp_path / "new" / "folder" / f"image{suffix}"
    images.write(path, pixels)
    image = images.read(path)
    assert image.dtype == pixels.dtype
    np.testing.assert_array_equal(image, pixels)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("pixels", [RGB16, RGBA16], ids=["rgb", "rgba"])
def test_colours_of_16_bits_are_written_in_order(tmp_path, pixels, suffix):
    images.write(tmp_path / f"a{suffix}", pixels)
    halved = np.array(Image.open(tmp_path / f"a{suffix}"))  # Pillow reads 8 bits
    np.testing.assert_array_equal(halved, pixels >> 8)


def test_a_channel_axis_of_one_and_floats_are_written(tmp_path):
    image = np.array([[[0.0], [0.5], [1.0], [1.7]]])
    images.write(tmp_path / "a.png", image)
    expected = [[0, 128, 255, 255]]
    np.testing.assert_array_equal(images.read(tmp_path / "a.png"), expected)


@pytest.mark.parametrize("pixels", [RGB, RGBA], ids=["rgb", "rgba"])
def test_webp_keeps_the_pixels(tmp_path, pixels):
    images.write(tmp_path / "image.webp", pixels)
    np.testing.assert_array_equal(images.read(tmp_path / "image.webp"), pixels)


def test_jpeg_is_close(tmp_path):
    smooth = np.tile(np.arange(0, 250, 5, dtype=np.uint8), (40, 1))
    images.write(tmp_path / "a.jpg", smooth)
    np.testing.assert_allclose(images.read(tmp_path / "a.jpg"), smooth, atol=4)


@pytest.mark.parametrize("pixels", [RGB, RGB16], ids=["8 bit", "16 bit"])
@pytest.mark.parametrize("error", [OSError("disk is full"), KeyboardInterrupt()])
@pytest.mark.parametrize("fault", ["half-way", "at the end"])
def test_an_interrupted_write_leaves_the_old_file_and_nothing_else(
    tmp_path, monkeypatch, pixels, error, fault
):
    path = tmp_path / "image.png"
    images.write(path, pixels)
    former = path.read_bytes()

    def encode(path, *_):
        path.write_bytes(former[: len(former) // 2])
        raise error

    def replace(source, target):
        raise error

    if fault == "half-way":
        monkeypatch.setattr(image_files, "_encode", encode)
    else:
        monkeypatch.setattr(os, "replace", replace)
    for target in (path, tmp_path / "new.png"):
        with pytest.raises(type(error)):
            images.write(target, 255 - pixels)
    assert os.listdir(tmp_path) == ["image.png"]
    assert path.read_bytes() == former


def test_a_written_file_has_the_usual_permissions(tmp_path):
    images.write(tmp_path / "a.png", GREY)
    (tmp_path / "b").touch()
    assert (tmp_path / "a.png").stat().st_mode == (tmp_path / "b").stat().st_mode


@pytest.mark.parametrize(
    "name, image, message",
    [
        (
            "a.png",
            GREY.astype("int32"),
            "must be uint8, uint16 or float. .*: dtype=int32",
        ),
        (
            "a.png",
            np.zeros((5, 7, 5), np.uint8),
            r"must have the shape .* Received: shape=\(5, 7, 5\)",
        ),
        ("a.png", RGB[None], r"must have the shape .* Received: shape=\(1, 5, 7, 3\)"),
        ("a.png", RGB[:0], "has no pixels"),
        ("a.xyz", RGB, "suffix must be one of .png, .jpg"),
        ("a.jpg", RGB16, "16-bit images need the suffix .png or .tif"),
        ("a.jpg", RGBA, "images with alpha need the suffix .png, .tif"),
        ("a.webp", np.zeros((1, 16384), np.uint8), "sides are at most 16383 pixels"),
    ],
)
def test_unsupported_images_are_not_written(tmp_path, name, image, message):
    with pytest.raises(ValueError, match=rf"{name}: .*{message}"):
        images.write(tmp_path / name, image)
    assert os.listdir(tmp_path) == []


def test_integers_are_converted_to_floats_and_back():
    assert images.to_float(np.uint8([0, 51, 255])).tolist() == [0, np.float32(0.2), 1]
    assert images.to_float(np.uint16([0, 13107, 65535])).tolist()[1] == np.float32(0.2)
    for dtype in ("uint8", "uint16"):
        values = np.arange(np.iinfo(dtype).max + 1).astype(dtype)
        back = images.to_integer(images.to_float(values), dtype)
        assert back.dtype == dtype
        np.testing.assert_array_equal(back, values)


def test_floats_are_clipped_and_halves_rounded_up():
    values = [-0.3, 0.0, 0.5, 1.0, 1.2]
    assert images.to_integer(values).tolist() == [0, 0, 128, 255, 255]
    assert images.to_integer(values, "uint16").tolist() == [0, 0, 32768, 65535, 65535]


def test_floats_are_only_cast():
    floats = images.to_float(np.array([-0.5, 1.5]))
    assert floats.dtype == np.float32
    assert floats.tolist() == [-0.5, 1.5]


@pytest.mark.parametrize("dtype", [tf.uint8, tf.uint16])
def test_a_tensor_is_converted_to_a_tensor(dtype):
    floats = tf.function(images.to_float)(tf.constant([[dtype.max, 0]], dtype))
    assert floats.dtype == tf.float32
    np.testing.assert_array_equal(floats, [[1, 0]])


def test_other_dtypes_are_refused():
    with pytest.raises(
        ValueError, match=r"uint8, uint16 or float. Received: dtype=int32"
    ):
        images.to_float(np.zeros((1, 1), "int32"))
    with pytest.raises(ValueError, match=r"uint8 or uint16. Received: dtype=int32"):
        images.to_integer(np.zeros((1, 1)), "int32")
    with pytest.raises(ValueError, match=r"floats in \[0, 1\]. Received: dtype=uint8"):
        images.to_integer(np.zeros((1, 1), np.uint8))
    with pytest.raises(ValueError, match=r"floats in \[0, 1\]. Received: dtype=int64"):
        images.to_integer(np.full((1, 1), 128))
    with pytest.raises(ValueError, match="Received: NaN"):
        images.to_integer(np.array([[0.5, np.nan]]))
    for function in (images.luma, images.rgb_to_ycbcr, images.ycbcr_to_rgb):
        with pytest.raises(
            ValueError, match="uint8, uint16 or float. Received: dtype=int64"
        ):
            function(np.full((1, 1, 3), 128))


# Results of MATLAB's rgb2ycbcr.
COLOURS = {
    "white": ([255, 255, 255], [235, 128, 128]),
    "black": ([0, 0, 0], [16, 128, 128]),
    "red": ([255, 0, 0], [81, 90, 240]),
    "green": ([0, 255, 0], [145, 54, 34]),
    "blue": ([0, 0, 255], [41, 240, 110]),
    "grey": ([128, 128, 128], [126, 128, 128]),
}


@pytest.mark.parametrize("colour", COLOURS)
def test_luma_and_chroma_are_those_of_matlab(colour):
    rgb, expected = COLOURS[colour]
    image = np.full((2, 3, 3), rgb, np.uint8)
    ycbcr = images.rgb_to_ycbcr(image)
    assert ycbcr.dtype == np.uint8
    assert ycbcr[1, 2].tolist() == expected
    assert images.luma(image)[1, 2].tolist() == expected[:1]
    floats = images.to_float(image)
    np.testing.assert_allclose(
        images.rgb_to_ycbcr(floats)[1, 2] * 255, expected, atol=0.5
    )
    np.testing.assert_array_equal(
        images.luma(floats), images.rgb_to_ycbcr(floats)[..., :1]
    )


def test_luma_has_the_precision_of_its_dtype():
    red = np.array([[[65535, 0, 0]]], np.uint16)
    assert images.luma(red).tolist() == [[[round((65.481 + 16) * 257)]]]
    luma = images.luma(np.array([[[1.0, 0.0, 0.0]]], "float32"))
    assert luma.dtype == np.float32
    np.testing.assert_allclose(luma, [[[81.481 / 255]]], rtol=1e-6)


def test_ycbcr_to_rgb_does_not_clip():
    rgb = RNG.random((2, 5, 7, 3), "float32") * 3 - 1
    back = images.ycbcr_to_rgb(images.rgb_to_ycbcr(rgb))
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, rgb, atol=2e-6)
    white = images.ycbcr_to_rgb(np.array([[[235, 128, 128]]]) / 255)
    np.testing.assert_allclose(white, [[[1, 1, 1]]], atol=1e-5)


@pytest.mark.parametrize(
    "function", [images.rgb_to_ycbcr, images.ycbcr_to_rgb, images.luma]
)
def test_tensors_and_arrays_give_equal_results(function):
    image = RNG.random((2, 5, 7, 3), "float32")
    tensor = tf.function(function)(tf.constant(image))
    assert tensor.dtype == tf.float32
    np.testing.assert_allclose(tensor, function(image), atol=1e-6)


def test_a_grey_image_is_its_own_luma():
    assert images.luma(GREY) is GREY
    np.testing.assert_array_equal(images.luma(GREY[..., None]), GREY[..., None])


def test_luma_of_other_channels_is_refused():
    with pytest.raises(
        ValueError, match=r"3 channels \(RGB\). Received: shape=\(5, 7, 4\)"
    ):
        images.luma(RGBA)


def test_border_is_cut_from_every_side():
    image = np.arange(5 * 7).reshape(1, 5, 7, 1)
    inner = images.crop_border(image, 2)
    assert inner[0, ..., 0].tolist() == [[16, 17, 18]]
    assert images.crop_border(image, 0) is image
    assert images.crop_border(image[0], 1).shape == (3, 5, 1)
    with pytest.raises(
        ValueError, match="Received: border=3 for an image of 5x7 pixels"
    ):
        images.crop_border(image, 3)
    with pytest.raises(
        ValueError, match="`border` must not be negative. Received: border=-1"
    ):
        images.crop_border(image, -1)


def test_bottom_and_right_are_cut_to_a_multiple():
    image = np.arange(5 * 7).reshape(5, 7)
    assert images.crop_to_multiple(image, 3).tolist() == image[:3, :6].tolist()
    assert images.crop_to_multiple(image[..., None], 4).shape == (4, 4, 1)
    assert images.crop_to_multiple(image, 1).shape == (5, 7)


@pytest.mark.parametrize("file_format", ["PNG", "TIFF", "JPEG", "WEBP", "BMP"])
@pytest.mark.filterwarnings("ignore")
def test_a_file_with_damaged_bytes_is_named(tmp_path, file_format):
    rng = np.random.default_rng(1)
    path, whole = tmp_path / "damaged.png", io.BytesIO()
    Image.fromarray(RGB).save(whole, file_format)
    data = np.frombuffer(whole.getvalue(), np.uint8)
    errors = []
    for _ in range(30):
        damaged = data.copy()
        damaged[rng.integers(len(data), size=5)] = rng.integers(256, size=5)
        path.write_bytes(damaged.tobytes())
        try:
            images.read(path)
        except ValueError as error:
            errors.append(str(error))
    assert errors
    assert all("damaged.png" in error for error in errors)


@pytest.mark.parametrize("pixels", [RGB, RGB16], ids=["8 bit", "16 bit"])
def test_colour_profiles_are_kept(tmp_path, pixels):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    images.write(tmp_path / "a.png", pixels, profile)
    assert images.color_profile(tmp_path / "a.png") == profile
    np.testing.assert_array_equal(images.read(tmp_path / "a.png"), pixels)
    images.write(tmp_path / "b.png", pixels)
    assert images.color_profile(tmp_path / "b.png") is None
    images.write(tmp_path / "grey.png", pixels[..., 0], profile)  # of other colours
    assert images.color_profile(tmp_path / "grey.png") is None


def test_disk_and_memory_errors_do_not_blame_the_file(tmp_path, monkeypatch):
    path = tmp_path / "a.png"
    images.write(path, RGB)
    for error in (OSError(errno.EIO, "Input/output error"), MemoryError()):

        def fail(image, error=error):
            raise error

        monkeypatch.setattr(image_files, "_to_array", fail)
        with pytest.raises(type(error), match="a.png" if error.args else ""):
            images.read(path)
    with pytest.raises(ValueError, match="a.png cannot be read"):
        monkeypatch.setattr(image_files, "_to_array", lambda image: os.lstat("nowhere"))
        images.read(path)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("border", ["replicate", "symmetric"])
@pytest.mark.parametrize("size", [(20, 30), (10, 10), (7, 13), (33, 61), (20, 15)])
def test_resize_equals_the_plain_loop(dtype, border, size):
    peak = 1 if dtype == "float32" else np.iinfo(dtype).max
    image = (np.random.default_rng(0).random((20, 30, 3)) * peak).astype(dtype)

    def kernel(x):
        x = abs(x)
        if x <= 1:
            return 1.5 * x**3 - 2.5 * x**2 + 1
        return -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x < 2 else 0

    def shrink_rows(x, count):
        ratio = len(x) / count
        stretch = max(ratio, 1)
        rows = []
        for i in range(count):
            centre = (i + 0.5) * ratio - 0.5
            total, row = 0.0, 0.0
            for j in range(
                int(centre - 2 * stretch) - 2, int(centre + 2 * stretch) + 3
            ):
                weight = kernel((centre - j) / stretch)
                inside = j
                if border == "symmetric":
                    inside = -1 - j if j < 0 else j
                    inside = 2 * len(x) - 1 - inside if inside >= len(x) else inside
                total += weight
                row = row + weight * x[min(max(inside, 0), len(x) - 1)]
            rows.append(row / total)
        result = np.stack(rows)
        return result if peak == 1 else np.floor(np.clip(result, 0, peak) + 0.5)

    x = image.astype("float64")
    for count in size:
        x = shrink_rows(x, count).swapaxes(0, 1)
    result = images.resize(image, size, border=border)
    assert result.dtype == dtype
    # a sum that is half a level may be rounded either way
    np.testing.assert_allclose(result, x, atol=1e-5 if peak == 1 else 1)
    assert np.mean(np.abs(result - x) > 1e-5) < 0.01


@pytest.mark.parametrize("method", ["bicubic", "bilinear", "area"])
@pytest.mark.parametrize("size", [(3, 5), (9, 14), (11, 9), (22, 40)])
def test_resize_keeps_constant_images(method, size):
    image = np.full((9, 14, 1), 77, np.uint8)
    result = images.resize(image, size, method)
    assert result.shape == (*size, 1)
    assert np.unique(result).tolist() == [77]
    assert images.resize(image[..., 0], size, method).shape == size


@pytest.mark.parametrize("size", [(4, 5), (7, 9), (16, 30)])
def test_resize_wraps_around(size):
    tile = np.random.default_rng(0).random((8, 15, 3), "float32")
    result = images.resize(tile, size, border="wrap")
    nine = images.resize(np.tile(tile, (3, 3, 1)), (3 * size[0], 3 * size[1]))
    middle = nine[size[0] : -size[0], size[1] : -size[1]]
    np.testing.assert_allclose(result, middle, atol=1e-6)


def test_resize_to_the_same_size_is_a_copy():
    image = np.arange(12, dtype="uint8").reshape(3, 4)
    result = images.resize(image, (3, 4))
    np.testing.assert_array_equal(result, image)
    assert not np.shares_memory(result, image)


def test_resize_by_area_takes_means():
    image = np.array([[0, 2, 4, 6], [2, 4, 6, 8]], "float32")
    assert images.resize(image, (1, 2), "area").tolist() == [[2, 6]]
    halves = images.resize(image, (2, 2), "bilinear")
    np.testing.assert_allclose(halves[0], [(3 * 0 + 3 * 2 + 4 + 0) / 8, 4.75])


@pytest.mark.parametrize(
    "arguments, message",
    [
        ((np.zeros((4, 4), int), (2, 2)), "Received: dtype=int64"),
        ((np.zeros((4, 4)), (0, 2)), "`size` must be a list of 2 positive integers"),
        ((np.zeros((4, 4)), (2, 2), "cubic"), "Received: method='cubic'"),
        ((np.zeros((4, 4)), (2, 2), "area", "zero"), "wrap. Received: border='zero'"),
    ],
)
def test_resize_refuses_unsupported_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        images.resize(*arguments)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_resize_takes_any_number_of_channels(dtype):
    image = np.random.default_rng(0).integers(0, 256, (18, 24, 300)).astype(dtype)
    found = images.resize(image, (6, 8))
    for channel in (0, 150, 299):
        expected = images.resize(image[..., channel], (6, 8))
        np.testing.assert_allclose(found[..., channel], expected, rtol=1e-5)


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_many_channels_are_resized_like_single_ones(dtype):
    image = np.random.default_rng(0).integers(0, 256, (16, 24, 130)).astype(dtype)
    small = images.resize(image, (8, 6))
    assert small.shape == (8, 6, 130) and small.dtype == dtype
    for channel in (0, 64, 129):
        single = images.resize(image[..., channel], (8, 6))
        np.testing.assert_allclose(small[..., channel], single, atol=1e-4)


def test_the_profile_of_a_large_image_is_read(tmp_path, monkeypatch):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    images.write(tmp_path / "a.png", RGB, profile)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4)
    assert images.color_profile(tmp_path / "a.png") == profile
