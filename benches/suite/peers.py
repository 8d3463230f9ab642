"""The programs that are measured: Nightlatch's own, built here, and its peers, installed as packages into
the cache folder when a bench first asks for them. All versions are in this file, those of crates in
benches/peers/rust/Cargo.lock."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from .failure import Failure

PYPI = {
    "duckdb": "2.0.0",
    "chdb": "4.4.0",
    "polars": "2.1.0",
    # Write the Parquet files.
    "numpy": "2.4.6",
    "pyarrow": "26.0.1",
}
FLINK = "2.3.0"
FLINK_KAFKA = "5.0.0-2.2"
KAFKA_CLIENTS = "4.1.0"

# Nightlatch does without them at run time and builds them small; where they are a peer they are built fast.
DATAFUSION_WINDOWS = (
    "datafusion-physical-plan", "datafusion-functions-window", "datafusion-functions-window-common",
    "datafusion-functions-aggregate", "datafusion-functions-aggregate-common",
)

JAVA_OPTIONS = ["-Xms1g", "-Xmx6g", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error"]


class Peers:
    def __init__(self, root: Path, cache: Path, programs: Path | None):
        """`programs` is a folder that may have the programs that Cargo would build."""
        self.root = root
        self.cache = cache
        self.programs = programs
        self.used: dict[str, str] = {}
        self._known: dict[str, object] = {}

    def _once(self, name: str, make):
        if name not in self._known:
            self._known[name] = make()
        return self._known[name]

    # ---- Programs built by Cargo

    def benchmark(self, name: str) -> str:
        """A benchmark of the main crate."""
        command = ["bench", "--locked", "--bench", name, "--no-run"]
        for crate in DATAFUSION_WINDOWS if name == "rows" else ():
            command += ["--config", f"profile.bench.package.{crate}.opt-level=3"]
        return self._program(name, command)

    def nightlatch(self) -> str:
        """The program itself, release build."""
        return self._program("nightlatch", ["build", "--locked", "--release", "--bin", "nightlatch"])

    def rust(self, name: str) -> str:
        """A program of the workspace benches/peers/rust."""
        # Cargo reads the workspace's .cargo/config.toml only when it is started inside.
        folder = self.root / "benches/peers/rust"
        target = str(self.cache / "target")
        self._note_crates(folder, name)
        return self._program(name, ["build", "--locked", "--release", "--target-dir", target, "--package", name], folder)

    def _note_crates(self, folder: Path, name: str) -> None:
        wanted = tomllib.loads((folder / name / "Cargo.toml").read_text(encoding="utf-8"))["dependencies"]
        locked = tomllib.loads((folder / "Cargo.lock").read_text(encoding="utf-8"))["package"]
        self.used.update({crate["name"]: crate["version"] for crate in locked if crate["name"] in wanted})

    def _program(self, name: str, command: list[str], folder: Path | None = None) -> str:
        if self.programs and (self.programs / name).is_file():
            return str(self.programs / name)
        return self._once(name, lambda: self._cargo(name, command, folder or self.root))

    def _cargo(self, name: str, command: list[str], folder: Path) -> str:
        cargo = tool("cargo", "install Rust as README.md says")
        say(f"Building {name} (cargo {' '.join(command)})")
        done = subprocess.run(
            [cargo, *command, "--message-format=json-render-diagnostics"],
            cwd=folder, stdout=subprocess.PIPE, check=False)
        if done.returncode != 0:
            raise Failure(f"cargo could not build {name}", "see its message above")
        for line in done.stdout.splitlines():
            told = json.loads(line)
            if told.get("executable") and told["target"]["name"] == name:
                return told["executable"]
        raise Failure(f"cargo built no program {name}", "is there such a benchmark in Cargo.toml?")

    # ---- Python packages

    def python(self) -> str:
        """A Python that has the packages."""
        self.used.update(PYPI)
        return self._once("python", self._install_python)

    def _install_python(self) -> str:
        versions = "-".join(f"{name}{version}" for name, version in sorted(PYPI.items()))
        folder = self.cache / f"python{sys.version_info.major}.{sys.version_info.minor}-{versions}"
        if not folder.exists():
            names = ", ".join(f"{name} {version}" for name, version in PYPI.items())
            say(f"Installing {names} from PyPI into {folder} (about 1.2 GB)")
            with _partial(folder) as made:
                _check([sys.executable, "-m", "venv", str(made)],
                       "python3 cannot make virtual environments", "apt-get install python3-venv")
                packages = [f"{name}=={version}" for name, version in PYPI.items()]
                _check([str(made / "bin/pip"), "install", "--quiet", "--disable-pip-version-check",
                        "--only-binary", ":all:", *packages],
                       "pip could not install the peers",
                       "see its message above; is the network there, and Python not older than 3.11?")
        return str(folder / "bin/python")

    # ---- Java

    def java(self) -> str:
        return self._once("java", self._find_java)

    def _find_java(self) -> str:
        script = self.root / "scripts/test-broker"
        found = subprocess.run([script, "java"], capture_output=True, text=True, check=False)
        if found.returncode != 0:
            raise Failure("there is no Java 17 or newer", "apt-get install openjdk-17-jdk-headless")
        return found.stdout.strip()

    def flink(self, program: str) -> list[str]:
        """The beginning of a command that runs a program of benches/peers/flink."""
        self.used.update({"flink": FLINK, "flink's kafka connector": FLINK_KAFKA})
        lib = self._once("flink", self._install_flink)
        classes = self._once("classes", lambda: self._compile(lib))
        return [self.java(), *JAVA_OPTIONS, "-cp", f"{lib}/*:{classes}", program]

    def _install_flink(self) -> Path:
        folder = self.cache / f"flink-{FLINK}-kafka-{FLINK_KAFKA}-clients-{KAFKA_CLIENTS}"
        if not folder.exists():
            maven = tool("mvn", "apt-get install maven, or scripts/install-prerequisites --tests")
            say(f"Fetching Flink {FLINK} from Maven Central into {folder} (about 200 MB)")
            with _partial(folder) as made:
                _check([maven, "--quiet", "--batch-mode",
                        "--file", str(self.root / "benches/peers/flink/pom.xml"),
                        "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies",
                        "-DincludeScope=runtime", f"-DoutputDirectory={made}", f"-Dflink.version={FLINK}",
                        f"-Dflink.kafka.version={FLINK_KAFKA}", f"-Dkafka.version={KAFKA_CLIENTS}"],
                       "Maven could not fetch Flink", "see its message above; is the network there?")
        return folder

    def _compile(self, lib: Path) -> Path:
        compiler = Path(self.java()).resolve().parent / "javac"
        if not compiler.exists():
            raise Failure(f"there is no compiler beside {self.java()}", "apt-get install openjdk-17-jdk-headless")
        sources = sorted(str(source) for source in (self.root / "benches/peers/flink").glob("*.java"))
        folder = self.cache / "classes"
        shutil.rmtree(folder, ignore_errors=True)
        _check([str(compiler), "-cp", f"{lib}/*", "-d", str(folder), *sources],
               "javac could not compile benches/peers/flink", "see its message above")
        return folder


class _partial:
    """A folder that gets its name only when it is complete."""

    def __init__(self, folder: Path):
        self.folder = folder

    def __enter__(self) -> Path:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        self.made = Path(tempfile.mkdtemp(prefix="partial-", dir=self.folder.parent))
        return self.made

    def __exit__(self, kind, error, trace) -> None:
        if kind is None:
            self.made.rename(self.folder)
        else:
            shutil.rmtree(self.made, ignore_errors=True)


def tool(name: str, hint: str) -> str:
    found = shutil.which(name)
    if not found:
        raise Failure(f"there is no {name}", hint)
    return found


def _check(command: list[str], message: str, hint: str) -> None:
    # What it prints is for people; results alone go to standard output.
    if subprocess.run(command, stdout=sys.stderr, check=False).returncode != 0:
        raise Failure(message, hint)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
