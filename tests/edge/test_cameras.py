"""Three kinds of camera behind one interface; one that is pulled out comes back by itself."""

from __future__ import annotations

import io
import sys
import threading
import types
from concurrent import futures
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from edge.camera.camera import (
    CameraHungError,
    CameraLostError,
    FolderCamera,
    PiCamera,
    V4L2Camera,
    open_camera,
)
from edge.camera.keeper import CameraKeeper
from edge.config import CameraSection


def size(jpeg: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(jpeg)).size


def test_the_folder_shows_what_the_next_capture_takes(tmp_path: Path, picture: bytes) -> None:
    for name in ("b.jpg", "a.JPG", "notes.txt"):
        (tmp_path / name).write_bytes(picture + name.encode())
    camera = FolderCamera(tmp_path, 320)
    assert size(camera.preview()) == (320, 240)
    assert [camera.capture()[-5:] for _ in range(3)] == [b"a.JPG", b"b.jpg", b"a.JPG"]


def test_an_empty_or_missing_folder_says_so(tmp_path: Path) -> None:
    with pytest.raises(CameraLostError, match="holds no image"):
        FolderCamera(tmp_path, 320)
    with pytest.raises(CameraLostError, match="does not exist"):
        FolderCamera(tmp_path / "none", 320)


class FakeCamera:
    name = "fake"

    def __init__(self, plug: dict[str, Any]) -> None:
        if not plug["in"]:
            raise CameraLostError("no such device")
        self._plug = plug
        plug["opened"] += 1

    def preview(self) -> bytes:
        return self.capture()

    def capture(self) -> bytes:
        if not self._plug["in"]:
            raise CameraLostError("unplugged")
        self._plug["frames"] += 1
        return f"frame {self._plug['frames']}".encode()

    def close(self) -> None:
        self._plug["closed"] += 1


def test_an_unplugged_camera_is_opened_again_a_second_later() -> None:
    plug = {"in": True, "opened": 0, "closed": 0, "frames": 0}
    now = [100.0]
    keeper = CameraKeeper(lambda: FakeCamera(plug), fps=10, clock=lambda: now[0])
    assert keeper.capture() == b"frame 1"
    plug["in"] = False
    with pytest.raises(CameraLostError, match="unplugged"):
        keeper.capture()
    assert (keeper.trouble, plug["closed"], keeper.name) == ("unplugged", 1, "–")
    plug["in"] = True
    with pytest.raises(CameraLostError):
        keeper.capture()  # not hammered: a second has not passed
    now[0] += 1.1
    assert keeper.capture() == b"frame 2"
    assert (keeper.trouble, plug["opened"], keeper.name) == (None, 2, "fake")
    keeper.close()


def test_viewers_share_one_preview_a_frame() -> None:
    plug = {"in": True, "opened": 0, "closed": 0, "frames": 0}
    now = [100.0]
    keeper = CameraKeeper(lambda: FakeCamera(plug), fps=10, clock=lambda: now[0])
    assert keeper.preview() is keeper.preview()
    now[0] += 0.11
    assert keeper.preview() == b"frame 2"


class HangingCamera(FakeCamera):
    """Takes a request and never comes back, as a driver whose sensor lost its clock."""

    def capture(self) -> bytes:
        if self._plug.get("hang"):
            self._plug["hang"].wait(600)
        return super().capture()


def test_a_camera_that_hangs_is_left_behind_and_opened_again() -> None:
    others = set(threading.enumerate())
    release = threading.Event()
    plug: dict[str, Any] = {"in": True, "opened": 0, "closed": 0, "frames": 0, "hang": release}
    now = [100.0]
    keeper = CameraKeeper(lambda: HangingCamera(plug), fps=10, deadline_s=0.2, clock=lambda: now[0])
    with pytest.raises(CameraHungError, match="no picture within 0"):
        keeper.capture()
    assert (keeper.hung, keeper.hopeless) == (True, False)
    with pytest.raises(CameraHungError):
        keeper.preview()  # not hammered
    now[0] += 1.1
    with pytest.raises(CameraHungError):
        keeper.preview()
    assert keeper.hopeless  # opening it again did not help
    plug["hang"] = None
    keeper._deadline = 120.0  # whatever else the machine does meanwhile
    now[0] += 1.1
    assert keeper.preview() == b"frame 1"
    assert (keeper.hung, keeper.hopeless, keeper.trouble) == (False, False, None)
    # The threads that were left behind close their cameras when the driver gives way.
    release.set()
    for thread in set(threading.enumerate()) - others - {keeper._hand}:
        thread.join(120)
    assert (plug["opened"], plug["closed"]) == (3, 2)
    keeper.close()


def test_viewers_of_a_camera_that_hangs_wait_for_one_answer() -> None:
    release = threading.Event()
    plug: dict[str, Any] = {"in": True, "opened": 0, "closed": 0, "frames": 0, "hang": release}
    # By a clock that stands still the camera is not opened again, however late a viewer comes.
    keeper = CameraKeeper(lambda: HangingCamera(plug), fps=10, deadline_s=0.5, clock=lambda: 100.0)
    with futures.ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(keeper.preview) for _ in range(8)]
        assert all(isinstance(one.exception(120), CameraHungError) for one in waiting)
    assert plug["opened"] == 1
    release.set()
    keeper.close()


def test_a_usb_camera_that_comes_back_under_another_number_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, picture: bytes
) -> None:
    tried = []

    class Device:
        jpeg = picture

        def __init__(self, path: str) -> None:
            tried.append(path)
            if path.endswith("0"):
                raise OSError(19, "No such device")

        def open(self) -> None:
            return

    for number in range(2):
        (tmp_path / f"video{number}").touch()
    module = types.SimpleNamespace(Device=Device, VideoCapture=FakeVideoCapture)
    monkeypatch.setitem(sys.modules, "linuxpy.video.device", module)
    camera = V4L2Camera(f"{tmp_path}/video*", 1280, 720, 320)
    assert camera.name == f"USB camera {tmp_path}/video1"
    assert tried == [f"{tmp_path}/video0", f"{tmp_path}/video1"]


def test_a_missing_usb_camera_says_what_to_check() -> None:
    with pytest.raises(CameraLostError, match="check its cable"):
        open_camera(CameraSection(source="v4l2:/dev/video-none"))


def test_a_missing_picamera2_says_what_to_install() -> None:
    with pytest.raises(CameraLostError, match="apt-get install python3-picamera2"):
        open_camera(CameraSection(source="picamera2"))


class FakeVideoCapture:
    """linuxpy's VideoCapture, as its documentation shows it used."""

    def __init__(self, device: Any, size: int) -> None:
        assert size == 2
        self._device = device

    def set_format(self, width: int, height: int, pixel_format: str) -> None:
        self._device.format = (width, height, pixel_format)

    def open(self) -> None:
        self._device.streaming = True

    def __iter__(self) -> Any:
        for number in range(4):
            yield types.SimpleNamespace(data=self._device.jpeg + bytes([number]))
        raise OSError(19, "No such device")


def test_usb_frames_are_the_cameras_own_and_the_newest(
    picture: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Any] = []

    class Device:
        def __init__(self, path: str) -> None:
            self.path, self.jpeg, self.closed = path, picture, False
            opened.append(self)

        def open(self) -> None:
            assert self.path == "/dev/video7"

        def close(self) -> None:
            self.closed = True

    module = types.SimpleNamespace(Device=Device, VideoCapture=FakeVideoCapture)
    monkeypatch.setitem(sys.modules, "linuxpy.video.device", module)
    camera = V4L2Camera("/dev/video7", 1280, 720, 320)
    assert opened[0].format == (1280, 720, "MJPG")
    assert camera.capture() == picture + b"\x01"
    assert size(camera.preview()) == (320, 240)
    with pytest.raises(CameraLostError, match="No such device"):
        camera.capture()
    assert opened[0].closed
    with pytest.raises(CameraLostError):
        camera.capture()


def test_linuxpy_still_has_what_the_camera_uses() -> None:
    import inspect

    from linuxpy.video import device

    assert list(inspect.signature(device.VideoCapture.__init__).parameters)[:3] == ["self", "device", "size"]
    assert list(inspect.signature(device.VideoCapture.set_format).parameters)[:4] == [
        "self",
        "width",
        "height",
        "pixel_format",
    ]
    assert hasattr(device.Frame, "data")
    for name in ("open", "close", "__iter__"):
        assert hasattr(device.VideoCapture, name)


class FakePicamera2:
    """The calls of picamera2's manual, chapters 4 and 6."""

    def __init__(self) -> None:
        self.log: list[Any] = []
        self.broken = False
        FakePicamera2.last = self

    last: FakePicamera2

    def create_preview_configuration(self, main: dict[str, Any]) -> dict[str, Any]:
        return {"preview": main}

    def create_still_configuration(self, main: dict[str, Any]) -> dict[str, Any]:
        return {"still": main}

    def configure(self, configuration: dict[str, Any]) -> None:
        self.log.append(configuration)

    def start(self) -> None:
        self.log.append("start")

    def capture_file(self, target: io.BytesIO, format: str) -> None:
        if self.broken:
            raise RuntimeError("camera frontend has timed out")
        target.write(b"small " + format.encode())

    def switch_mode_and_capture_file(self, still: dict[str, Any], target: io.BytesIO, format: str) -> None:
        target.write(b"%d " % still["still"]["size"][0] + format.encode())

    def close(self) -> None:
        self.log.append("close")


def test_the_pi_camera_previews_small_and_captures_full(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "picamera2", types.SimpleNamespace(Picamera2=FakePicamera2))
    camera = PiCamera(2028, 1520, 448)
    fake = FakePicamera2.last
    assert fake.log == [{"preview": {"size": (448, 336), "format": "RGB888"}}, "start"]
    assert camera.preview() == b"small jpeg"
    assert camera.capture() == b"2028 jpeg"
    fake.broken = True
    with pytest.raises(CameraLostError, match="timed out"):
        camera.preview()
    assert fake.log[-1] == "close"
    with pytest.raises(CameraLostError, match="closed"):
        camera.preview()
