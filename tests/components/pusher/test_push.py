from pathlib import Path

from tfx.types import standard_artifacts

from components.gate.blessing import bless_model
from components.idle import IDLE
from components.pusher import executor
from components.pusher.executor import Executor, push


def _model(folder: Path, content: str = "graph") -> Path:
    (folder / "variables").mkdir(parents=True)
    (folder / "saved_model.pb").write_text(content)
    (folder / "variables" / "variables.index").write_text("index")
    return folder


def test_a_pushed_version_is_whole_and_nothing_else_is_left(tmp_path: Path):
    base = tmp_path / "serving" / "melanoma"
    target = push(_model(tmp_path / "model"), base, "42")
    assert target == base / "42"
    assert (target / "variables" / "variables.index").read_text() == "index"
    assert [path.name for path in base.iterdir()] == ["42"]


def test_what_a_killed_push_left_is_replaced(tmp_path: Path):
    base = tmp_path / "melanoma"
    (base / ".42.partial").mkdir(parents=True)
    (base / ".42.partial" / "junk").touch()
    target = push(_model(tmp_path / "model"), base, "42")
    assert sorted(path.name for path in target.iterdir()) == ["saved_model.pb", "variables"]


def test_a_version_that_is_there_is_not_touched(tmp_path: Path):
    base = tmp_path / "melanoma"
    push(_model(tmp_path / "a", "first"), base, "42")
    push(_model(tmp_path / "b", "second"), base, "42")
    assert (base / "42" / "saved_model.pb").read_text() == "first"


def test_the_growing_copy_has_a_name_that_servers_ignore(tmp_path: Path, monkeypatch):
    seen = []
    monkeypatch.setattr(Path, "rename", lambda self, target: seen.append((self.name, target.name)))
    push(_model(tmp_path / "model"), tmp_path / "melanoma", "42")
    assert seen == [(".42.partial", "42")]
    assert not ".42.partial".isdigit()


def test_what_a_gate_refused_is_not_pushed_and_the_step_says_so(tmp_path: Path, monkeypatch):
    said = []
    monkeypatch.setattr(executor.logging, "info", lambda *message: said.append(message))
    blessing, pushed = standard_artifacts.ModelBlessing(), standard_artifacts.PushedModel()
    blessing.uri = str(tmp_path / "blessing")
    bless_model(blessing, False)
    Executor().Do({"model_blessing": [blessing]}, {"pushed_model": [pushed]}, {})
    assert pushed.get_int_custom_property("pushed") == 0
    assert said[-1] == (IDLE, "a gate refused the model")
