"""What one worker is told all read."""

import threading
from pathlib import Path

from lockstep.serving.workers.board import Board, Wanted


def test_news_are_told_once_to_each_reader(tmp_path: Path) -> None:
    writer, reader = Board(tmp_path), Board(tmp_path)
    assert reader.news() is None
    writer.post("toy", Wanted(4, passed_over="d"))
    assert reader.news() == {"toy": Wanted(4, passed_over="d")}
    assert reader.news() is None
    writer.post("other", Wanted(None))
    assert reader.news() == {"toy": Wanted(4, passed_over="d"), "other": Wanted(None)}


def test_one_that_starts_later_reads_it_all(tmp_path: Path) -> None:
    Board(tmp_path).post("toy", Wanted(2))
    Board(tmp_path).post("toy", Wanted(3))
    assert Board(tmp_path).read() == {"toy": Wanted(3)}


def test_posts_at_the_same_time_are_all_kept(tmp_path: Path) -> None:
    boards = [Board(tmp_path) for _ in range(8)]
    threads = [threading.Thread(target=b.post, args=(f"m{n}", Wanted(n + 1))) for n, b in enumerate(boards)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Board(tmp_path).read() == {f"m{n}": Wanted(n + 1) for n in range(8)}
