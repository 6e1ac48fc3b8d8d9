"""A network runs on as many threads as were set, whichever thread asks."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from threadpoolctl import threadpool_info

from lockstep.scoring.torch_runner import TorchRunner


def test_a_new_thread_computes_on_as_many_threads_as_the_first() -> None:
    torch.set_num_threads(1)
    runner = TorchRunner(torch.nn.Linear(8, 1), torch.device("cpu"))
    found: list[int] = []

    def score() -> None:
        runner.run((np.zeros((4, 8), dtype=np.float32),))
        found.extend(pool["num_threads"] for pool in threadpool_info() if "torch" in pool["filepath"])

    thread = threading.Thread(target=score)
    thread.start()
    thread.join()
    assert set(found) == {1}


def test_threads_that_run_at_the_same_time_get_their_own_results() -> None:
    runner = TorchRunner(torch.nn.Sequential(torch.nn.Linear(8, 64), torch.nn.ReLU()), torch.device("cpu"))
    rows = [np.full((4, 8), number, dtype=np.float32) for number in range(40)]
    alone = [runner.run((each,))[0].tobytes() for each in rows]
    with ThreadPoolExecutor(4) as pool:
        together = [result[0].tobytes() for result in pool.map(lambda each: runner.run((each,)), rows)]
    assert together == alone
