# SPDX-License-Identifier: EUPL-1.2
"""Programs from npm for the tests: installed once into the build tree from the lock file."""
import fcntl
import os
import pathlib
import shutil
import subprocess

SOURCE = pathlib.Path(__file__).resolve().parents[1] / "npm"


def tree():
    """The directory whose node_modules holds what tests/npm/package-lock.json names."""
    target = pathlib.Path(os.environ.get("TORG_NPM_TREE") or
                          pathlib.Path(os.environ["TORG_BUILD"]) / "npm")
    target.mkdir(parents=True, exist_ok=True)
    lock_text = (SOURCE / "package-lock.json").read_text()
    done = target / "installed"
    with open(target / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # Tests of several builds may share the tree.
        if done.exists() and done.read_text() == lock_text:
            return target
        assert shutil.which("npm"), \
            "this test needs npm: apt-get install npm, or any Node.js from version 18 on"
        for name in ("package.json", "package-lock.json"):
            shutil.copy(SOURCE / name, target / name)
        result = subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
                                cwd=target, capture_output=True, text=True, timeout=900)
        assert result.returncode == 0, \
            f"npm cannot install tests/npm; is its registry reachable?\n{result.stderr[-2000:]}"
        done.write_text(lock_text)
    return target


def program(name):
    return str(tree() / "node_modules" / ".bin" / name)
