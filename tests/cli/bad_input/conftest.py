"""What a user gets wrong, through the command line: one line on stderr, status 2, and no file written or changed."""

import shutil
from pathlib import Path

import pytest
from mistakes import DATA, STUDY, TRAIN

from diffenc.cli.main import main
from diffenc.io.files import LOCK
from diffenc.training import trainer


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """A folder with a study, prepared digits, a trained run and one that was interrupted after its checkpoint."""
    folder = tmp_path_factory.mktemp("made")
    whole = trainer.Batches.__call__

    def interrupted(batches, step):
        if step == 3:
            raise KeyboardInterrupt
        return whole(batches, step)

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("study.yaml").write_text(STUDY)
        main(["prepare", "digits", "--out", DATA])
        main([*TRAIN, "trained"])
        patch.setattr(trainer.Batches, "__call__", interrupted)
        with pytest.raises(SystemExit) as left:
            main([*TRAIN, "interrupted", "--checkpoint-steps", "2"])
    assert left.value.code == 130
    return folder


@pytest.fixture(autouse=True)
def place(made, tmp_path, monkeypatch):
    """A copy of that folder, to be in and to damage."""
    folder = shutil.copytree(made, tmp_path / "place")
    monkeypatch.chdir(folder)
    yield
    shutil.rmtree(folder)


@pytest.fixture
def refused(capsys):
    """refused(arguments): what the command says when it refuses them."""

    def refused(arguments):
        before = files()
        with pytest.raises(SystemExit) as left:
            main([str(argument) for argument in arguments])
        error = capsys.readouterr().err
        assert left.value.code == 2
        assert error.startswith("diffenc: error: ")
        assert error.count("\n") == 1
        assert error.endswith("\n")
        assert files() == before
        return error

    return refused


def files():
    """Every file below here, with what would tell that it was written."""
    found = [path for path in Path().rglob("*") if path.is_file() and path.name != LOCK]
    return {path: (path.stat().st_size, path.stat().st_mtime_ns) for path in found}
