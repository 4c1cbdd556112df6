"""Conditions in words: what binds closest, units, what is not known, and errors that show the place."""

import numpy as np
import pytest
from listed_scan import ListedAxis, ListedOutput, ListedScan, listed

from jaxmem.study.scanning import regions
from jaxmem.study.scanning.regions import region

V = np.array([-90.0, -72.0, -70.0, -68.0, -50.0, np.nan, -70.0])
STATUS = np.array([0, 0, 0, 0, 0, 1, 1], np.int32)
NAN = [5, 6]  # the last has a number that is no answer


@pytest.fixture
def scan(monkeypatch: pytest.MonkeyPatch) -> ListedScan:
    monkeypatch.setattr(regions, "PIECE", 3)
    codes = {0: "NODE", 1: "OSCILLATORY", 2: "UNSTABLE"}
    values = {
        "k.outside": np.arange(7.0), "leak ratio": np.linspace(0, 0.6, 7), "v": V, "status": STATUS,
        "k.e": np.array([-95.0, -80, -60, -75, -55, -60, -60]), "atp_per_second": np.array([1, 1, 3, 1, 1, 1, 1]) * 1e8,
        "stability": np.array([0, 1, 2, 0, 2, 0, 0], np.int32), "trace": np.zeros((2, 7)),
    }  # fmt: skip
    axes = {"k.outside": ListedAxis(unit="mM", low=0, high=6), "leak ratio": ListedAxis(low=0, high=1)}
    outputs = {
        "v": ListedOutput(unit="mV"),
        "k.e": ListedOutput(unit="mV"),
        "atp_per_second": ListedOutput(unit="1/s"),
        "stability": ListedOutput(dtype=np.dtype(np.int32), codes=codes),
        "trace": ListedOutput(entries=2),
    }
    return listed(axes, values, outputs=outputs)


@pytest.mark.parametrize(
    ("condition", "inside"),
    [
        ("v between -72 mV and -68 mV", [1, 2, 3]),
        ("v between -72 mV and -68 mV and atp_per_second < 2e8", [1, 3]),
        ("v between -0.072 V and -68000 uV", [1, 2, 3]),
        ("v between -72mV and -68", [1, 2, 3]),
        ("atp_per_second < 0.2 1/ns", [0, 1, 3, 4]),
        ("v>-68", [4]),
        ("v >= -68 mV", [3, 4]),
        ("v == -68", [3]),
        ("v != -68", [0, 1, 2, 4]),
        ("-72 mV < v <= -68 mV", [2, 3]),
        ("|v| < 70", [3, 4]),
        ("|v| <= 0.07 V", [2, 3, 4]),
        # "and" binds closer than "or", "not" closest
        ("v < -80 or v > -60 and atp_per_second > 1e9", [0]),
        ("(v < -80 or v > -60) and atp_per_second > 1e7", [0, 4]),
        ("not v < -80 and v < -71", [1]),
        ("not (v < -80 and v < -71)", [1, 2, 3, 4]),
        ("v > -60 or not v > -80", [0, 4]),
        ("NOT NOT v > -60", [4]),
        # what is not known is neither inside nor outside
        ("not v > -60", [0, 1, 2, 3]),
        ("not (v > -60 or v < -80)", [1, 2, 3]),
        ("v > -60 or k.outside >= 4 mM", [4, 5, 6]),
        ("not (v > -60 and k.outside < 10)", [0, 1, 2, 3]),
        ("not (v > -60 and k.outside > 10)", [0, 1, 2, 3, 4, 5, 6]),
        # words
        ("status is ok", [0, 1, 2, 3, 4]),
        ("status is not ok", [5, 6]),
        ("status is no_rest", [5, 6]),
        ("stability is stable", [0, 1, 3]),
        ("stability is not Stable", [2, 4]),
        ("stability is unstable", [2, 4]),
        ("status == 1", [5, 6]),
        # names
        ("k.outside < 0.0015 M", [0, 1]),
        ("'leak ratio' > 45 %", [5, 6]),
        ("v < k.e", [2]),
        ("k.e > v", [2]),
    ],
)  # fmt: skip
def test_conditions_mean_what_they_say(scan: ListedScan, condition: str, inside: list[int]) -> None:
    found = region(scan, condition)
    assert found.indices().tolist() == inside
    assert found.indices().dtype == np.int64
    assert (found.count, found.points, found.failed) == (len(inside), 7, 2)
    assert found.share == pytest.approx(len(inside) / 7)


def test_a_region_says_where_it_lies(scan: ListedScan) -> None:
    found = region(scan, "v between -72 mV and -68 mV")
    assert found.ranges["k.outside"] == pytest.approx((1.1, 2.9))
    np.testing.assert_array_equal(
        np.concatenate([mask for _, mask in found.masks(2)]), (V >= -72) & (V <= -68) & (STATUS == 0)
    )
    assert str(found) == "3 of 7 points (42.86%) are where v between -72 mV and -68 mV"
    assert np.isnan(region(scan, "v > 0").ranges["k.outside"]).all()


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("", "the condition is empty"),
        ("vv > 3", "at column 1: there is no axis or output 'vv' here"),
        ("v > 3 and k.outsid < 2", "at column 11: there is no axis or output 'k.outsid' here; did you mean 'k.outside'"),
        ("v > 3 mM", r"at column 5: .*mM.*mV"),
        ("v > 3 parsec", "at column 5: .*parsec"),
        ("v between -72", "at its end: 'between' wants two ends"),
        ("v between -68 mV and -72 mV", "at column 11: nothing is between -68 mV and -72 mV"),
        ("v >", "at its end: a name or a number is wanted"),
        ("v", "at its end: after 'v' one of <"),
        ("v betwen 1 and 2", "at column 3: after 'v' .*; did you mean 'between'"),
        ("(v > 3", "at its end: a bracket is not closed"),
        ("v > 3)", r"at column 6: found '\)' after a whole condition"),
        ("v > 3 v < 2", "at column 5"),
        ("v is ok", "at column 1: v has no words"),
        ("stability is stabel", "at column 14: there is no word of stability 'stabel' here; did you mean 'stable' or 'unstable'"),
        ("3 < 4", "compares two numbers"),
        ("v > k.outside", "k.outside is in mM and cannot be compared"),
        ("v > 3 and __import__('os')", "at column 11: there is no axis or output '__import__'"),
        ("v ; k", "';' is not understood"),
        ("trace > 1", "there is no axis or output 'trace'"),
        ("|v > 3", "'|' is not closed"),
    ],
)  # fmt: skip
def test_errors_show_the_place(scan: ListedScan, condition: str, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("|", r"\|")):
        region(scan, condition)


def test_a_million_points_are_read_in_pieces() -> None:
    x = np.linspace(0, 1, 2_000_001)
    found = region(listed({"x": ListedAxis(low=0, high=1)}, {"x": x}), "x between 0.2 and 0.4")
    assert found.count == int(np.sum((x >= 0.2) & (x <= 0.4)))
    assert found.ranges["x"] == pytest.approx((0.21, 0.39), abs=1e-3)
