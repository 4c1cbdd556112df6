"""The page of a scan: complete in itself, true to the scan, safe against what is in it, readable at 360 pixels."""

import base64
import html
import html.parser
import re
import shutil
import subprocess

import click.testing
import numpy as np
import pytest
import scan_double as double

import jaxmem as jm
from jaxmem import report
from jaxmem.cli.commands import cli
from jaxmem.plots._style import number
from jaxmem.report.page import page, write_page
from jaxmem.study.scanning.digest import fate

VOID = {"meta", "img", "br", "hr", "link", "input"}
SECTIONS = [
    "design",
    "status",
    "regions",
    "maps",
    "marginals",
    "outputs",
    "sensitivity",
    "slow",
    "failed",
    "rerun",
    "provenance",
]
HOSTILE = '</title><script>alert("1")</script> & <img src=http://evil.example/x onerror=alert(1)> {{ 7 * 6 }}'
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


class Seen(html.parser.HTMLParser):
    """What is on a page: attributes by tag, sections, texts, tables by their label, pictures."""

    def __init__(self, text: str):
        super().__init__()
        self.tags: list[tuple[str, dict]] = []
        self.stack: list[str] = []
        self.sections: list[str] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.texts: dict[str, str] = {}
        self.label = ""
        self.feed(text)
        assert self.stack == []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.tags.append((tag, given))
        if tag in VOID:
            return
        self.stack.append(tag)
        if tag == "section":
            self.sections.append(given["id"])
        if "aria-label" in given:
            self.label = given["aria-label"]
        if tag == "table":
            self.tables[self.label] = []
        elif tag == "tr":
            self.tables[self.label].append([])
        elif tag in ("td", "th"):
            self.tables[self.label][-1].append("")

    def handle_endtag(self, tag):
        assert self.stack.pop() == tag

    def handle_data(self, data):
        if not self.stack:
            return
        if {"td", "th"} & set(self.stack):
            self.tables[self.label][-1][-1] += data
        self.texts[self.stack[-1]] = self.texts.get(self.stack[-1], "") + data

    def rows(self, label: str) -> list[dict[str, str]]:
        heads, *rows = self.tables[label]
        return [dict(zip(heads, row, strict=True)) for row in rows]

    @property
    def pictures(self) -> list[dict]:
        return [given for tag, given in self.tags if tag == "img"]


@pytest.fixture(scope="module")
def scan():
    """Failed points of three kinds, a region, chunks, errors."""
    return double.landscape(14, errors={"7": "ValueError: <b>no</b>"})


@pytest.fixture(scope="module")
def text(scan):
    return page(scan)


@pytest.fixture(scope="module")
def seen(text):
    return Seen(text)


def plain(text: str) -> str:
    return text.replace("\N{NO-BREAK SPACE}", " ")


# ---------------------------------------------------------------------- complete in itself
def test_nothing_is_fetched_and_nothing_runs(seen, text):
    assert not [tag for tag, _ in seen.tags if tag in ("script", "link", "iframe", "object", "embed", "base", "form")]
    assert {p["src"].partition(";")[0] for p in seen.pictures} == {"data:image/png", "data:image/svg+xml"}
    for _, given in seen.tags:
        assert not any(name.startswith("on") for name in given)
        assert not {"href", "action", "srcset"} & set(given)
    assert not re.search(r"url\(|@import|https?://", text)
    assert len(text) < 2e6


def test_every_section_in_its_order(seen):
    assert seen.sections == SECTIONS


def test_pictures_say_what_they_show(seen):
    assert len(seen.pictures) == 4 + 9 + 5 + 3  # maps, marginals, distributions, indices
    for p in seen.pictures:
        assert len(p["alt"]) > 30 and int(p["width"]) > 0 and int(p["height"]) > 0
        data = base64.b64decode(p["src"].partition(",")[2])
        assert data[:4] == b"\x89PNG" if "png" in p["src"][:20] else b"<svg" in data
    assert len({p["alt"] for p in seen.pictures}) == len(seen.pictures)


# ---------------------------------------------------------------------- true to the scan
def test_counts_are_those_of_the_scan(seen, scan):
    counts = {code: int(np.sum(scan["status"] == code)) for code in np.unique(scan["status"])}
    assert len(counts) == 4
    told = {row["status"]: row for row in seen.rows("points by status")}
    for code, n in counts.items():
        name, reason = scan.statuses[code]
        row = told.pop(name.lower().replace("_", " "))
        assert row["points"] == f"{n:,}" and row["reason"] == (reason if code else "–")  # "ok" once is enough
        assert float(row["share"].rstrip("\N{NO-BREAK SPACE}%")) == pytest.approx(100 * n / scan.points, abs=0.051)
    assert told == {}
    bar = [float(a["style"][6:-1]) for tag, a in seen.tags if tag == "i"]
    assert sum(bar) == pytest.approx(100, abs=1e-3) and bar[0] == pytest.approx(100 * counts[0] / scan.points, abs=1e-3)
    found = plain(seen.texts["li"])
    assert f"{scan.points:,} points" in found and f"{counts[0]:,} of them" in found
    assert all(f"{n:,} {scan.statuses[c][0].lower().replace('_', ' ')}" in found for c, n in counts.items() if c)


def test_it_begins_with_a_list_of_sentences(scan, seen):
    """What was asked, how many answered, a line per main output with what it depends on, a line per region."""
    assert sum(tag == "li" for tag, _ in seen.tags) == 2 + 3 + 1
    found = plain(seen.texts["li"])
    x = scan["v"][scan["status"] == 0]
    low, high, middle = (number(f(x), 3) for f in (np.min, np.max, np.median))
    assert (
        f"v (resting potential): {low} to {high} mV, median {middle}; depends most on k.outside (first-order" in found
    )
    assert "Rests well: " in found


def test_a_status_does_not_say_its_reason_twice():
    scan = double.single(12)
    scan.statuses[1] = ("NO_STEADY_STATE", "no steady state to start from")
    n = int(np.sum(scan["status"] == 1))
    assert 0 < n < 12
    assert f"the others failed: {n} no steady state to start from." in plain(Seen(page(scan)).texts["li"])


@pytest.mark.slow
def test_an_output_that_no_point_has_and_axes_that_depend_on_each_other():
    scan = double.scattered(600)
    scan.outputs["failed_at"] = double.Output("ms", "when the cell was found to have failed")
    scan.columns["failed_at"] = np.full(600, np.nan)
    scan.columns["idle_0.g"], scan.design["kind"] = 0.5 * (scan["idle_0.g"] + scan["idle_1.g"]), "list"
    seen = Seen(page(scan))
    assert "failed_at" not in {row["output"] for row in seen.rows("outputs")}
    assert "No Sobol indices of v, atp_per_second and na.inside: the axes depend on each other." in seen.texts["p"]
    assert "Sobol indices" not in seen.tables and "depends most on" not in seen.texts["li"]


def test_the_design_is_told(seen, scan):
    rows = {row["axis"]: row for row in seen.rows("axes of the design")}
    assert list(rows) == list(scan.axes)
    for name, axis in scan.axes.items():
        assert (rows[name]["low"], rows[name]["high"]) == (number(axis.low), number(axis.high))
        assert rows[name]["levels"] == "14" and rows[name]["scale"] == axis.scale
    assert rows["leak_ratio"]["parameter"] == "na_leak.g = leak_ratio × k_leak.g"
    assert rows["pump.i_max"]["unit"] == "µA/cm²"


def test_outputs_are_those_of_good_points(seen, scan):
    rows = {row["output"]: row for row in seen.rows("outputs")}
    assert set(rows) == set(scan.outputs) - {"status"}
    good = scan["status"] == 0
    for name in ("v", "na.inside", "atp_per_second", "iterations"):
        x = scan[name][good]
        expected = [x.min(), *np.quantile(x, (0.05, 0.5, 0.95)), x.max()]
        assert [plain(rows[name][h]) for h in ("lowest", "5 %", "median", "95 %", "highest")] == list(
            map(number, expected)
        )
        assert rows[name]["points"] == f"{good.sum():,}"
    kinds = scan["stability"][good]
    for code, word in double.KINDS.items():
        assert f"{word} {int(np.sum(kinds == code)):,} (" in rows["stability"]["what it is"]


def test_regions_are_counted(seen, scan):
    v, atp = scan["v"], scan["atp_per_second"]
    inside = (scan["status"] == 0) & (v >= -72) & (v <= -68) & (atp < 2e7)
    assert 10 < inside.sum() < scan.points / 2
    assert f"{inside.sum():,} of {scan.points:,} points" in plain(seen.texts["p"])
    condition = scan.regions["rests well"]
    for row in seen.rows(f"axes where {condition}"):
        low, high = np.quantile(scan[row["axis"]][inside], (0.05, 0.95))
        assert (row["5 %"], row["95 %"]) == (number(low), number(high))


def test_failed_and_slow_points_are_those(seen, scan):
    heads = {name: f"{name} ({unit})" for name, unit in (("pump.i_max", "µA/cm²"), ("k.outside", "mM"))}
    names = {word[0].lower().replace("_", " "): code for code, word in scan.statuses.items()}
    failed = seen.rows("points that failed")
    assert {row["status"] for row in failed} == {"no rest", "depleted", "not finite"}
    for row in failed + seen.rows("slowest points"):
        i = int(row["point"])
        assert scan["status"][i] == names[row["status"]]
        for name in scan.axes:
            assert row[heads.get(name, name)] == number(scan[name][i])
    slow = seen.rows("slowest points")
    assert [float(row["iterations"]) for row in slow] == sorted(scan["iterations"])[::-1][: len(slow)]
    assert "jaxmem rerun landscape.h5 --cell " in seen.texts["pre"]
    chunk = seen.rows("slowest chunks")[0]
    assert float(chunk["seconds"]) == pytest.approx(scan.chunks["seconds"].max(), rel=5e-3)
    start = int(chunk["points"].split(" to ")[0].replace(",", ""))
    assert start == scan.chunks["start"][scan.chunks["seconds"].argmax()]


def test_sensitivity_says_what_it_left_out(seen, scan):
    found = seen.rows("Sobol indices")
    assert {row["output"] for row in found} == {"v", "na.inside", "atp_per_second"}
    strongest = {name: next(r["axis"] for r in found if r["output"] == name) for name in ("v", "atp_per_second")}
    assert strongest == {"v": "k.outside", "atp_per_second": "leak_ratio"}
    left = int(np.sum(scan["status"] != 0))
    assert plain(seen.texts["figcaption"]).count(f"{left:,} of {scan.points:,}") == 3


def test_provenance_and_experiment(seen, scan):
    rows = dict(seen.tables["provenance"][1:])
    assert rows["git revision"] == scan.provenance["git_revision"] and rows["chunk"] == "8,192"
    assert {"created", "jax", "device", "precision", "executor", "file"} <= set(rows)
    assert double.EXPERIMENT in seen.texts["pre"]


# ---------------------------------------------------------------------- safe against what is in it
def test_hostile_texts_are_texts():
    scan = double.single(
        8, question=HOSTILE, experiment=HOSTILE, errors={"1": HOSTILE}, provenance={HOSTILE: HOSTILE}, regions={HOSTILE: "v < 0"}
    )  # fmt: skip
    scan.statuses[1] = ("NO_REST", HOSTILE)
    scan.outputs["v"] = scan.outputs["v"]._replace(description=HOSTILE)
    scan.axes["pump.i_max"] = scan.axes["pump.i_max"]._replace(description=HOSTILE)
    text = page(scan)
    assert "<script" not in text and "<img src=http" not in text and "42" not in Seen(text).texts["h1"]
    seen = Seen(text)
    assert seen.texts["h1"] == HOSTILE == seen.texts["title"]
    assert seen.texts["pre"].endswith(HOSTILE)
    assert all(p["src"].startswith("data:image/") for p in seen.pictures)


# ---------------------------------------------------------------------- scans of every kind
def test_one_axis_has_no_map(seen):
    one = Seen(page(double.single(12)))
    assert one.sections == ["design", "status", "marginals", "outputs", "slow", "failed", "rerun", "provenance"]


def test_all_points_failed():
    scan = double.landscape(6)
    for name, x in scan.columns.items():
        if name in ("v", "na.inside", "atp_per_second"):
            x[:] = np.nan
    scan.columns["status"][:] = 1
    text = page(scan)
    seen = Seen(text)
    assert "None of them has an answer: 216 no rest (no steady state was found)" in plain(seen.texts["li"])
    assert seen.sections == ["design", "status", "regions", "maps", "outputs", "slow", "failed", "rerun", "provenance"]
    assert "Map of status" in seen.pictures[0]["alt"]
    assert not re.search(r"\bnan\b", re.sub(r'src="[^"]*"', "", text), re.IGNORECASE)


def test_constant_outputs():
    scan = double.landscape(5, regions={}, chunks={})
    for name in ("v", "na.inside", "atp_per_second"):
        scan.columns[name][:] = -70.0 if name == "v" else 3.0
    scan.columns["status"][:] = 0
    seen = Seen(page(scan))
    assert "v (resting potential) is −70 mV at all of them." in plain(seen.texts["li"])
    assert "All of them have an answer." in seen.texts["li"]
    assert "sensitivity" not in seen.sections and "failed" not in seen.sections
    assert {row["lowest"] for row in seen.rows("outputs") if row["output"] == "v"} == {"−70"}


def test_a_number_of_several_entries_and_an_unreadable_region():
    scan = double.single(12, regions={"odd": "v beyond 3"})
    times = np.arange(36.0).reshape(3, 12)
    times[1:, 4:] = np.nan
    scan.columns["spike_times"] = times
    scan.outputs["spike_times"] = double.Output("ms", "when it spiked", entries=3)
    good = times[:, scan["status"] == 0]
    seen = Seen(page(scan))
    row = next(r for r in seen.rows("outputs") if r["output"] == "spike_times")
    assert row["highest"] == number(np.nanmax(good)) and row["points"] == f"{int(np.sum(scan['status'] == 0))}"
    assert "This condition could not be read" in seen.texts["p"]


# ---------------------------------------------------------------------- files, terminal, browser
def test_a_page_is_written_whole_or_not_at_all(tmp_path):
    scan, target = double.single(8), tmp_path / "page.html"
    write_page(scan, target)
    assert target.read_text(encoding="utf-8") == page(scan)  # the same scan gives the same bytes
    with pytest.raises(FileExistsError, match=r"page\.html"):
        write_page(scan, target)
    scan.outputs["v"] = scan.outputs["v"]._replace(unit="no unit at all")
    with pytest.raises(ValueError, match="unit"):
        write_page(scan, target, overwrite=True)
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"] and "<h1>" in target.read_text(encoding="utf-8")


def test_terminal_table(scan, capsys):
    from rich.console import Console

    console = Console(width=140, highlight=False)
    with console.capture() as out:
        console.print(report.scan(scan))
    said = out.get()
    good = scan["status"] == 0
    assert f"{good.sum():,}" in said and "no rest: no steady state was found" in said
    assert f"{np.median(scan['v'][good]):.4g}" in said
    assert fate("NO_STEADY_STATE", "no steady state to start from") == "no steady state to start from"
    inside = good & (scan["v"] >= -72) & (scan["v"] <= -68) & (scan["atp_per_second"] < 2e7)
    assert re.search(rf"rests well +{inside.sum():,} ", said)


def saddle(values):
    x, y = values["x"], values["y"]
    return {"z": np.where(x + y > 1.85, np.nan, x * y)}


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """A scan in a file, as a scan writes it."""
    target = tmp_path_factory.mktemp("scan") / "saddle.h5"
    takes = {"x": (0.5, "mV", "the first"), "y": (0.5, "1", "the second")}
    asked = jm.questions.Function(saddle, {"z": ("ms", "their product")}, takes)
    axes = {"x": jm.Axis(0.0, 1.0, points=11), "y": jm.Axis(0.0, 1.0, points=11)}
    jm.scan(
        asked, jm.designs.Grid(axes), output=target, question="Is it a saddle?", regions={"high": "z > 0.5"}, chunk=50
    )
    return target


def test_commands_know_scans(file, tmp_path):
    run = lambda *words: click.testing.CliRunner().invoke(cli, [*map(str, words)])
    made = tmp_path / "saddle.html"
    done = run("report", file, "-o", made)
    assert done.exit_code == 0, done.output
    seen = Seen(made.read_text(encoding="utf-8"))
    assert seen.texts["h1"] == "Is it a saddle?" and "118 of them" in plain(seen.texts["li"])
    again = run("report", file, "-o", made)
    assert again.exit_code == 2 and "--overwrite" in again.output
    assert run("report", file, "-o", made, "--overwrite").exit_code == 0
    assert "ends in .html" in run("report", file, "-o", tmp_path / "page.pdf").output
    picture = tmp_path / "saddle.png"
    assert run("plot", file, "-o", picture).exit_code == 0 and picture.read_bytes()[:4] == b"\x89PNG"
    assert "holds a scan" in run("plot", file, "-o", tmp_path / "b.png", "--kind", "currents").output
    shown = run("show", file)
    assert shown.exit_code == 0 and "Is it a saddle?" in shown.output and "118" in shown.output
    other = tmp_path / "other.h5"
    jm.save_variables(other, {"a": (("n",), np.arange(3.0), "mV", "numbers")})
    refused = run("report", other)
    assert refused.exit_code == 2 and "a report is of a scan" in refused.output


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="no chromium")
def test_nothing_is_wider_than_a_phone(tmp_path, text):
    """In a frame of 360 pixels, since a window may not be so narrow; what scrolls inside its own box may be wider."""
    script = """
    addEventListener('load', () => {
      const page = document.getElementById('f').contentDocument, out = [], w = page.documentElement.clientWidth;
      for (const e of page.querySelectorAll('body *')) {
        if (e.closest('.scroll') && !e.matches('.scroll')) continue;
        const box = e.getBoundingClientRect();
        if (box.right > w + 0.5 || box.left < -0.5) out.push(e.tagName + ' ' + box.right);
      }
      document.title = (page.documentElement.scrollWidth - w) + ' ' + page.querySelectorAll('figure').length + ' ' + out.join(';');
    });"""
    long = "x" * 300
    six = double.scattered(500, question=f"Is {long} too long?", experiment=f"{long}\n", provenance={long: long})
    for i, content in enumerate((text, page(six))):
        outer = tmp_path / f"outer{i}.html"
        frame = (
            f'<iframe id="f" style="width:360px;height:9000px;border:0" srcdoc="{html.escape(content, quote=True)}">'
        )
        outer.write_text(f"<title>-</title><script>{script}</script>{frame}</iframe>", encoding="utf-8")
        options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run",
                   "--disable-component-update", "--disable-sync", f"--user-data-dir={tmp_path / f'profile{i}'}"]  # fmt: skip
        command = [CHROMIUM, *options, "--virtual-time-budget=5000", "--dump-dom", outer.as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100)
        beyond, figures, wide = re.search(r"<title>(\d+) (\d+) (.*?)</title>", done.stdout).groups()
        assert (int(beyond), wide) == (0, "") and int(figures) > 10
