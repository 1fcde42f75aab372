"""Messages quote files of strangers: they stay short, on one line, and steer no terminal."""

import json
import logging
import pickle
import time

import numpy as np
import pytest

from gluon_enhance import errors
from gluon_enhance.errors import (
    GluonEnhanceError,
    PrintableFormatter,
    WeightsError,
    plural,
    printable,
)
from gluon_enhance.weights.interpolation import interpolate_states
from gluon_enhance.weights.load import differences
from gluon_enhance.zoo.cards import spec_from_card

STEERING = "\x1b[2J\x07\n\u202e\x9b"
LONG = "x" * 1_000_000


def kinds_of(error):
    return [error, *(kind for one in error.__subclasses__() for kind in kinds_of(one))]


@pytest.mark.parametrize("kind", kinds_of(GluonEnhanceError))
def test_every_error_has_a_short_line_that_steers_nothing(kind):
    more = [2] if kind is errors.TrainingInterruptedError else []
    message = str(kind(f"a{STEERING}b{LONG}c", *more))
    assert len(message) < 2100 and message.isprintable()
    assert message.startswith(r"a\x1b[2J\x07 \u202e\x9bb") and message.endswith("c")
    assert str(kind("résumé 一", *more)) == "résumé 一"


def test_errors_come_whole_out_of_other_processes():
    error = pickle.loads(pickle.dumps(WeightsError(f"net{STEERING}.pth")))
    assert str(error) == str(WeightsError(f"net{STEERING}.pth"))


def test_what_is_escaped_stays_as_it_is_when_escaped_again():
    assert printable(printable(STEERING)) == printable(STEERING)


def test_logs_steer_nothing():
    record = logging.makeLogRecord({"msg": "%s is odd", "args": (f"a{STEERING}",)})
    assert PrintableFormatter("%(message)s").format(record).isprintable()


def test_names_in_a_file_are_shortened():
    arrays = {LONG: np.zeros(3), "a": np.zeros(2)}
    message = differences(arrays, {"a": np.zeros(3), "b" * 10**6: np.zeros(1)})
    assert len(message) < 1000 and "of another shape a (2,) instead of (3,)" in message
    with pytest.raises(WeightsError) as caught:
        interpolate_states({LONG: 5}, {}, 0.5)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("value", [json.loads("[" * 400 + "]" * 400), LONG, [LONG] * 100, STEERING])
@pytest.mark.parametrize("key", ["name", "tiling", "scale", "halo"])
def test_a_card_is_quoted_in_short(key, value):
    card = {"name": "net", "method": "", "scale": 2, "parameters": 1, "halo": 1, "paper": ""}
    with pytest.raises(WeightsError) as caught:
        spec_from_card({**card, "license": "", **({key: value} if key != "name" else {"scale": 0})})
    assert len(str(caught.value)) < 2100 and str(caught.value).isprintable()


def test_long_messages_take_no_time():
    began = time.perf_counter()
    for _ in range(100):
        printable(LONG)
    assert time.perf_counter() - began < 1


def test_one_thing_has_no_s():
    assert [plural(count, "photo") for count in (0, 1, 2)] == ["0 photos", "1 photo", "2 photos"]
    assert plural(12345, "photo") == "12,345 photos"
