"""The file that workers share, and a restart reads."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from h3push.control.controller import Controller
from h3push.control.kinds import EvidenceClass
from h3push.control.model import Fate, Model, Seen, ViewSeen
from h3push.control.sharing import SharedController
from h3push.control.snapshot import model_to_text, view_to_text
from h3push.control.store import KEPT_VIEWS, SNAPSHOT_EVERY, Store, StoreError


def view(path: str) -> ViewSeen:
    return ViewSeen(route="/", kind=EvidenceClass.NEW, page_bytes=1, members=(Seen(path, Fate.USED, 1, 1),), bytes=1)


def test_workers_see_what_the_others_saw(tmp_path: Path) -> None:
    """Each view once, in order, and nobody's own."""
    one, two = Store(tmp_path / "s", "one"), Store(tmp_path / "s", "two")
    assert one.exchange(["a", "b"]).views == ()
    assert two.exchange(["c"]).views == ("a", "b")
    assert one.exchange([]).views == ("c",)
    assert two.exchange([]).views == ()
    one.close()
    two.close()


def test_a_newcomer_begins_with_the_model(tmp_path: Path) -> None:
    """It gets the model and the views behind it, not those in it."""
    one = Store(tmp_path / "s", "one")
    news = one.exchange(["a"] * SNAPSHOT_EVERY)
    assert news.wants_model
    one.write_model("the model", news.number)
    assert not one.exchange(["b"]).wants_model
    newcomer = Store(tmp_path / "s", "newcomer").exchange([])
    assert (newcomer.model, newcomer.views) == ("the model", ("b",))


def test_who_missed_views_takes_the_model_instead(tmp_path: Path) -> None:
    """The table is bounded; a worker that slept for long replaces what it knows, its own views in it."""
    sleeper, busy = Store(tmp_path / "s", "sleeper"), Store(tmp_path / "s", "busy")
    sleeper.exchange(["mine"])
    news = busy.exchange(["a"] * (KEPT_VIEWS + 10))
    busy.write_model("the model", news.number)
    assert sleeper.exchange([]).model == "the model"
    assert sleeper.exchange([]).model is None
    with sqlite3.connect(tmp_path / "s") as file:
        assert file.execute("SELECT count(*) FROM views").fetchone()[0] <= KEPT_VIEWS


def test_a_file_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as file:
        file.execute("CREATE TABLE precious (x)")
    with pytest.raises(StoreError, match="it is something else"):
        Store(other, "one")
    text = tmp_path / "text"
    text.write_text("no database at all, and longer than a header " * 20)
    with pytest.raises(StoreError, match="cannot keep what is learned in"):
        Store(text, "one")
    with sqlite3.connect(other) as file:
        assert file.execute("SELECT name FROM sqlite_master").fetchall() == [("precious",)]


def shared(path: Path) -> SharedController:
    return SharedController(Controller(Model()), path)


def test_what_is_learned_outlives_the_server(tmp_path: Path) -> None:
    """The views of one run are known in the next."""

    async def run() -> None:
        first = shared(tmp_path / "s")
        first.start()
        for _ in range(20):
            first.controller.model.learn(view("/a.css"))
            first._note(view("/a.css"))
        await first.close()

    asyncio.run(run())
    again = shared(tmp_path / "s")
    assert again.controller.model.routes["/"].views == 20
    asyncio.run(again.close())


def test_two_workers_come_to_the_same_model(tmp_path: Path) -> None:
    """Counts that fade do not depend on who saw what, but for the order of a few views."""

    async def run() -> list[str]:
        workers = [shared(tmp_path / "s"), shared(tmp_path / "s")]
        for number in range(40):
            worker = workers[number % 2]
            worker.controller.model.learn(view("/a.css"))
            worker._note(view("/a.css"))
        for _ in range(2):
            for worker in workers:
                await worker._exchange()
        texts = [model_to_text(worker.controller.model) for worker in workers]
        for worker in workers:
            await worker.close()
        return texts

    one, two = asyncio.run(run())
    assert one == two


def test_rubbish_in_the_file_is_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Store(tmp_path / "s", "somebody")
    store.exchange([view_to_text(view("/a.css")), "rubbish"])
    store.close()
    one = shared(tmp_path / "s")
    assert one.controller.model.routes["/"].views == 1
    assert "cannot be read" in caplog.text
    asyncio.run(one.close())
