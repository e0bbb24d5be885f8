import struct

import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, ImageCms

from sr_keras.image_files import ImageFile, Metadata, write, write_strips

RNG = np.random.default_rng(0)
FRAMES = [RNG.integers(0, 256, (5, 7, 3), np.uint8) for _ in range(3)]
DURATIONS = [40, 250, 100]
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def animation(path, frames=FRAMES, **options):
    first, *rest = [Image.fromarray(frame) for frame in frames]
    if path.suffix == ".webp":
        options["lossless"] = True
    first.save(
        path, save_all=True, append_images=rest, duration=DURATIONS, loop=3, **options
    )
    return path


def read_all(path):
    with ImageFile(path) as file:
        return [file.read(i) for i in range(len(file))]


@pytest.mark.parametrize("suffix", [".webp", ".png", ".gif"])
def test_frames_are_read_and_written_with_their_timing(tmp_path, suffix):
    source = animation(tmp_path / f"a{suffix}")
    with ImageFile(source) as file:
        assert file.is_animation and len(file) == 3
        frames = [file.read(i) for i in range(3)]
        assert file.durations == DURATIONS and file.loop == 3
    tolerance = 60 if suffix == ".gif" else 0  # a palette for all frames
    np.testing.assert_allclose(frames, np.array(FRAMES), atol=tolerance)

    target = tmp_path / f"b{suffix}"
    write(target, iter(FRAMES), durations=DURATIONS, loop=2)
    with ImageFile(target) as file:
        np.testing.assert_allclose(read_all(target), np.array(FRAMES), atol=tolerance)
        file.scan()
        assert file.durations == DURATIONS and file.loop == 2


@pytest.mark.parametrize(
    ("name", "frames", "durations"),
    [
        ("a.png", FRAMES, None),
        ("a.webp", FRAMES, None),
        ("a.jpg", FRAMES, DURATIONS),
        ("a.png", [frame.astype("uint16") for frame in FRAMES], DURATIONS),
    ],
)
def test_several_frames_that_would_be_lost_are_refused(
    tmp_path, name, frames, durations
):
    with pytest.raises(ValueError, match=f"{name}: several frames .*Received: dura"):
        write(tmp_path / name, iter(frames), durations=durations)
    assert list(tmp_path.iterdir()) == []


def test_durations_of_a_gif_are_rounded_without_drift(tmp_path):
    frames = [np.full((4, 4), 20 * i, np.uint8) for i in range(9)]
    write(tmp_path / "a.gif", frames, durations=[1000 / 30] * 9)
    with ImageFile(tmp_path / "a.gif") as file:
        file.scan()
        assert sum(file.durations) == 300 and set(file.durations) == {30, 40}
        assert file.loop is None


@pytest.mark.parametrize("suffix", [".webp", ".png", ".gif"])
def test_all_frames_have_alpha_if_one_has(tmp_path, suffix):
    frames = [np.dstack([f, np.full((5, 7), 255, np.uint8)]) for f in FRAMES]
    frames[0][:, :3, 3] = 0
    frames[0][:, :3, :3] = 0
    write(tmp_path / f"a{suffix}", frames, durations=DURATIONS)
    read = read_all(tmp_path / f"a{suffix}")
    assert [frame.shape for frame in read] == [(5, 7, 4)] * 3
    np.testing.assert_array_equal(np.array(read)[..., 3], np.array(frames)[..., 3])
    tolerance = 60 if suffix == ".gif" else 0
    np.testing.assert_allclose(
        np.array(read)[:, :, 3:, :3], np.array(frames)[:, :, 3:, :3], atol=tolerance
    )


def test_the_image_before_an_animation_is_not_a_frame(tmp_path):
    still = Image.new("RGB", (7, 5), "red")
    rest = [Image.fromarray(frame) for frame in FRAMES]
    still.save(
        tmp_path / "a.png",
        save_all=True,
        append_images=rest,
        default_image=True,
        duration=100,
    )
    np.testing.assert_array_equal(read_all(tmp_path / "a.png"), FRAMES)


def test_pages_may_have_sizes_and_kinds_of_their_own(tmp_path):
    pages = [
        FRAMES[0],
        RNG.integers(0, 256, (9, 4), np.uint8),
        RNG.integers(0, 65536, (3, 8, 3), np.uint16),
        RNG.integers(0, 65536, (6, 2), np.uint16),
        RNG.integers(0, 256, (5, 7, 2), np.uint8),
        RNG.integers(0, 65536, (6, 5, 4), np.uint16),
    ]
    write(tmp_path / "a.tif", pages, num_frames=len(pages))
    with ImageFile(tmp_path / "a.tif") as file:
        assert not file.is_animation and file.durations is None
    for found, expected in zip(read_all(tmp_path / "a.tif"), pages, strict=True):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


def test_previews_in_a_tiff_are_not_pages(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(FRAMES[0], photometric="rgb")
        file.write(FRAMES[1][:2, :2], photometric="rgb", subfiletype=1)
        file.write(FRAMES[2], photometric="rgb")
    np.testing.assert_array_equal(read_all(tmp_path / "a.tif"), [FRAMES[0], FRAMES[2]])


def test_second_pictures_in_a_jpeg_of_a_phone_are_not_frames(tmp_path):
    first, *rest = [Image.fromarray(frame) for frame in FRAMES]
    first.save(tmp_path / "a.jpg", "MPO", save_all=True, append_images=rest)
    with ImageFile(tmp_path / "a.jpg") as file:
        assert len(file) == 1 and not file.is_animation


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_grey_with_alpha_stays_grey_with_alpha(tmp_path, suffix, dtype):
    pixels = RNG.integers(0, np.iinfo(dtype).max, (5, 7, 2), dtype)
    write(tmp_path / f"a{suffix}", [pixels])
    (read,) = read_all(tmp_path / f"a{suffix}")
    if (suffix, dtype) == (".tif", "uint16"):
        pixels = pixels[..., [0, 0, 0, 1]]
    np.testing.assert_array_equal(read, pixels)


def photo_of_a_phone(path):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Make] = "Maker"
    exif[ExifTags.Base.Copyright] = "Ann"
    exif[ExifTags.Base.DateTime] = "2024:05:06 07:08:09"
    exif[ExifTags.Base.XResolution] = exif[ExifTags.Base.YResolution] = 300.0
    exif[ExifTags.IFD.Exif] = {
        ExifTags.Base.DateTimeOriginal: "2024:05:06 07:08:09",
        ExifTags.Base.ExifImageWidth: 7,
        ExifTags.Base.ExifImageHeight: 5,
        ExifTags.Base.MakerNote: b"with offsets",
    }
    exif[ExifTags.IFD.GPSInfo] = {ExifTags.GPS.GPSAltitude: 321.0}
    stored = Image.Exif()
    stored.load(exif.tobytes())  # TIFFs are not written with what was not stored yet
    Image.fromarray(FRAMES[0]).save(path, exif=stored, dpi=(300, 300), icc_profile=SRGB)


@pytest.mark.parametrize("source", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("target", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_exif_is_that_of_the_result(tmp_path, source, target, dtype):
    if dtype == "uint16" and target != ".png":
        pytest.skip("has no 16 bits")
    photo_of_a_phone(tmp_path / f"a{source}")
    with ImageFile(tmp_path / f"a{source}") as file:
        assert file.read().shape == (7, 5, 3)  # upright
        write(
            tmp_path / f"b{target}", [np.zeros((14, 10, 3), dtype)], file.metadata, 90
        )
    result = Image.open(tmp_path / f"b{target}")
    assert result.info["icc_profile"] == SRGB
    exif = result.getexif()
    assert ExifTags.Base.Orientation not in exif
    assert exif[ExifTags.Base.Copyright] == "Ann"
    assert exif[ExifTags.Base.XResolution] == 300
    assert exif[ExifTags.Base.DateTime] == "2024:05:06 07:08:09"
    details = exif.get_ifd(ExifTags.IFD.Exif)
    assert details[ExifTags.Base.DateTimeOriginal] == "2024:05:06 07:08:09"
    size = ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight
    assert [details[tag] for tag in size] == [10, 14]
    assert ExifTags.Base.MakerNote not in details
    assert exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSAltitude] == 321
    if target != ".webp":
        np.testing.assert_allclose(result.info["dpi"], 300, atol=0.01)


def test_a_tiff_keeps_author_date_and_resolution(tmp_path):
    photo_of_a_phone(tmp_path / "a.jpg")
    with ImageFile(tmp_path / "a.jpg") as file:
        write(tmp_path / "b.tif", [np.zeros((4, 5, 3), np.uint16)], file.metadata)
    tags = Image.open(tmp_path / "b.tif").tag_v2
    assert (tags[271], tags[33432]) == ("Maker", "Ann")
    assert tags[306] == "2024:05:06 07:08:09"
    assert (tags[282], tags[283], tags[296]) == (300, 300, 2)
    assert tags[34675] == SRGB


def test_profiles_of_other_colours_are_left_out(tmp_path):
    for dtype in ("uint8", "uint16"):
        write(tmp_path / "a.png", [np.zeros((4, 5), dtype)], Metadata(SRGB))
        assert "icc_profile" not in Image.open(tmp_path / "a.png").info


def test_exif_that_cannot_be_read_is_left_out(tmp_path):
    exif = b"Exif\0\0II*\0" + struct.pack("<IH", 8, 500) + b"\xff" * 30
    Image.fromarray(FRAMES[0]).save(tmp_path / "a.jpg", exif=exif)
    with ImageFile(tmp_path / "a.jpg") as file:
        assert file.metadata.exif is None
        assert file.read().shape == (5, 7, 3)


def test_a_frame_that_cannot_be_read_is_named(tmp_path):
    noise = RNG.integers(0, 256, (3, 40, 40, 3), np.uint8)
    path = animation(tmp_path / "cut.png", noise)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    with ImageFile(path) as file, pytest.raises(ValueError, match="cut.png cannot be"):
        for i in range(len(file)):
            file.read(i)


def test_heic_needs_its_package(tmp_path):
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic" + bytes(99))
    try:
        import pillow_heif  # noqa: F401
    except ImportError:
        message = "a.heic cannot be read.*pip install pillow-heif"
    else:
        message = "a.heic "
    with pytest.raises(ValueError, match=message):
        ImageFile(tmp_path / "a.heic")


def test_heic_is_read_upright(tmp_path):
    reason = "pillow-heif is not installed: pip install pillow-heif"
    heif = pytest.importorskip("pillow_heif", reason=reason)
    y, x = np.mgrid[:40, :64]
    pixels = np.stack([3 * x, 5 * y, x + y], axis=-1).astype(np.uint8)
    image = heif.from_pillow(Image.fromarray(pixels))
    image.save(tmp_path / "a.heic", quality=95)
    with ImageFile(tmp_path / "a.heic") as file:
        np.testing.assert_allclose(file.read().astype(int), pixels, atol=8)


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize("shape", [(150, 7), *((150, 7, n) for n in (2, 3, 4))])
def test_strips_are_joined_to_the_whole_image(shape, dtype, suffix, tmp_path):
    limit = np.iinfo(dtype).max
    image = np.random.default_rng(0).integers(0, limit + 1, shape, dtype)
    expected = image
    if suffix == ".tif" and dtype == "uint16" and shape[2:] == (2,):
        expected = image[..., [0, 0, 0, 1]]
    path = tmp_path / f"a{suffix}"
    strips = (image[a:b] for a, b in [(0, 1), (1, 90), (90, 150)])
    write_strips(path, strips, 150)
    if suffix == ".tif":
        with tifffile.TiffFile(path) as file:
            np.testing.assert_array_equal(file.asarray(), expected)
    np.testing.assert_array_equal(read_all(path)[0], expected)


def test_strips_have_the_metadata_of_the_image(tmp_path):
    exif = Image.Exif()
    exif[0x010E] = "a red wall"
    metadata = Metadata(SRGB, exif, (300.0, 300.0))
    strip = np.zeros((4, 5, 3), np.uint8)
    for suffix in (".png", ".tif"):
        path = tmp_path / f"a{suffix}"
        write_strips(path, [strip, strip], 8, metadata)
        with Image.open(path) as result:
            assert result.size == (5, 8)
            assert result.info["icc_profile"] == SRGB
            assert result.getexif()[0x010E] == "a red wall"
            assert result.info["dpi"] == pytest.approx((300, 300), abs=0.01)


@pytest.mark.parametrize(("rows", "message"), [(7, "Received: 7"), (9, "Received: 9")])
def test_a_wrong_number_of_rows_leaves_no_file(rows, message, tmp_path):
    for suffix in (".png", ".tif"):
        path = tmp_path / f"a{suffix}"
        strip = np.zeros((rows, 5, 3), np.uint8)
        with pytest.raises(ValueError, match=f"8 rows were expected. {message}"):
            write_strips(path, [strip], 8)
        assert not list(tmp_path.iterdir())


def test_other_formats_cannot_be_written_in_strips(tmp_path):
    with pytest.raises(ValueError, match=r"a.jpg: only files with the suffixes \.png"):
        write_strips(tmp_path / "a.jpg", [np.zeros((1, 1), np.uint8)], 1)


@pytest.mark.parametrize("mode", ["P", "L", "RGB", "CMYK", "RGBA", "LA"])
def test_a_tall_image_is_converted_in_strips_like_any_other(tmp_path, mode):
    rng = np.random.default_rng(0)
    photo = Image.fromarray(rng.integers(0, 256, (600, 5, 3), dtype="uint8"))
    photo = photo.quantize() if mode == "P" else photo.convert(mode)
    path = tmp_path / ("image.tif" if mode in ("CMYK", "LA") else "image.png")
    photo.save(path)
    with ImageFile(path) as file:
        expected = photo if mode in ("L", "RGBA", "LA") else photo.convert("RGB")
        np.testing.assert_array_equal(file.read(), np.asarray(expected))
