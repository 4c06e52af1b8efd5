import inspect
import io
import logging
from pathlib import Path

from rich.console import Console
from tfx.orchestration.local import local_dag_runner
from tfx.orchestration.portable import launcher

from components.idle import IDLE
from pipeline.progress import FINISHED, FROM_CACHE, STARTED, ProductLogHandler, StepProgress, open_log


def _record(message: str, *args: object, name: str = "absl") -> logging.LogRecord:
    return logging.LogRecord(name, logging.INFO, __file__, 1, message, args, None)


def test_the_messages_are_still_those_the_runner_logs():
    source = inspect.getsource(local_dag_runner)
    assert f"'{STARTED}'" in source
    assert f"'{FINISHED}'" in source
    assert f"'{FROM_CACHE}'" in inspect.getsource(launcher)


def test_each_step_gets_a_line_and_the_cached_one_says_so():
    stream = io.StringIO()
    progress = StepProgress(Console(file=stream, width=100), ["Trainer", "Pusher"])
    for record in (
        _record(STARTED, "Trainer"),
        _record(FINISHED, "Trainer"),
        _record(STARTED, "Pusher"),
        _record(FROM_CACHE, 7),
        _record(FINISHED, "Pusher"),
    ):
        progress.emit(record)
    first, second = stream.getvalue().splitlines()
    assert first.startswith("[ 1/2] Trainer")
    assert "cache" not in first
    assert second.startswith("[ 2/2] Pusher")
    assert second.endswith("unchanged, from cache")


def test_a_step_that_did_nothing_says_so():
    stream = io.StringIO()
    progress = StepProgress(Console(file=stream, width=100), ["Pusher", "registry"])
    for record in (
        _record(STARTED, "Pusher"),
        _record(IDLE, "a gate refused the model"),
        _record(FINISHED, "Pusher"),
        _record(STARTED, "registry"),
        _record(FINISHED, "registry"),
    ):
        progress.emit(record)
    progress.stop()
    first, second = stream.getvalue().splitlines()
    assert first.endswith(" s  did nothing: a gate refused the model")
    assert second.endswith(" s")


def test_a_step_that_stops_the_run_is_named_with_those_not_reached():
    stream = io.StringIO()
    progress = StepProgress(Console(file=stream, width=40), ["data-gate", "Trainer", "Pusher"])
    progress.emit(_record(STARTED, "data-gate"))
    progress.stop()
    (line,) = stream.getvalue().splitlines()
    assert line.startswith("[ 1/3] data-gate")
    assert line.endswith("stopped; not reached: Trainer, Pusher")


def test_only_our_own_lines_are_shown():
    stream = io.StringIO()
    handler = ProductLogHandler(Console(file=stream, width=100))
    handler.handle(_record("epoch %d of %d [loss]", 1, 3, name="components.trainer.progress"))
    handler.handle(_record("grpc noise", name="grpc._cython"))
    assert stream.getvalue() == "        epoch 1 of 3 [loss]\n"


def test_the_log_holds_one_event_a_line(tmp_path: Path):
    handler = open_log(tmp_path / "run.log")
    handler.emit(_record("Component %s is running.", "Trainer"))
    handler.emit(_record("node_info {\n  id: %s\n}", "Trainer"))
    handler.close()
    first, second = (tmp_path / "run.log").read_text().splitlines()
    assert first.endswith("INFO absl: Component Trainer is running.")
    assert second.endswith("INFO absl: node_info { id: Trainer }")
