# SPDX-License-Identifier: Apache-2.0
"""The deployment files, as far as they can be tried without systemd as process 1, a container engine or a cluster."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import kubernetes_validate
import pytest
import yaml

from agent_outcomes.gateway.page.visits import VISIT_S
from agent_outcomes.gateway.serving.failures import ExitCode
from agent_outcomes.gateway.serving.gateway import ANSWERING_S, DELIVERING_S, DRAINING_S
from agent_outcomes.gateway.settings import LISTEN_PORT
from agent_outcomes.gateway_command.flags import FLAGS
from tests.integration.otelcol import CONFIG_FOLDER

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.backends

FOLDER: Final = CONFIG_FOLDER / "gateway"
UNIT: Final = FOLDER / "agent-outcomes.service"
CONTAINER: Final = FOLDER / "Containerfile"
MANIFESTS: Final = FOLDER / "kubernetes.yaml"
KUBERNETES: Final = "1.31"
PROGRAM: Final = "/opt/agent-outcomes/bin/agent-outcomes"
USER: Final = "10001"
ENDS_WITHIN_S: Final = ANSWERING_S + DRAINING_S + DELIVERING_S
VARIABLES: Final = {flag.variable for flag in FLAGS}


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    """Its own check finds nothing to complain of, with a program that is there in the place of ours."""
    program = shutil.which("systemd-analyze")
    if program is None:
        message = "systemd-analyze is not installed (Debian: apt-get install systemd)"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(message)
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace(PROGRAM, sys.executable))
    done = subprocess.run([program, "verify", str(unit)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_gives_the_gateway_the_time_it_takes_to_end() -> None:
    """And does not start again what cannot get better by itself."""
    lines = dict(line.split("=", 1) for line in UNIT.read_text().splitlines() if re.match(r"^\w+=", line))
    assert float(lines["TimeoutStopSec"]) > ENDS_WITHIN_S
    assert lines["ExecStart"] == f"{PROGRAM} serve"
    lasting = {ExitCode.STATE_NOT_USABLE, ExitCode.CANNOT_LISTEN, ExitCode.NOT_SAFE, 2}
    assert {int(code) for code in lines["RestartPreventExitStatus"].split()} == lasting


def test_only_variables_that_there_are_are_set() -> None:
    """In the unit, the container file and the manifests."""
    for path in (UNIT, CONTAINER, MANIFESTS):
        named = set(re.findall(r"\bAGENT_OUTCOMES_[A-Z_]+", path.read_text()))
        assert named
        assert named <= VARIABLES


def test_kubernetes_takes_the_manifests() -> None:
    """Each fits the schema of its kind, unknown fields refused."""
    for manifest in manifests():
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
    broken = manifests()[-1]
    broken["spec"]["replica"] = 2
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        kubernetes_validate.validate(broken, KUBERNETES, strict=True)


def test_the_manifests_fit_together_and_the_container() -> None:
    """Selectors find the pods, ports are the container's, and the end has its time."""
    *services, _, workload = manifests()
    pod = workload["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    for service in services[:2]:
        assert service["spec"]["selector"].items() <= pod["metadata"]["labels"].items()
        for port in service["spec"]["ports"]:
            assert port.get("targetPort", port["port"]) in {*ports, *ports.values()}
    text = CONTAINER.read_text()
    assert {int(port) for port in re.findall(r"^ENV \w+=0\.0\.0\.0:(\d+)$", text, re.MULTILINE)} == set(ports.values())
    assert re.findall(r"^USER (\d+)$", text, re.MULTILINE) == [USER]
    assert pod["spec"]["securityContext"]["runAsUser"] == int(USER)
    pause_s = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pod["spec"]["terminationGracePeriodSeconds"] > pause_s + ENDS_WITHIN_S


def test_where_there_are_several_gateways_a_browser_stays_with_one() -> None:
    """Each service that leads to the page sends a visitor to one pod for as long as a visit lasts."""
    *services, _, workload = manifests()
    assert workload["spec"]["replicas"] > 1
    leading = [
        service["spec"]
        for service in services
        if any(port.get("targetPort", port["port"]) in {"page", LISTEN_PORT} for port in service["spec"]["ports"])
    ]
    assert leading
    for spec in leading:
        assert spec["sessionAffinity"] == "ClientIP"
        assert spec["sessionAffinityConfig"]["clientIP"]["timeoutSeconds"] >= VISIT_S


def manifests() -> list[Any]:
    return list(yaml.safe_load_all(MANIFESTS.read_text()))
