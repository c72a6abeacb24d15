"""A wrong type in web/, and a page that is too large, are found."""

import json
import os
import shutil
from pathlib import Path

import pytest

from checks import page


def test_a_page_that_is_too_large_is_found(tmp_path: Path) -> None:
    (tmp_path / "small.js").write_bytes(b"x" * page.MOST_BYTES)
    (tmp_path / "texts-fr.js").write_bytes(os.urandom(page.MOST_BYTES))  # an English page does not load it
    assert page.size_faults(tmp_path) == []
    (tmp_path / "large.js").write_bytes(os.urandom(page.MOST_BYTES))
    [fault] = page.size_faults(tmp_path)
    assert "30,000 are allowed" in fault.wrong


@pytest.mark.skipif(not (shutil.which("node") and page.COMPILER.exists()), reason="make check installs typescript")
def test_a_wrong_type_is_found_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "wrong.js").write_text("/** @type {number} */\nexport const size = 'large';\n")
    project = json.loads(page.PROJECT.read_text("utf-8")) | {"include": ["*.js"]}
    (tmp_path / "tsconfig.json").write_text(json.dumps(project))
    [fault] = page.type_faults(tmp_path / "tsconfig.json")
    assert (Path(fault.file).name, fault.line) == ("wrong.js", 2)
    assert "Type 'string' is not assignable to type 'number'" in fault.wrong


def test_the_page_is_as_it_promises() -> None:
    assert page.faults() == []
