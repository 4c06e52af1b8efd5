from pathlib import Path

from components.pusher.executor import push


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
