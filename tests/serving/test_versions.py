"""Following version folders: polling, policies, hot swap, failures, roll-back, start."""

from __future__ import annotations

import shutil
import threading

import grpc
import pytest

from core.files import write_atomic
from core.registry.model_server_config import ServedModel, render
from serving.versions.storage import parse_version
from tests.support.model_zoo_paths import broken
from tests.support.server_process import ServerProcess, model_config, until

QUICK = ("--file_system_poll_wait_seconds=0.1", "--max_num_load_retries=0", "--model_name=m")


def value(server, version=None):
    return server.predict("m", {"x": [[2.0]]}, version=version).outputs["y"].float_val[0]


@pytest.mark.parametrize(
    ("name", "version"),
    [("1", 1), ("007", 7), ("-3", -3), ("a", None), ("1a", None), ("", None), ("1.0", None), (str(2**63), None),
     (str(2**63 - 1), 2**63 - 1), ("temp-1", None), ("١", None)],
)  # fmt: skip
def test_a_version_is_a_name_that_parses_as_int64(name, version):
    assert parse_version(name) == version


def test_a_life_of_versions(pick, tmp_path):
    """One server: other names ignored, a new version taken, an older not, deletion rolls back, empty unloads."""
    base = pick("half", 1)
    (base / "readme.txt").write_text("not a version")
    (base / "tmp_2").mkdir()
    with ServerProcess(tmp_path / "server", f"--model_base_path={base}", *QUICK) as server:
        assert value(server) == 3.0
        assert list(server.status("m")) == [1]

        pick("half", 3, to=base)
        server.await_state("m", 3, "AVAILABLE")
        server.await_state("m", 1, "END")
        assert value(server) == 5.0

        # A lower number than the latest is not taken.
        pick("half", 2, to=base)
        pick("half", 3, to=tmp_path / "elsewhere")  # time for at least one poll
        assert list(server.status("m")) == [3, 1]
        with pytest.raises(grpc.RpcError):
            value(server, 2)

        # Deleting the newest rolls back to the highest that is left.
        shutil.rmtree(base / "3")
        server.await_state("m", 2, "AVAILABLE")
        server.await_state("m", 3, "END")
        assert value(server) == 4.0

        # A version that comes back is loaded again.
        pick("half", 3, to=base)
        server.await_state("m", 3, "AVAILABLE")
        assert value(server) == 5.0

        # An empty base path unloads.
        for version in (1, 2, 3):
            shutil.rmtree(base / str(version))
        server.await_state("m", 3, "END")
        with pytest.raises(grpc.RpcError) as error:
            value(server)
        assert error.value.code() is grpc.StatusCode.NOT_FOUND
        assert server.http("GET", "/readyz")[0] == 503
        assert server.http("GET", "/healthz")[0] == 200

        # A base path that is away is no order to unload.
        pick("half", 1, to=base)
        server.await_state("m", 1, "AVAILABLE")
        base.rename(base.with_name("away"))
        pick("half", 2, to=tmp_path / "elsewhere")
        assert value(server) == 3.0


def test_a_broken_version_never_disturbs_the_one_being_served(pick, tmp_path):
    base = pick("half", 1)
    with ServerProcess(tmp_path / "server", f"--model_base_path={base}", *QUICK) as server:
        broken(base / "2")
        message = server.await_state("m", 2, "END")
        assert "saved_model.pb" in message or "parse" in message.lower()
        assert server.status("m")[1] == ("AVAILABLE", "")
        assert value(server) == 3.0
        # One whose variables are cut off fails in the C++ loader.
        partial = base / "partial"
        shutil.copytree(base / "1", partial)
        (partial / "variables" / "variables.data-00000-of-00001").write_bytes(b"")
        partial.rename(base / "4")
        assert server.await_state("m", 4, "END")
        assert value(server) == 3.0
        # And a good one after it is taken.
        pick("half", 3, to=tmp_path / "elsewhere")
        (tmp_path / "elsewhere" / "3").rename(base / "5")
        server.await_state("m", 5, "AVAILABLE")
        assert value(server) == 5.0


def test_a_swap_under_load_fails_no_request(pick, tmp_path):
    base = pick("half", 1)
    with ServerProcess(tmp_path / "server", f"--model_base_path={base}", *QUICK) as server:
        seen: set[float] = set()
        failures: list[Exception] = []
        enough = threading.Event()

        def ask() -> None:
            while not enough.is_set():
                try:
                    seen.add(value(server))
                except grpc.RpcError as error:
                    failures.append(error)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        until(lambda: 3.0 in seen)
        for version in (2, 3):
            pick("half", version, to=base)
            server.await_state("m", version, "AVAILABLE")
            server.await_state("m", version - 1, "END")
            until(lambda answer=version + 2.0: answer in seen)
        enough.set()
        for thread in threads:
            thread.join()
        assert failures == []
        assert value(server) == 5.0
        assert seen == {3.0, 4.0, 5.0}


def test_policies_all_latest_and_specific(pick, tmp_path):
    base = pick("half", 1, 2, 3)
    config = tmp_path / "models.config"
    config.write_text(
        str(
            model_config(
                {"name": "every", "base_path": base, "policy": "all"},
                {"name": "two", "base_path": base, "latest": 2},
                {"name": "chosen", "base_path": base, "versions": [1, 3]},
                {"name": "newest", "base_path": base},
            )
        )
    )
    with ServerProcess(
        tmp_path / "server",
        f"--model_config_file={config}",
        "--file_system_poll_wait_seconds=0.1",
        "--model_config_file_poll_wait_seconds=0.1",
        "--allow_version_labels_for_unavailable_models",
    ) as server:
        for name, versions in (("every", {1, 2, 3}), ("two", {2, 3}), ("chosen", {1, 3}), ("newest", {3})):
            for version in versions:
                server.await_state(name, version, "AVAILABLE")
            assert set(server.status(name)) == versions

        # The configuration file is polled: a roll-back with labels, as the registry writes it.
        write_atomic(
            config,
            str(
                model_config({"name": "chosen", "base_path": base, "versions": [1], "labels": {"stable": 1}})
            ),
        )
        server.await_state("chosen", 3, "END")
        server.await_state("every", 1, "END")
        response = server.predict("chosen", {"x": [[2.0]]}, label="stable")
        assert response.model_spec.version.value == 1

        # A file that cannot be read changes nothing and is logged with its line.
        write_atomic(config, "model_config_list { config { nam: 'x' } }")
        until(lambda: "PollFilesystemAndReloadConfig failed" in server.log())
        assert "line 1" in server.log()
        assert server.predict("chosen", {"x": [[2.0]]}).model_spec.version.value == 1


def test_a_running_server_follows_pushes_promotions_and_rollbacks(pick, tmp_path):
    base = pick("half", 1)
    config = tmp_path / "models.config"
    write_atomic(config, _config(base, ["1"], stable="1"))
    with ServerProcess(
        tmp_path / "server",
        f"--model_config_file={config}",
        "--file_system_poll_wait_seconds=0.1",
        "--model_config_file_poll_wait_seconds=0.1",
        "--allow_version_labels_for_unavailable_models",
    ) as server:

        def answering(label=None):
            return server.predict("half", {"x": [[2.0]]}, label=label).model_spec.version.value

        server.await_state("half", 1, "AVAILABLE")
        assert (answering(), answering("stable")) == (1, 1)
        pick("half", 2, to=base)
        write_atomic(config, _config(base, ["1", "2"], stable="1"))
        while server.status("half").get(2, ("",))[0] != "AVAILABLE":
            # Nobody who asks by label is turned away while the versions change.
            assert answering("stable") == 1
        write_atomic(config, _config(base, ["2"], stable="2"))
        until(lambda: answering("stable") == 2)
        assert (answering(), answering("stable")) == (2, 2)
        write_atomic(config, _config(base, ["2", "1"], stable="2"))
        server.await_state("half", 1, "AVAILABLE")
        write_atomic(config, _config(base, ["1", "2"], stable="1", canary="2"))
        until(lambda: answering("stable") == 1)
        assert (answering("stable"), answering("canary")) == (1, 2)


def test_a_model_without_its_folder_is_waited_for_until_the_file_is_corrected(pick, tmp_path):
    base = pick("half", 1)
    config = tmp_path / "models.config"
    good = {"name": "half", "base_path": base}
    write_atomic(config, str(model_config(good)))
    with ServerProcess(
        tmp_path / "server",
        f"--model_config_file={config}",
        "--file_system_poll_wait_seconds=0.1",
        "--model_config_file_poll_wait_seconds=0.1",
    ) as server:
        write_atomic(config, str(model_config(good, {"name": "other", "base_path": tmp_path / "none"})))
        until(lambda: "(Re-)adding model: other" in server.log())
        write_atomic(config, str(model_config(good, {"name": "third", "base_path": base})))
        server.await_state("third", 1, "AVAILABLE")
        assert server.predict("half", {"x": [[2.0]]}).model_spec.version.value == 1


def test_a_version_that_is_not_whole_replaces_no_good_one(pick, tmp_path):
    base = pick("affine", 1)
    whole = pick("affine", 2, to=tmp_path / "elsewhere") / "2"
    with ServerProcess(
        tmp_path / "server",
        f"--model_base_path={base}",
        "--model_name=m",
        "--file_system_poll_wait_seconds=0.1",
        "--max_num_load_retries=0",
    ) as server:

        def answering():
            return server.predict("m", {"x": [2.0]}).model_spec.version.value

        missing = ["variables", "variables/variables.index", "variables/variables.data"]
        for version, name in enumerate(missing, start=2):
            partial = tmp_path / "partial"
            shutil.copytree(whole, partial)
            if name == "variables":
                shutil.rmtree(partial / name)
            elif name.endswith("index"):
                (partial / name).unlink()
            else:
                data = next((partial / "variables").glob("variables.data*"))
                data.write_bytes(data.read_bytes()[:10])
            partial.rename(base / str(version))
            assert server.await_state("m", version, "END")
            assert answering() == version - 1, name
            # And is taken once it is whole.
            shutil.copytree(whole, base / str(version), dirs_exist_ok=True)
            server.await_state("m", version, "AVAILABLE")
            server.await_state("m", version - 1, "END")
            assert answering() == version, name


def test_a_label_that_moves_to_what_is_not_loaded_is_refused_as_in_tf_serving(pick, tmp_path):
    base = pick("half", 1, 2)
    config = tmp_path / "models.config"
    write_atomic(config, _config(base, ["1"], stable="1"))
    with ServerProcess(
        tmp_path / "server",
        f"--model_config_file={config}",
        "--model_config_file_poll_wait_seconds=0.1",
        "--allow_version_labels_for_unavailable_models",
    ) as server:
        server.await_state("half", 1, "AVAILABLE")
        write_atomic(config, _config(base, ["2"], stable="2"))
        until(lambda: "Request to assign label to version 2 of model half" in server.log())
        assert server.predict("half", {"x": [[2.0]]}, label="stable").model_spec.version.value == 1


def _config(base, versions, **labels):
    return render(ServedModel("half", str(base), tuple(versions), labels))


def test_polling_once_takes_no_later_version(pick, tmp_path):
    base = pick("half", 1)
    with ServerProcess(
        tmp_path / "server",
        f"--model_base_path={base}",
        "--file_system_poll_wait_seconds=0",
        "--model_name=m",
    ) as server:
        pick("half", 2, to=base)
        assert list(server.status("m")) == [1]
        assert value(server) == 3.0


def test_a_failed_load_is_retried(pick, tmp_path):
    base = pick("half", 1)
    with ServerProcess(
        tmp_path / "server",
        f"--model_base_path={base}",
        "--model_name=m",
        "--file_system_poll_wait_seconds=0.1",
        "--max_num_load_retries=5000",
        "--load_retry_interval_micros=100000",
    ) as server:
        broken(base / "2")
        server.await_state("m", 2, "LOADING")
        until(lambda: "Retrying load of {name: m version: 2}" in server.log())
        assert value(server) == 3.0
        # What was half written is whole now: the next try takes it.
        shutil.copytree(pick("half", 2, to=tmp_path / "elsewhere") / "2", base / "2", dirs_exist_ok=True)
        server.await_state("m", 2, "AVAILABLE")
        assert value(server) == 4.0


def test_tf1_and_tf2_models_load(server):
    assert list(server.predict("half", {"x": [[2.0]]}).outputs["y"].float_val) == [5.0]
    assert list(server.predict("affine", {"x": [2.0]}).outputs["y"].float_val) == [4.0]
