"""What deploy/ says about the server is so: its options, its ports, its metrics, its graces.
Spans: deploy, server"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from redraft.server import config
from redraft.server.api.keys import ApiKey, read_keys
from redraft.server.telemetry.metrics import Metrics

yaml = pytest.importorskip("yaml")

DEPLOY = Path(__file__).resolve().parents[1] / "deploy"


def documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


def metric_names() -> set[str]:
    registry = CollectorRegistry()
    Metrics(registry)
    names = set()
    for family in registry.collect():
        suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"]}
        names |= {family.name + suffix for suffix in suffixes.get(family.type, [""])}
    return names


def test_the_dashboard_shows_metrics_that_exist() -> None:
    dashboard = json.loads((DEPLOY / "grafana" / "redraft.json").read_text())
    names = {
        name
        for panel in dashboard["panels"]
        for target in panel["targets"]
        for name in re.findall(r"redraft_\w+", target["expr"])
    }
    assert len(names) > 10
    assert names <= metric_names()


def test_compose_gives_the_server_options_it_has_and_time_to_drain() -> None:
    (compose,) = documents("compose.yaml")
    server = compose["services"]["redraft"]
    environ = {**server["environment"], "REDRAFT_API_KEYS": "me:secret"}
    chosen = config.read([], environ)
    assert chosen.grace_s < int(server["stop_grace_period"].removesuffix("s"))
    assert read_keys(chosen) == [ApiKey.of("me", "secret")]
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            assert (DEPLOY / volume.partition(":")[0]).is_file()
        assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_prometheus_and_grafana_find_what_they_show() -> None:
    (prometheus,) = documents("prometheus.yaml")
    (targets,) = prometheus["scrape_configs"][0]["static_configs"]
    assert targets["targets"] == [f"redraft:{config.ServerConfig().port}"]
    (sources,) = documents("grafana/datasources.yaml")
    dashboard = json.loads((DEPLOY / "grafana" / "redraft.json").read_text())
    used = {panel["datasource"]["uid"] for panel in dashboard["panels"]}
    assert used == {source["uid"] for source in sources["datasources"]}


def test_kubernetes_starts_probes_and_drains_the_server() -> None:
    deployment, service = documents("kubernetes.yaml")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    chosen = config.read(container["args"], {"REDRAFT_API_KEYS": "me:secret"})
    pause = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pause + chosen.grace_s < pod["terminationGracePeriodSeconds"]
    assert pod["enableServiceLinks"] is False
    assert container["ports"][0]["containerPort"] == chosen.port
    assert service["spec"]["ports"][0]["targetPort"] == container["ports"][0]["name"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert service["spec"]["selector"] == labels == deployment["spec"]["selector"]["matchLabels"]
    assert container["livenessProbe"]["httpGet"]["path"] == "/health"
    assert container["readinessProbe"]["httpGet"]["path"] == "/ready"


def test_the_images_are_the_targets_of_the_dockerfile(root: Path) -> None:
    targets = set(
        re.findall(r"^FROM .+ AS (\w+)$", (root / "Dockerfile").read_text(), re.MULTILINE)
    )
    (compose,) = documents("compose.yaml")
    assert compose["services"]["redraft"]["build"]["target"] in targets
    assert {"cpu", "cuda"} <= targets
