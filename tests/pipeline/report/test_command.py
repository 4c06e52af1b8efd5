import pytest
from typer.testing import CliRunner

from core.errors import UsageError
from pipeline.__main__ import app
from tests.support import fake_run

runner = CliRunner()


def test_the_newest_report_is_written_again_and_its_path_printed(pushed, tmp_path):
    out = tmp_path / "deep" / "page.html"
    result = runner.invoke(app, ["report", "--workspace", str(pushed.workspace.root), "--out", str(out)])
    assert result.exit_code == 0
    assert result.stdout.strip() == str(out)
    assert out.read_text() == pushed.html
    assert 'href="page.html"' in (out.parent / "model_card.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--run", "20200101-000000"],
            f"--run 20200101-000000: no such finished run; valid are {fake_run.RUN_ID}",
        ),
        (["--out", "."], "--out .: is a folder; name a file"),
    ],
)
def test_a_mistake_says_what_would_be_valid(pushed, arguments, message):
    result = runner.invoke(app, ["report", "--workspace", str(pushed.workspace.root), *arguments])
    assert isinstance(result.exception, UsageError)
    assert message in str(result.exception)


def test_a_workspace_without_runs(tmp_path):
    (tmp_path / ".melanosizer-workspace").touch()
    result = runner.invoke(app, ["report", "--workspace", str(tmp_path)])
    assert "no run has finished there yet" in str(result.exception)


def test_a_damaged_record_is_one_sentence(tmp_path):
    (tmp_path / ".melanosizer-workspace").touch()
    run = tmp_path / "runs" / fake_run.RUN_ID
    run.mkdir(parents=True)
    (run / "run.json").write_bytes(b'{"run_id": "2026')
    result = runner.invoke(app, ["report", "--workspace", str(tmp_path)])
    assert isinstance(result.exception, UsageError)
    assert f"--run {fake_run.RUN_ID}: {run / 'run.json'} cannot be read: " in str(result.exception)
