"""Two small projects made on the spot: proof that a model is added by adding a folder.

``energy`` is a regression (kilowatt-hours of a building and hour), ``tickets`` a multiclass task (which queue a support
ticket belongs to). Their data come from a seeded generator with a known relation, so that a trained model must beat
the naive predictor by far.
"""

from __future__ import annotations

import csv
import math
import random
from datetime import datetime, timedelta
from pathlib import Path

ENERGY_TOML = """
name = "energy"
title = "Energy use of buildings"
task = "regression"

[datasets.readings]
event_time = "at"
key = ["building", "at"]

[datasets.readings.columns]
at = { type = "timestamp" }
building = { type = "string", allowed = ["hall", "lab", "tower"] }
temperature = { type = "number", nullable = true, range = [-40, 60] }
occupancy = { type = "integer", range = [0, 5000] }
kwh = { type = "number", nullable = true, known = "after" }

[features]
base = "readings"

[features.columns]
building = { type = "category", allowed = ["hall", "lab", "tower"] }
temperature = { type = "number", nullable = true, range = [-40, 60] }
occupancy = { type = "integer", range = [0, 5000] }
hour = { type = "number", range = [0, 23] }

[target]
name = "kwh_target"
expression = "kwh"
label_delay_hours = 1

[split]
holdout_days = 10
train_days = 60

[model]
estimator = "sklearn.linear_model.Ridge"
candidates = 2
[model.search]
alpha = [1.0, 0.1]

[gates]
primary = "mae"

[serving]
canary_steps = []
bake_seconds = 0
"""

ENERGY_SQL = """
SELECT r.at, r.building, r.temperature, r.occupancy, hour(r.at) AS hour
FROM readings AS r
"""

TICKETS_TOML = """
name = "tickets"
title = "Queue of a support ticket"
task = "multiclass"

[datasets.tickets]
event_time = "opened_at"
key = ["ticket"]

[datasets.tickets.columns]
ticket = { type = "string" }
opened_at = { type = "timestamp" }
channel = { type = "string", allowed = ["mail", "chat", "phone"] }
product = { type = "string" }
words = { type = "integer", range = [1, 10000] }
attachments = { type = "integer", range = [0, 100] }
customer_mail = { type = "string", nullable = true, pii = true }
queue = { type = "string", nullable = true, known = "after", allowed = ["billing", "sales", "technical"] }

[features]
base = "tickets"

[features.columns]
channel = { type = "category", allowed = ["mail", "chat", "phone"] }
product = { type = "category" }
words = { type = "number", range = [1, 10000] }
attachments = { type = "number", range = [0, 100] }

[target]
name = "queue_target"
expression = "queue"
classes = ["billing", "sales", "technical"]
label_delay_hours = 24

[split]
holdout_days = 10
train_days = 30

[model]
estimator = "sklearn.linear_model.LogisticRegression"
candidates = 1

[gates]
primary = "log_loss"

[serving]
canary_steps = [0.5]
bake_seconds = 5
refresh_seconds = 1

[monitoring]
window_days = 20
harm_margin = 0.1

[retraining]
triggers = ["harm"]
cooldown_hours = 0
"""

TICKETS_SQL = """
SELECT t.ticket, t.opened_at, t.channel, t.product, t.words, t.attachments
FROM tickets AS t
"""

START = datetime(2026, 3, 1)


def write_projects(folder: Path) -> None:
    """Write both project folders under ``folder``."""
    for name, toml, sql in (("energy", ENERGY_TOML, ENERGY_SQL), ("tickets", TICKETS_TOML, TICKETS_SQL)):
        target = folder / name
        target.mkdir(parents=True)
        (target / "project.toml").write_text(toml.lstrip(), encoding="utf-8")
        (target / "features.sql").write_text(sql.lstrip(), encoding="utf-8")


def write_energy(path: Path, days: int = 50, seed: int = 1) -> Path:
    """Hourly readings of three buildings: kwh rises with occupancy and with the distance from 18 degrees."""
    draw = random.Random(seed)
    base = {"hall": 20.0, "lab": 60.0, "tower": 110.0}
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["at", "building", "temperature", "occupancy", "kwh"])
        for hour in range(days * 24):
            at = START + timedelta(hours=hour)
            for building, level in base.items():
                temperature = 12 + 8 * math.sin(hour / 24) + draw.gauss(0, 3)
                occupancy = int(max(0, draw.gauss(200 if 8 <= at.hour <= 18 else 20, 30)))
                kwh = level + 0.2 * occupancy - 1.5 * temperature + draw.gauss(0, 4)
                shown = "" if draw.random() < 0.01 else f"{temperature:.2f}"
                writer.writerow([at.isoformat(), building, shown, occupancy, f"{kwh:.3f}"])
    return path


def write_tickets(path: Path, rows: int = 4000, days: int = 50, *, after: int = 0) -> Path:
    """Tickets whose queue follows product and attachments, with a tenth of them at random.

    ``after`` days the firm was reorganised: what went to billing goes to sales, and the other way round.
    """
    draw = random.Random(2 + after)
    likely_queues = {"router": "technical", "invoice": "sales" if after else "billing", "plan": "billing" if after else "sales"}
    products = ["router", "invoice", "plan", "größe-ß"]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["ticket", "opened_at", "channel", "product", "words", "attachments", "customer_mail", "queue"])
        for number in range(rows):
            opened = START + timedelta(days=after + days * number / rows)
            product = draw.choice(products)
            words = draw.randint(5, 400)
            attachments = draw.choice([0, 0, 0, 1, 2])
            likely = likely_queues.get(product, "sales")
            queue = "technical" if attachments == 2 else likely
            if draw.random() < 0.1:
                queue = draw.choice(["billing", "sales", "technical"])
            channel = draw.choice(["mail", "chat", "phone"])
            ticket, mail = f"T{after:03d}{number:06d}", f"{number}@example.org"
            writer.writerow([ticket, opened.isoformat(), channel, product, words, attachments, mail, queue])
    return path
