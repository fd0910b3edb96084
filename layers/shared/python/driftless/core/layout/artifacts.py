"""Keys of the artifacts bucket: runs, model versions, trusted keys, and the endpoint that inference reads."""

from __future__ import annotations

RUNS = "runs/"
MODELS = "models/"
SERVING = "serving/"
TRUST = "trust/"

MANIFEST = "manifest.json"
SIGNATURE = "manifest.sig"
ONNX = "model.onnx"
JOBLIB = "model.joblib"
BASELINE = "baseline.json"
INTERFACE = "interface.json"
CARD = "card.json"
CARD_PAGE = "card.md"


def run_dataset(project: str, run_id: str, part: str) -> str:
    """A run's frozen ``train`` or ``holdout`` rows."""
    return f"{RUNS}{project}/{run_id}/dataset/{part}.parquet"


def run_model(project: str, run_id: str, file: str) -> str:
    """A file of the model that a run fitted, before it is registered."""
    return f"{RUNS}{project}/{run_id}/model/{file}"


def run_scores(project: str, run_id: str, name: str) -> str:
    """Predictions of the ``challenger`` or ``champion`` for a run's hold-out, or for its ``parity`` rows."""
    return f"{RUNS}{project}/{run_id}/scores/{name}.parquet"


def run_evaluation(project: str, run_id: str, digest: str) -> str:
    """A run's evaluation report, by the sha256 of its content."""
    return f"{RUNS}{project}/{run_id}/evaluation/{digest[:16]}.json"


def model_folder(project: str, version: int) -> str:
    """Folder of a registered model version."""
    return f"{MODELS}{project}/{version}"


def model_file(project: str, version: int, file: str) -> str:
    """A file of a registered model version, such as :data:`MANIFEST`."""
    return f"{model_folder(project, version)}/{file}"


def trusted_key(fingerprint: str) -> str:
    """A public key that serving trusts, by its sha256."""
    return f"{TRUST}{fingerprint}.der"


def serving_endpoint(project: str) -> str:
    """The copy of a project's endpoint that inference reads."""
    return f"{SERVING}{project}/endpoint.json"
