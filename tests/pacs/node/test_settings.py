"""The settings: from a file and from flags, and a wrong one is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from detector.pacs.node.settings import Settings, read_settings


def test_settings_come_from_the_file_and_flags_go_first(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text(
        'destination = "A@archive:104"\nspool = "s"\npeers = ["DX1", "DX2"]\nport = 104\n'
        "timeout = 7\nretry_failed = true\n"
    )
    found = read_settings(["--config", str(file), "--port", "11113", "--title", "READER"], "")
    assert found == Settings(
        "A@archive:104", Path("s"), "READER", port=11113, peers=("DX1", "DX2"), timeout=7,
        retry_failed=True,
    )  # fmt: skip


def test_objects_are_chosen_by_commas() -> None:
    given = ["--destination", "A@host:104", "--spool", "s"]
    assert read_settings(given, "").objects == ("sr", "sc", "seg", "gsps")
    assert read_settings([*given, "--objects", "sr,seg"], "").objects == ("sr", "seg")


@pytest.mark.parametrize(
    "line",
    ['destination = "archive:104"', 'destination = "A@host:0"', "port = 70000", 'title = ""',
     'title = "LONGER THAN SIXTEEN"', 'addresses = ["here"]', 'peers = "DX1"', "associations = 0",
     "timeout = -1", "timeout = true", "colour = 1", 'tls_certificate = "a.pem"',
     'tls_clients = "a.pem"', "pdu_bytes = 10", "free_megabytes = -1",
     'objects = ["sr,pdf"]', "objects = []"],
)  # fmt: skip
def test_a_wrong_setting_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "node.toml"
    name = line.split()[0]
    start = "" if name == "destination" else 'destination = "A@host:104"\n'
    file.write_text(f'{start}spool = "s"\n{line}\n')
    with pytest.raises(ValueError) as problem:
        read_settings(["--config", str(file)], "")
    assert name.split("_")[0][:6] in str(problem.value)


def test_without_a_destination_the_usage_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as gone:
        read_settings([], "")
    assert gone.value.code == 2 and "destination and spool" in capsys.readouterr().err
