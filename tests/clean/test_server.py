"""clean/server.py: who is let in, by which name, with what; and what is not lost when it is killed."""

from __future__ import annotations

import http.client
import itertools
import json
import logging
import random
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drivetrain.clean.desk import Desk
from drivetrain.clean.journal import Journal
from drivetrain.clean.notes import Notes
from drivetrain.clean.server import LONGEST_BODY, NAMES, Server
from drivetrain.errors import ConfigError, StorageError
from tests.clean.desks import (
    Forked,
    forked,
    make_desk,
    make_queue,
    ours,
    post,
    request,
    serving,
    until,
)

ANY = "0" * 64
OPEN = ("/", "/page.js", "/page.css", "/healthz", "/favicon.ico")
READ = ("/api/queue", "/api/state/0", "/api/item/HASH", "/api/picture/HASH")
WRITTEN = ("/api/edit", "/api/undo", "/api/redo")
OTHERS = ("/api", "/api/", "/api/edit/", "/nothing", f"/api/item/{ANY}/x", "/start")
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE")


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    return make_desk(tmp_path_factory.mktemp("desk") / "journal.jsonl")


@pytest.fixture(scope="module")
def server(desk: Desk) -> Iterator[Server]:
    with serving(desk) as found:
        yield found


def edit_of(desk: Desk, at: int = 0, **fields: Any) -> dict[str, Any]:
    item = desk.queue.rows[at].item.hash
    return {"item": item, "action": "keep", "seen": 0, "key": f"k{at}", **fields}


def test_every_route_and_method_is_closed_without_the_cookie_and_our_page(
    server: Server, desk: Desk
) -> None:
    """Plan S5: routes x methods x ways of not being let in; refused before the body is parsed."""
    good = {**ours(server), "Content-Type": "application/json"}
    without = {name: {k: v for k, v in good.items() if k != name} for name in good}
    ways = {
        "no cookie": without["Cookie"],
        "wrong cookie": {**good, "Cookie": f"{server.cookie}={'x' * 43}"},
        "a cookie of another server": {**good, "Cookie": f"drivetrain-clean-1={server.session}"},
        "the cookie twice": {**good, "Cookie": f"{server.cookie}=x; {server.cookie}={server.session}"},
        "other site": {**good, "Sec-Fetch-Site": "cross-site"},
        "same site, other port": {**good, "Sec-Fetch-Site": "same-site"},
        "no Sec-Fetch-Site": without["Sec-Fetch-Site"],
        "other origin": {**good, "Origin": "http://evil.test"},
        "origin null": {**good, "Origin": "null"},
        "other name": {**good, "Host": "evil.test"},
    }  # fmt: skip
    paths = [p.replace("HASH", desk.queue.rows[0].item.hash) for p in (*READ, *WRITTEN, *OTHERS)]
    wanted = 0
    for (name, headers), path, method in itertools.product(ways.items(), paths, METHODS):
        if path == "/start" and method != "GET":
            continue
        found = request(server, method, path, headers, b"{not json" if method == "POST" else None)
        assert found.status in (401, 403), (name, path, method, found)
        wanted += 1
    assert wanted > 700
    for path in (*WRITTEN, "/api/queue"):
        for missing in ("X-Drivetrain", *(("Origin",) if path in WRITTEN else ())):
            method = "POST" if path in WRITTEN else "GET"
            assert request(server, method, path, without[missing]).status == 403
    for path, method in itertools.product(OPEN, METHODS):
        status = request(server, method, path, {"Host": good["Host"]}).status
        assert status == (405 if method != "GET" else 204 if path == "/favicon.ico" else 200)
    assert not desk.journal.edits


def test_with_the_cookie_each_route_has_one_method_and_one_type(server: Server, desk: Desk) -> None:
    hash_ = desk.queue.rows[0].item.hash
    kinds = {"picture": "image/png"}
    for path in READ:
        found = request(server, "GET", path.replace("HASH", hash_))
        assert found.status == 200
        assert found.headers["Content-Type"] == kinds.get(path.split("/")[2], "application/json")
    for path, method in itertools.product((*READ, *WRITTEN), METHODS):
        if method != ("POST" if path in WRITTEN else "GET"):
            assert request(server, method, path.replace("HASH", hash_)).status == 405
    for path in ("/api/item/" + ANY, "/api/picture/" + ANY, "/nothing", "/api/queue?x=1"):
        assert request(server, "GET", path).status == 404


def test_every_answer_says_what_it_is_and_may_load_nothing_from_elsewhere(server: Server) -> None:
    for path, headers in (("/", None), ("/api/queue", None), ("/api/edit", {}), ("/nothing", None)):
        found = request(server, "GET", path, headers).headers
        assert found["X-Content-Type-Options"] == "nosniff"
        assert found["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self';")
        assert "unsafe" not in found["Content-Security-Policy"]
        assert found["Referrer-Policy"] == "no-referrer" and found["Cache-Control"] == "no-store"
        assert "Access-Control-Allow-Origin" not in found and "Server" not in found


def hosts(port: int) -> list[tuple[str, ...]]:
    """Spellings that are not ours, though most of them lead here."""
    names = [
        *("evil.test", "127.0.0.1.nip.io", "localhost.", "LOCALHOST.", "localhost.evil.test"),
        *("0.0.0.0", "0", "127.1", "127.0.1", "2130706433", "0x7f000001", "0x7f.0.0.1"),
        *("0177.0.0.1", "127.0.0.1.", "127.0.0.2", "127.000.000.001", "user@127.0.0.1"),
        *("127.0.0.1@evil.test", "evil.test#127.0.0.1", "127.0.0.1\\evil.test", "::1", "[::]"),
        *("[::ffff:127.0.0.1]", "[0:0:0:0:0:0:0:1]", "[::1%lo]", "[::1].evil.test", "[127.0.0.1]"),
        *("ip6-localhost", "1\u00b27.0.0.1".encode().decode("latin-1"), "localhost,evil.test"),
    ]
    return [
        *((f"{name}:{port}",) for name in names),
        *((name,) for name in NAMES),  # without the port it is port 80
        *(
            (f"127.0.0.1:{other}",)
            for other in (port + 1, f"0{port}", f"{port} ", f"+{port}", "80")
        ),
        *((f"127.0.0.1:{port}:{port}",), (f"http://127.0.0.1:{port}",), (f"127.0.0.1:{port}/",)),
        (f"127.0.0.1:{port}", f"127.0.0.1:{port}"),
        (f"127.0.0.1:{port}", "evil.test"),
        ("",),
        (),
    ]


def test_only_loopback_names_with_our_port_are_answered(server: Server, desk: Desk) -> None:
    """Plan S6."""
    spellings = [one for one in hosts(server.port) if one != (f"127.0.0.1:{server.port} ",)]
    assert len(spellings) >= 40
    for path in ("/", "/healthz", "/api/queue", f"/start?token={server.start_url[-43:]}"):
        for names in spellings:
            rest = [(k, v) for k, v in ours(server).items() if k != "Host"]
            found = request(server, "GET", path, [*(("Host", name) for name in names), *rest])
            assert found.status in (400, 403), (path, names, found)
    for name in NAMES:
        given = {**ours(server), "Host": f"{name}:{server.port}"}
        given["Origin"] = f"http://{name}:{server.port}"
        assert request(server, "GET", "/api/queue", given).status == 200


@pytest.mark.parametrize(
    "target",
    [
        *("http://127.0.0.1/api/queue", "//evil.test/", "*", "api/queue", "/api/../page.js"),
        *("/page.js/../../server.py", "/%2e%2e/server.py", "/page.js%00", "/..%5cserver.py"),
        *("/~root", "/etc/passwd", "/page/index.html", "/api/picture/../../x", "/page.css?x"),
        *("/api/picture/%2e%2e%2f%2e%2e%2fetc%2fpasswd", "/api/item/" + "A" * 64, "/index.html"),
        *("/api/state/-1", "/api/state/1e3", "/api/state/" + "9" * 40, "/api/picture//etc/passwd"),
    ],
)
def test_nothing_that_is_asked_for_becomes_a_path(server: Server, target: str) -> None:
    found = request(server, "GET", target)
    assert found.status in (400, 404), found
    assert b"root:" not in found.content and b"import" not in found.content


def raw(server: Server, data: bytes) -> list[int]:
    """The statuses of what comes back until the server hangs up."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        found = b""
        while piece := client.recv(65536):
            found += piece
    lines = [line for line in found.split(b"\r\n") if line.startswith(b"HTTP/1.")]
    return [int(line.split()[1]) for line in lines]


def test_lengths_that_can_be_read_in_two_ways_end_the_connection(server: Server) -> None:
    head = "".join(f"{name}: {value}\r\n" for name, value in ours(server).items())
    head = f"POST /api/undo HTTP/1.1\r\n{head}Content-Type: application/json\r\n"
    hidden = f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n\r\n"
    for lengths in (
        f"Content-Length: 2\r\nContent-Length: {len(hidden)}\r\n",
        f"Transfer-Encoding: chunked\r\nContent-Length: {len(hidden)}\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: +2\r\n",
        "Content-Length: 0x2\r\n",
        "Content-Length: 99999999999\r\n",
    ):
        assert raw(server, (head + lengths + "\r\n" + hidden).encode()) == [400]
    assert raw(server, (head + "\r\n" + hidden).encode()) == [411]
    assert raw(server, (head + "Content-Length: 50000\r\n\r\n{}").encode()) == [400]
    long = f"GET /{'x' * 70_000} HTTP/1.1\r\n\r\n".encode()
    many = f"GET / HTTP/1.1\r\n{''.join(f'a{i}: b{chr(13)}{chr(10)}' for i in range(200))}\r\n"
    assert raw(server, long) == [414] and raw(server, many.encode()) == [431]


def test_bodies_are_small_json_of_our_type(server: Server, desk: Desk) -> None:
    good = {**ours(server), "Content-Type": "application/json"}
    for kind in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=x",
        "",
    ):
        assert (
            request(server, "POST", "/api/edit", {**good, "Content-Type": kind}, b"{}").status
            == 415
        )
    for length, status in ((LONGEST_BODY, 400), (LONGEST_BODY + 1, 413), (10**8, 413)):
        sent = b" " * min(length, LONGEST_BODY)
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.putrequest("POST", "/api/edit", skip_host=True)
        for name, value in {**good, "Content-Length": str(length)}.items():
            connection.putheader(name, value)
        connection.endheaders(sent if status == 400 else None)
        assert connection.getresponse().status == status
        connection.close()
    for body in (
        b"",
        b"[" * 5000,
        b'{"key": NaN}',
        b'{"key": "a", "key": "b"}',
        b"\xff",
        b"[]",
        b"1",
    ):
        assert request(server, "POST", "/api/undo", good, body).status == 400
    assert not desk.journal.edits


def test_an_edit_a_repeat_a_conflict_and_an_undo(tmp_path: Path) -> None:
    desk = make_desk(tmp_path / "j.jsonl")
    with serving(desk) as server:
        first = post(server, "/api/edit", edit_of(desk))
        assert first.status == 200 and first.value["edit"] == 1
        assert post(server, "/api/edit", edit_of(desk)).value == first.value
        stale = post(server, "/api/edit", edit_of(desk, action="delete", key="other"))
        assert stale.status == 409
        assert stale.value["decision"] == first.value["decision"]
        assert stale.value["item"] == first.value["item"]
        assert post(server, "/api/edit", edit_of(desk, label="no")).status == 400
        assert post(server, "/api/undo", {"key": "u"}).value["decision"] is None
        assert request(server, "GET", "/api/state/1").value == {"number": 2, "decisions": {}}
    assert [edit.action for edit in Journal(tmp_path / "j.jsonl").edits] == ["keep", "undo"]


def test_a_disk_that_refuses_is_told_of_and_nothing_was_decided(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "j.jsonl"
    desk = make_desk(path)
    path.parent.write_text("in its place")
    with serving(desk) as server:
        found = post(server, "/api/edit", edit_of(desk))
        assert found.status == 507
        assert found.value["error"].startswith("Not saved. Could not append to ")
        path.parent.unlink()
        assert post(server, "/api/edit", edit_of(desk)).status == 200
    assert len(Journal(path).edits) == 1


def test_the_start_address_opens_once_and_sets_a_cookie_that_scripts_do_not_see(
    tmp_path: Path,
) -> None:
    """Plan S12."""
    notes = Notes(tmp_path)
    desk = make_desk(tmp_path / "j.jsonl")
    with serving(desk, log=notes.add) as server:
        host = {"Host": f"127.0.0.1:{server.port}"}
        start = server.start_url.removeprefix(server.url[:-1])
        token = start.partition("=")[2]
        assert len(token) >= 43 and token != server.session  # 256 bits, 6 a letter
        for wrong in (
            "/start",
            "/start?token=",
            "/start?token=x",
            start[:-1],
            start + "x",
            "/start?x",
        ):
            assert request(server, "GET", wrong, host).status == 403
        opened = request(server, "GET", start, {**host, "Sec-Fetch-Site": "cross-site"})
        assert opened.status == 200
        cookie = opened.headers["Set-Cookie"]
        assert cookie == f"{server.cookie}={server.session}; HttpOnly; SameSite=Strict; Path=/"
        assert token.encode() not in opened.content
        assert request(server, "GET", start, host).status == 403
        request(server, "GET", f"/{server.session}")
    notes.write()
    log = (tmp_path / "log.jsonl").read_text()
    assert log.count('"path": "/start"') == 8
    assert token not in log and server.session not in log
    with serving(desk) as again:
        assert again.session != server.session and again.start_url != server.start_url


def test_only_loopback_is_listened_on(tmp_path: Path, desk: Desk) -> None:
    for host in ("0.0.0.0", "", "localhost", "::", "192.168.0.1"):
        with pytest.raises(
            ConfigError,
            match=rf"^The cleaning page is served on this machine alone: 127\.0\.0\.1 or ::1\. Got "
            rf"{host!r}\.$",
        ):
            Server(desk, host=host)
    with serving(desk) as server:
        assert server.socket.getsockname() == ("127.0.0.1", server.port)
        with pytest.raises(
            StorageError, match=rf"^Could not listen on 127\.0\.0\.1, port {server.port}: "
        ):
            Server(desk, port=server.port)


def test_it_listens_on_ipv6_too_where_there_is_such(desk: Desk) -> None:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("this machine has no IPv6 loopback")
    with serving(desk, host="::1") as server:
        assert server.url == f"http://[::1]:{server.port}/"
        connection = http.client.HTTPConnection("::1", server.port, timeout=10)
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200
        connection.close()


def test_the_port_is_remembered_and_what_is_no_port_is_not_taken(tmp_path: Path) -> None:
    notes = Notes(tmp_path)
    assert notes.last_port() == 0
    notes.keep_port(40123)
    assert notes.last_port() == 40123
    for wrong in ("[]", "{}", '{"port": "40123"}', '{"port": 80}', '{"port": true}', "not json"):
        (tmp_path / "port.json").write_text(wrong)
        assert notes.last_port() == 0


def test_the_page_puts_data_in_as_text_alone() -> None:
    """Plan S9, the lint: what parses text as HTML, or runs it, is not in the script."""
    folder = Path(__file__).resolve().parents[2] / "src" / "drivetrain" / "clean" / "page"
    script = (folder / "page.js").read_text()
    for word in (
        "innerHTML",
        "outerHTML",
        "insertAdjacent",
        "document.write",
        "eval(",
        "Function(",
    ):
        assert word not in script
    html = (folder / "index.html").read_text()
    assert "<style" not in html and " style=" not in html and " on" not in html.split("<body>")[0]
    assert "http:" not in html + script and "https:" not in html + script


def client(server: Forked, desk: Desk, acknowledged: list[str], stop: threading.Event) -> None:
    """Posts edits as fast as it can, and notes the keys of those that were answered."""
    rows = desk.queue.rows
    headers = {
        "Host": f"127.0.0.1:{server.port}",
        "Cookie": f"drivetrain-clean-{server.port}={server.session}",
        "Sec-Fetch-Site": "same-origin",
        "X-Drivetrain": "clean",
        "Origin": f"http://127.0.0.1:{server.port}",
        "Content-Type": "application/json",
    }
    number = len(acknowledged)
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=5)
    try:
        while not stop.is_set():
            number += 1
            key = f"{server.session[:8]}-{number}"
            row = rows[number % len(rows)]
            connection.request("GET", "/api/state/999999999", headers=headers)
            state = json.loads(connection.getresponse().read())
            stands = state["decisions"].get(row.item.hash)
            body = {
                "item": row.item.hash,
                "action": ("keep", "delete")[number % 2],
                "seen": stands["number"] if stands else 0,
                "key": key,
            }
            connection.request("POST", "/api/edit", json.dumps(body), headers)
            answer = connection.getresponse()
            assert answer.read() and answer.status == 200
            acknowledged.append(key)
    except (OSError, http.client.HTTPException):
        return  # it was killed
    finally:
        connection.close()


def killed_at_random(folder: Path, kills: int, seed: int) -> tuple[list[str], list[str]]:
    """Keys that were acknowledged over so many kills, and those that the journal has."""
    draw = random.Random(seed)
    path = folder / "journal.jsonl"
    desk = make_desk(folder / "unused.jsonl", make_queue(12))
    acknowledged: list[str] = []
    with forked(path, desk.queue) as server:
        for _ in range(kills):
            stop = threading.Event()
            thread = threading.Thread(target=client, args=(server, desk, acknowledged, stop))
            before = len(acknowledged)
            thread.start()
            until(lambda before=before: len(acknowledged) > before + draw.randint(0, 6))
            server.kill()
            stop.set()
            thread.join()
            server.start()
    return acknowledged, [edit.key for edit in Journal(path).edits]


def check_nothing_is_lost(acknowledged: list[str], kept: list[str]) -> None:
    assert len(kept) == len(set(kept))
    assert [key for key in kept if key in set(acknowledged)] == acknowledged


def test_nothing_acknowledged_is_lost_when_it_is_killed_at_random(tmp_path: Path) -> None:
    """Plan L2, the short form: acknowledged ⊆ recovered ⊆ sent, in order."""
    acknowledged, kept = killed_at_random(tmp_path, kills=6, seed=1)
    assert len(acknowledged) >= 6
    check_nothing_is_lost(acknowledged, kept)
    assert len(kept) <= len(acknowledged) + 6  # of each kill, the one in flight


@pytest.mark.slow
def test_nothing_acknowledged_is_lost_over_many_kills(tmp_path: Path) -> None:
    acknowledged, kept = killed_at_random(tmp_path, kills=200, seed=2)
    check_nothing_is_lost(acknowledged, kept)


def test_a_clients_errors_leave_no_traceback(server: Server, caplog: Any, capfd: Any) -> None:
    with caplog.at_level(logging.DEBUG):
        for _ in range(3):
            with socket.create_connection(("127.0.0.1", server.port), timeout=5) as gone:
                gone.sendall(b"GET /api/queue HTTP/1.1\r\nHost")
        assert request(server, "GET", "/healthz").status == 200
    assert capfd.readouterr().err == "" and not caplog.records


def test_the_folder_of_the_start_file_is_ours_alone(tmp_path: Path, monkeypatch: Any) -> None:
    """Plan S12: the address is in no argument of a program; the file that holds it is ours alone."""
    from drivetrain.cli import clean

    opened: list[str] = []
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr("webbrowser.open", opened.append)
    with clean._opened("http://127.0.0.1:1/start?token=secret"):
        file = Path(opened[0].removeprefix("file://"))
        assert "secret" not in opened[0] and "token=secret" in file.read_text()
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert not file.exists() and not file.parent.exists()
