"""insightface and BiSeNet behind our interfaces, with tiny random networks in place of their weights."""

from __future__ import annotations

import sys
import zipfile
from types import ModuleType, SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch

from models.common.conversion import ConversionError
from models.common.face_insightface import InsightFaceDetector, unpack
from models.common.face_parsing import BiSeNet, convert, main
from models.common.faces import FaceDetector, mask_face, parser_input

# of facexlib's parsing_bisenet.pth, which has 191 tensors and 53,289,463 bytes
PUBLISHED = (
    "cp.resnet.conv1.weight", "cp.resnet.bn1.running_mean", "cp.resnet.layer1.0.conv1.weight",
    "cp.resnet.layer2.0.downsample.0.weight", "cp.resnet.layer4.1.bn2.num_batches_tracked", "cp.arm16.conv.bn.bias",
    "cp.arm32.conv_atten.weight", "cp.arm32.bn_atten.weight", "cp.conv_head32.conv.weight",
    "cp.conv_head16.bn.running_var", "cp.conv_avg.conv.weight", "ffm.convblk.conv.weight", "ffm.conv1.weight",
    "ffm.conv2.weight", "conv_out.conv.conv.weight", "conv_out.conv_out.weight", "conv_out16.conv_out.weight",
    "conv_out32.conv.bn.weight",
)  # fmt: skip


@pytest.fixture
def network() -> BiSeNet:
    torch.manual_seed(0)
    network = BiSeNet(width=4)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.weight, 1, 0.3)
            torch.nn.init.normal_(module.bias, 0, 0.3)
    return network.eval()


def test_names_and_size_are_those_of_the_published_weights():
    with torch.device("meta"):
        state = BiSeNet().state_dict()
    assert len(state) == 191
    assert set(PUBLISHED) <= set(state)
    assert tuple(state["conv_out.conv_out.weight"].shape) == (19, 256, 1, 1)
    stored = sum(tensor.numel() * tensor.element_size() for tensor in state.values())
    assert 0 < 53_289_463 - stored < 50_000  # what the file adds are names


def test_a_label_for_every_pixel_turns_into_a_mask(network):
    aligned = np.random.default_rng(0).integers(1, 256, (64, 64, 3), dtype=np.uint8)
    labels = network.parse(parser_input(aligned))
    assert labels.shape == (64, 64) and labels.min() >= 0 and labels.max() < 19
    scores = network(torch.from_numpy(parser_input(aligned)))
    assert np.array_equal(labels, scores[0].argmax(0).numpy())
    assert mask_face(aligned, network.parse).shape == aligned.shape


@pytest.mark.parametrize("new_format", [True, False])
def test_the_published_file_becomes_a_folder_that_gives_the_same_labels(tmp_path, capsys, network, new_format):
    torch.save(network.state_dict(), tmp_path / "parsing.pth", _use_new_zipfile_serialization=new_format)
    main([str(tmp_path / "parsing.pth"), str(tmp_path / "parser")])
    assert "all 191 tensors" in capsys.readouterr().out
    from studio.registry.files import find_weights, read_config

    assert read_config(tmp_path / "parser") == {"classes": 19, "width": 4}
    assert len(find_weights(tmp_path / "parser")[0].entries) == 191


def test_another_networks_weights_are_refused_by_name(tmp_path, network):
    state = network.state_dict()
    state["ffm.conv3.weight"] = state.pop("ffm.conv2.weight")
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(ConversionError, match=r"1 missing:\n  ffm.conv2.weight\n1 unexpected:\n  ffm.conv3.weight"):
        convert(tmp_path / "other.pth", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_pickle_that_runs_code_is_not_opened(tmp_path):
    class Mischief:
        def __reduce__(self):
            return (print, ("I ran",))

    torch.save({"cp.resnet.conv1.weight": Mischief()}, tmp_path / "evil.pth")
    with pytest.raises(ConversionError, match="would run code"):
        convert(tmp_path / "evil.pth", tmp_path / "out")


class FakeAnalysis:
    """insightface's FaceAnalysis as far as we use it; remembers what it was asked."""

    made: ClassVar[list[FakeAnalysis]] = []

    def __init__(self, **options) -> None:
        self.options, self.prepared = options, {}
        self.seen: list[np.ndarray] = []
        self.found = [SimpleNamespace(bbox=np.arange(4.0), kps=np.ones((5, 2)), embedding=np.full(512, 3.0))]
        self.models = {"detection": self, "recognition": self}
        self.det_thresh = 0.5
        FakeAnalysis.made.append(self)

    def prepare(self, **options) -> None:
        self.prepared = options

    def get(self, image):
        self.seen.append(image)
        return self.found

    def detect(self, image, max_num, metric):
        assert self.det_thresh < 0.5
        height, width = image.shape[:2]
        boxes = np.array([[0, 0, 4, 4, 0.4], [width / 2 - 2, height / 2 - 2, width / 2 + 2, height / 2 + 2, 0.35]])
        return boxes, np.stack([np.zeros((5, 2)), np.ones((5, 2))])

    def get_feat(self, image):
        self.seen.append(image)
        return np.ones((1, 512))


@pytest.fixture
def insightface(monkeypatch, tmp_path) -> InsightFaceDetector:
    package, app = ModuleType("insightface"), ModuleType("insightface.app")
    app.FaceAnalysis = FakeAnalysis  # pyright: ignore[reportAttributeAccessIssue]
    monkeypatch.setitem(sys.modules, "insightface", package)
    monkeypatch.setitem(sys.modules, "insightface.app", app)
    FakeAnalysis.made.clear()
    (tmp_path / "scrfd.onnx").touch()
    return InsightFaceDetector.from_pretrained(tmp_path)


RGB = np.dstack([np.full((8, 12), value, np.uint8) for value in (10, 20, 30)])


def test_insightface_is_asked_once_with_a_folder_and_a_provider_and_sees_bgr(insightface, tmp_path):
    assert isinstance(insightface, FaceDetector)
    assert FakeAnalysis.made == []  # nothing is opened before the first picture
    found = insightface.detect(RGB)[0]
    assert found.identity.shape == (512,) and found.landmarks.shape == (5, 2)
    insightface.recognise(RGB)
    (analysis,) = FakeAnalysis.made
    assert analysis.options == {
        "name": str(tmp_path), "allowed_modules": ["detection", "recognition"], "providers": ["CPUExecutionProvider"],
    }  # fmt: skip
    assert analysis.prepared == {"ctx_id": -1, "det_size": (640, 640)}
    assert [tuple(image[0, 0]) for image in analysis.seen] == [(30, 20, 10)] * 2


def test_the_second_look_is_less_sure_takes_the_middle_face_and_leaves_no_trace(insightface):
    assert (insightface.landmarks(RGB) == 1).all()
    assert FakeAnalysis.made[0].det_thresh == 0.5


def test_an_empty_folder_and_a_missing_package_say_what_to_do(insightface, monkeypatch, tmp_path):
    (tmp_path / "scrfd.onnx").unlink()
    with pytest.raises(ValueError, match="holds no face models"):
        insightface.detect(RGB)
    monkeypatch.setitem(sys.modules, "insightface.app", None)
    with pytest.raises(ValueError, match=r"pip install --no-deps -r requirements-faces\.txt"):
        insightface.detect(RGB)


def test_a_model_pack_is_unpacked_flat_and_nothing_else_of_it(tmp_path):
    with zipfile.ZipFile(tmp_path / "antelopev2.zip", "w") as pack:
        pack.writestr("antelopev2/glintr100.onnx", b"one")
        pack.writestr("../../outside.onnx", b"two")
        pack.writestr("antelopev2/readme.txt", b"three")
    unpack(tmp_path / "antelopev2.zip", tmp_path / "models" / "out")
    assert sorted(path.name for path in tmp_path.rglob("*.onnx")) == ["glintr100.onnx", "outside.onnx"]
    assert not list(tmp_path.rglob("readme.txt")) and (tmp_path / "models" / "out" / "outside.onnx").is_file()
    (tmp_path / "broken.zip").write_bytes(b"no zip")
    with pytest.raises(ValueError, match=r"broken\.zip is not a zip file"):
        unpack(tmp_path / "broken.zip", tmp_path / "out")
