"""The way of a model that all dialects share: which dialect it has, and how results are written."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import onnx
import onnx_ir as ir
import pytest

import onebyone
from onebyone import atomic, files
from onebyone.certify.certificate import DiffersError
from onebyone.dialects import registry
from tests.onnx import small


@pytest.mark.parametrize(
    ("name", "home"),
    [
        ("a.onnx", "onebyone.dialects.onnx.dialect"),
        ("a.PT2", "onebyone.dialects.aten.dialect"),
        ("a.pt2/model", "onebyone.dialects.onnx.dialect"),
        ("no-suffix", "onebyone.dialects.onnx.dialect"),
    ],
)
def test_a_path_has_a_dialect(name: str, home: str) -> None:
    for path in (name, Path(name)):
        assert registry.entry_of(path).home == home


def test_an_object_has_the_dialect_of_its_class() -> None:
    class Mine(ir.Model):
        pass

    proto = small.fc()
    onnx_entry = registry.ENTRIES[-1]
    assert onnx_entry.owns(proto) and onnx_entry.owns(ir.from_proto(proto))
    assert onnx_entry.owns(Mine(ir.from_proto(proto).graph, ir_version=10))
    assert not any(entry.owns(object()) for entry in registry.ENTRIES)


def test_a_missing_framework_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "torch" else find(name)
    )
    with pytest.raises(onebyone.InputError, match=r"pip install 'onebyone\[torch\]'"):
        registry.dialect_of("a.pt2")


def test_save_certifies_what_it_wrote(tmp_path: Path) -> None:
    told: list[str] = []
    result = onebyone.convert(small.fc())
    certificate = result.save(
        tmp_path / "out.onnx", check=True, progress=lambda now, done, total: told.append(now)
    )
    assert certificate is not None and certificate.exit_code == 0
    assert any(text.startswith("certifying: structure") for text in told)
    assert "writing out.onnx" in told
    assert result.save(tmp_path / "again.onnx") is None


def test_a_file_that_differs_does_not_appear(tmp_path: Path) -> None:
    result = onebyone.convert(small.fc(seed=1))
    other = onebyone.convert(small.fc(seed=2))
    mixed = onebyone.Conversion(other.model, other.report, None, result._original)
    with pytest.raises(DiffersError) as caught:
        mixed.save(tmp_path / "out.onnx", check=True)
    assert caught.value.certificate.exit_code == 1
    assert list(tmp_path.iterdir()) == []


def test_the_original_is_neither_changed_nor_overwritten(tmp_path: Path) -> None:
    source = tmp_path / "in.onnx"
    onnx.save(small.fc(), source)
    before = source.read_bytes()
    result = onebyone.convert(source)
    with pytest.raises(onebyone.OutputError, match="is the input itself"):
        result.save(source)
    assert source.read_bytes() == before


def test_a_stale_temporary_with_data_waits_for_somebody_who_knows(tmp_path: Path) -> None:
    """A report beside a model must not remove the data file of a model that it cannot read."""
    data = tmp_path / "m.onnx.data"
    data.write_bytes(b"weights")
    token = atomic.identity(data.stat())
    stale = tmp_path / f".m.onnx.{token}.onebyone"
    stale.write_bytes(b"")
    files.check_output(tmp_path / "report.json")
    assert stale.exists() and data.exists()
    files.check_output(tmp_path / "out.onnx", (), lambda path: set())
    assert not stale.exists() and not data.exists()


def test_programs_take_no_sizes() -> None:
    pytest.importorskip("torch")
    dialect: Any = registry.dialect_of("a.pt2")
    with pytest.raises(onebyone.InputError, match="fixed at torch"):
        dialect.load("a.pt2", {"batch": 1})


def test_no_module_takes_the_name_of_a_public_function() -> None:
    """Importing ``onebyone.layers`` would put the module where ``onebyone.layers()`` was."""
    root = Path(onebyone.__file__).parent
    modules = {path.stem for path in root.iterdir() if path.suffix == ".py" or path.is_dir()}
    public = {name for name, home in onebyone._HOME.items() if home != f"onebyone.{name}"}
    assert not modules & public
