"""What the exporter's tests share: tiny checkpoints, made once, and copies of them to spoil."""

import json
import shutil
import tempfile
import unittest
from pathlib import Path

from export import cli, tiny

REPOSITORY = Path(__file__).resolve().parents[3]
FIXTURES = REPOSITORY / "tests" / "fixtures" / "policies"
MADE = {}


def silent(*_):
    pass


def checkpoints():
    """The folder with all tiny checkpoints and the data set."""
    if "folder" not in MADE:
        cli.quiet()
        MADE["keep"] = tempfile.TemporaryDirectory()
        MADE["folder"] = Path(MADE["keep"].name)
        tiny.write(MADE["folder"])
    return MADE["folder"]


class ExportTest(unittest.TestCase):
    """A test with a folder of its own."""

    def setUp(self):
        held = tempfile.TemporaryDirectory()
        self.addCleanup(held.cleanup)
        self.folder = Path(held.name)
        self.out = self.folder / "package"

    def copy(self, kind):
        """A checkpoint and the data set, to be changed."""
        made = checkpoints()
        for name in (kind, "dataset"):
            shutil.copytree(made / name, self.folder / name)
        return self.folder / kind, self.folder / "dataset"

    def export(self, checkpoint, dataset, kind=None, **options):
        """Exports to `self.out`; gives the rows of the comparison."""
        folders = {option: checkpoints() / folder for option, folder in tiny.FOLDERS.get(kind or checkpoint.name, {}).items()}
        given = {"joint_units": "degrees", "licence": "MIT", **options}
        rows, _ = cli.export(checkpoint, dataset, self.out, cli.Options(**given), say=silent, **folders)
        return rows

    def policy(self):
        return json.loads((self.out / "policy.json").read_text())


def change(path, edit):
    """Edits a JSON file in place."""
    value = json.loads(path.read_text())
    edit(value)
    path.write_text(json.dumps(value))
