"""Build h3push: the native module always, the compiled Python modules when `H3PUSH_COMPILED=1` is set.

`pyproject.toml` has the rest. Its table `[tool.h3push]` lists the modules that mypyc compiles; the source is the same either
way, so a wheel without them behaves the same and is only slower.

Environment variables:
    H3PUSH_COMPILED: "1" compiles the listed modules with mypyc; the wheel is then bound to one Python version.
    H3PUSH_OPTIMISE: level at which the C compiler optimises the compiled modules, "1" when unset.
    H3PUSH_CARGO_FEATURES: features of the crate instead of its default ones, such as "extension-module,aws-lc-rs".
    SETUPTOOLS_RUST_CARGO_PROFILE: cargo's profile, "release" when unset; "fast" rebuilds in seconds.
"""

import os
import tomllib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools_rust import Binding, RustExtension

ROOT = Path(__file__).parent
PACKAGE = Path("src") / "h3push"
COMPILED = os.environ.get("H3PUSH_COMPILED", "") == "1"
OPTIMISE = os.environ.get("H3PUSH_OPTIMISE", "1")


def native_module() -> RustExtension:
    """The Rust crate as `h3push._quic`, for every Python from 3.11 on (abi3)."""
    features = [name for name in os.environ.get("H3PUSH_CARGO_FEATURES", "").split(",") if name]
    return RustExtension(
        "h3push._quic",
        path="rust/Cargo.toml",
        binding=Binding.PyO3,
        py_limited_api=True,
        debug=False,
        features=features,
        args=["--no-default-features"] if features else [],
    )


def compiled_modules() -> list[Extension]:
    """The modules that `[tool.h3push] compiled` names, as extensions made by mypyc."""
    if not COMPILED:
        return []
    from mypyc.build import mypycify  # only a compiled build needs it

    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["h3push"]
    paths = _matching(table["compiled"]) - _matching(table["interpreted"])
    # One C file a module, so that as many compilers as there are processors share the work; -O1, since
    # -O3 takes several times as long, and most of the time at run time goes into calls of Python's C API.
    return mypycify(sorted(str(path) for path in paths), opt_level=OPTIMISE, debug_level="0", multi_file=True)


class ParallelBuild(build_ext):
    """Compiles the C files of an extension side by side."""

    def build_extensions(self) -> None:
        compile_files = self.compiler.compile

        def compile_side_by_side(sources: list[str], *arguments: Any, **options: Any) -> list[str]:
            with ThreadPoolExecutor(os.cpu_count()) as pool:
                objects = pool.map(lambda source: compile_files([source], *arguments, **options), sources)
                return [name for names in objects for name in names]

        self.compiler.compile = compile_side_by_side
        super().build_extensions()


def _matching(patterns: list[str]) -> set[Path]:
    return {path.relative_to(ROOT) for pattern in patterns for path in (ROOT / PACKAGE).glob(pattern)}


setup(
    ext_modules=compiled_modules(),
    cmdclass={"build_ext": ParallelBuild},
    rust_extensions=[native_module()],
    # Without compiled modules one wheel serves every Python from 3.11 on.
    options={} if COMPILED else {"bdist_wheel": {"py_limited_api": "cp311"}},
)
