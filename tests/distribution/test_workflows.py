"""The workflow files build what `make wheel` and `make plain-wheel` build."""

import re
import tomllib

import pytest
import yaml

from .wheels import ROOT, make

WORKFLOWS = ROOT / ".github" / "workflows"


def settings(text: str) -> dict[str, str]:
    """The variables of ours that a command or an environment sets."""
    return {name: value.strip("\"'") for name, value in re.findall(r"(H3PUSH_\w+)=(\S+)", text)}


def made(target: str) -> dict[str, str]:
    """What the Makefile sets for a wheel."""
    done = make("--dry-run", target)
    [line] = [line for line in done.stdout.splitlines() if "--wheel-dir build/wheel" in line]
    return settings(line)


def test_a_release_builds_compiled_wheels_as_make_does() -> None:
    """What is tested here before a release is what a release has: the form, the cryptography, the level of optimisation."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    environment = project["tool"]["cibuildwheel"]["environment"]
    assert {name: value for name, value in environment.items() if name.startswith("H3PUSH")} == made("wheel")
    assert made("wheel")["H3PUSH_COMPILED"] == "1"


def test_a_release_builds_a_plain_wheel_as_make_does() -> None:
    """One wheel for every Python that has no compiled one."""
    jobs = yaml.safe_load((WORKFLOWS / "release.yml").read_text(encoding="utf-8"))["jobs"]
    [environment] = [step["env"] for step in jobs["plain-wheels"]["steps"] if "env" in step]
    assert settings(environment["CIBW_ENVIRONMENT"]) == made("plain-wheel")
    assert made("plain-wheel")["H3PUSH_COMPILED"] == "0"


def test_what_is_published_was_built_and_attested() -> None:
    """Wheels of both forms and the source distribution; no password, an identity of this workflow alone."""
    jobs = yaml.safe_load((WORKFLOWS / "release.yml").read_text(encoding="utf-8"))["jobs"]
    assert set(jobs["publish"]["needs"]) == set(jobs) - {"publish"}
    assert jobs["publish"]["permissions"] == {"attestations": "write", "contents": "read", "id-token": "write"}
    used = [step["uses"].partition("@")[0] for step in jobs["publish"]["steps"]]
    assert used.index("actions/attest-build-provenance") < used.index("pypa/gh-action-pypi-publish")


@pytest.mark.parametrize("workflow", sorted(WORKFLOWS.glob("*.yml")), ids=lambda path: path.name)
def test_each_make_target_that_a_workflow_runs_exists(workflow: object) -> None:
    """A renamed target would be noticed by the next release alone."""
    jobs = yaml.safe_load(WORKFLOWS.joinpath(str(workflow)).read_text(encoding="utf-8"))["jobs"]
    targets = set(re.findall(r"^([\w-]+):.*##", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for job in jobs.values():
        for step in job["steps"]:
            if step.get("run", "").startswith("make "):
                assert step["run"].split()[1] in targets
