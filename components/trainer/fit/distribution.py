"""Several processes that train one network in step: each looks at its share of every batch, gradients are averaged.

Variables are each process's own. The same seed, the same first weights and the same averaged gradients keep them
equal, so nothing but sums goes over the network.
"""

from __future__ import annotations

import functools
import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from components.trainer.fit.backup import assign
from components.trainer.fit.loop import TrainState
from components.trainer.model.network import Network, rng_variables
from components.trainer.progress import Progress

Distribution = Literal["one", "workers"]
TF_CONFIG: Final = "TF_CONFIG"
_JOBS: Final = ("chief", "worker")  # in the order they are numbered
_EXAMPLE: Final = (
    '{"cluster": {"worker": ["host0:2222", "host1:2222"]}, "task": {"type": "worker", "index": 0}}'
)


class WorkersError(ValueError):
    """The workers cannot train together; the message says why and what to do."""


@dataclass(frozen=True)
class Cluster:
    """Who trains together, as TF_CONFIG has it: all addresses, and which of them is this process."""

    addresses: tuple[str, ...]
    number: int

    @classmethod
    def read(cls, environment: Mapping[str, str]) -> Cluster:
        """What TF_CONFIG says; a chief, where there is one, is number 0.

        Raises:
            WorkersError: it is not set, or not what TensorFlow understands.
        """
        text = environment.get(TF_CONFIG)
        if not text:
            raise WorkersError(
                f"distribution=workers: {TF_CONFIG} is not set; the training operator sets it, by hand it is "
                f"{_EXAMPLE}. One process alone trains with distribution=one"
            )
        try:
            content = json.loads(text)
            jobs: dict[str, list[str]] = content["cluster"]
            kind, index = content["task"]["type"], int(content["task"]["index"])
            strange = sorted(set(jobs) - set(_JOBS))
            addresses = [(job, place) for job in _JOBS for place in enumerate(jobs.get(job, []))]
            number = [(job, place[0]) for job, place in addresses].index((kind, index))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise WorkersError(f"{TF_CONFIG}={text}: cannot be used ({error}); valid is {_EXAMPLE}") from None
        if strange:
            raise WorkersError(
                f"{TF_CONFIG}: the cluster has {', '.join(strange)}; valid are {' and '.join(_JOBS)}"
            )
        return cls(tuple(place[1] for _, place in addresses), number)


class Workers:
    """The processes that train together, of which this one is `number` of `count`."""

    def __init__(self, number: int = 0, count: int = 1, strategy: Any = None) -> None:
        self.number = number
        self.count = count
        self._strategy = strategy
        self._mean = tf.function(self.averaged, autograph=False)

    @property
    def chief(self) -> bool:
        """Whether this process writes: backup, history, model."""
        return self.number == 0

    def rows(self, batch_size: int) -> int:
        """How many pictures of a batch each worker looks at.

        Raises:
            WorkersError: the batch cannot be divided.
        """
        if batch_size % self.count:
            up = -(-batch_size // self.count) * self.count
            raise WorkersError(
                f"batch_size={batch_size} with {self.count} workers: every worker takes an equal share, so give "
                f"a multiple of {self.count}, such as {up}"
            )
        return batch_size // self.count

    def share(self, chosen: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """This worker's part of the picture numbers of a batch."""
        rows = self.rows(len(chosen))
        return chosen[self.number * rows : (self.number + 1) * rows]

    def averaged(self, tensors: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """The mean of each tensor over all workers, to be called inside a tf.function."""
        if self._strategy is None:
            return list(tensors)

        def reduce(values: list[tf.Tensor]) -> list[tf.Tensor]:
            # Copies, because the sum goes to the device a tensor was made on, and outside of here none is named.
            here = [tf.identity(value) for value in values]
            return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, here)

        return list(self._strategy.run(reduce, args=(list(tensors),)))

    def mean(self, values: Sequence[npt.ArrayLike]) -> list[npt.NDArray[Any]]:
        """The mean of each value over all workers, at once."""
        given = [np.asarray(value) for value in values]
        if self._strategy is None:
            return given
        # They go over the network in one piece, which must be of one type.
        found = self._mean([tf.constant(value, tf.float64) for value in given])
        return [one.numpy().astype(value.dtype) for one, value in zip(found, given, strict=True)]

    def agree(self, number: float, problem: str) -> None:
        """Compares a number with the other workers'.

        Raises:
            WorkersError: theirs are not all like this one's; `problem` says what that means.
        """
        (found,) = self.mean([np.float64(number)])
        if found != number:
            raise WorkersError(f"worker {self.number + 1} of {self.count}: {problem}")

    def meet(self) -> None:
        """Waits until every worker is here."""
        self.mean([np.float64(0.0)])

    @contextmanager
    def chief_first(self) -> Iterator[None]:
        """The chief goes through the block before the others: what it leaves in the cache they find."""
        if not self.chief:
            self.meet()
        yield
        if self.chief:
            self.meet()

    def check_start(self, network: Network, state: TrainState) -> None:
        """Compare where the workers begin, and with which weights.

        Raises:
            WorkersError: they would average what does not belong together.
        """
        if self.count == 1:
            return
        self.agree(
            state.stage * 1e9 + state.step,
            f"it begins at stage {state.stage + 1}, step {state.step}, another elsewhere; all must read the same "
            "backup, so give trainer.cache_dir a folder that they share",
        )
        self.agree(
            float(sum(zlib.crc32(value.tobytes()) for value in network.weights())),
            "its first weights are not those of the others; start the same image on machines of one kind",
        )

    def offset_rng_state(self, network: Network) -> None:
        """Give each worker random numbers of its own: the same dropout everywhere would be less of it."""
        if self.chief:
            return
        for variable in rng_variables(network.model):
            state = np.array(variable)
            state[0] += self.number
            variable.assign(state)

    def average_statistics(self, network: Network) -> None:
        """Average batch-norm's moving statistics, which each worker gathers on its own pictures."""
        variables = network.statistics() if self.count > 1 else []
        if variables:
            assign(variables, self.mean([np.array(v) for v in variables]))


ONE: Final = Workers()


def workers(distribution: Distribution) -> Workers:
    """The workers of this process; the first call joins them and must come before any other use of TensorFlow.

    Raises:
        WorkersError: TF_CONFIG is missing or wrong, or TensorFlow was used before.
    """
    return ONE if distribution == "one" else _joined()


@functools.cache
def _joined() -> Workers:
    cluster = Cluster.read(os.environ)
    number, count = cluster.number, len(cluster.addresses)
    if count == 1:
        return ONE
    cards = tf.config.list_physical_devices("GPU")
    if len(cards) > 1:
        raise WorkersError(
            f"distribution=workers: this process sees {len(cards)} GPUs, a worker has one; start a worker for "
            "each, with CUDA_VISIBLE_DEVICES=0, 1, ..."
        )
    progress = Progress()
    progress.line("worker %d of %d: waiting for %s", number + 1, count, ", ".join(cluster.addresses))
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise WorkersError(
            f"distribution=workers: {error}; workers are joined at the start of a process, as by "
            "`melanosizer train-worker`, before anything else uses TensorFlow"
        ) from error
    progress.line("worker %d of %d: all are there", number + 1, count)
    return Workers(number, count, strategy)
