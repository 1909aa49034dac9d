"""The dashboard and the autoscaler ask for metrics that there are."""

import json
import re
from pathlib import Path

import pytest
import yaml

from tf_tokenrl.serving.generation import measures
from tf_tokenrl.serving.metrics import REGISTRY, page

SERVING = Path(__file__).parents[2] / "serving"
NAME = re.compile(r"(?::tensorflow:|tf_tokenrl_)[a-z_:]+")


@pytest.fixture(scope="module")
def dashboard():
    file = SERVING / "grafana/dashboards/serving.json"
    return json.loads(file.read_text("utf-8"))


@pytest.fixture(scope="module")
def queries(dashboard):
    """Everything that is asked of Prometheus."""
    adapter = yaml.safe_load((SERVING / "kubernetes/adapter.yaml").read_text())
    found = [t["expr"] for p in dashboard["panels"] for t in p["targets"]]
    found += [v["query"]["query"] for v in dashboard["templating"]["list"]]
    (rule,) = adapter["rules"]["custom"]
    return [*found, rule["seriesQuery"], rule["metricsQuery"]]


def offered():
    """Name -> kind of every metric that the embedded server has."""
    assert measures.FIRST_TOKEN in REGISTRY._names_to_collectors.values()
    return dict(re.findall(r"^# TYPE (\S+) (\S+)$", page(), re.MULTILINE))


def samples(name, kind):
    if kind == "histogram":
        return {f"{name}_{part}" for part in ("bucket", "sum", "count")}
    return {name}


def test_every_metric_is_one_of_the_server(queries):
    known = {s for name, kind in offered().items() for s in samples(name, kind)}
    assert queries
    for query in queries:
        asked = set(NAME.findall(query))
        assert asked and asked <= known, asked - known


def test_every_label_is_one_of_the_metric(queries):
    labels = {
        name: set(collector._labelnames)
        for name, collector in REGISTRY._names_to_collectors.items()
        if hasattr(collector, "_labelnames")
    }
    for query in queries[:-2]:
        grouped = re.findall(r"by \(([a-z_, ]+)\)", query)
        chosen = re.findall(r"[{,]([a-z_]+)(?:=|!=)", query)
        wanted = {n for part in grouped for n in part.split(", ")} | {*chosen}
        for name in NAME.findall(query):
            base = re.sub("_(bucket|sum|count)$", "", name)
            has = labels.get(name, set()) | labels.get(base, set())
            assert wanted - {"le"} <= has, (query, has)


def test_one_data_source(dashboard):
    file = SERVING / "grafana/datasources/prometheus.yaml"
    (source,) = yaml.safe_load(file.read_text("utf-8"))["datasources"]
    named = {
        item["datasource"]["uid"]
        for item in (*dashboard["panels"], *dashboard["templating"]["list"])
    }
    assert named == {source["uid"]}
    numbers = [panel["id"] for panel in dashboard["panels"]]
    assert len(set(numbers)) == len(numbers)
