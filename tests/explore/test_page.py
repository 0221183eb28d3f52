"""The page as a person uses it: a real server, a real browser, and the library asked the same."""

import importlib.util
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from offramp import Plan, Planner, read_plan, read_topology
from offramp.core.requirement import Requirement
from offramp.explore.controls import SCALES
from offramp.files import write_profile, write_topology
from offramp.files.quantities import RATE
from tests.explore.worlds import PROFILE, explorer, profile

pytest.importorskip("nicegui", reason="the explorer needs nicegui")
playwright = pytest.importorskip("playwright.sync_api", reason="the page is tested with playwright")
CHROMIUM = Path("/usr/bin/chromium")
if not CHROMIUM.exists():
    pytest.skip(f"the page is tested in {CHROMIUM}, which is not there", allow_module_level=True)

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
BANDWIDTH = "bandwidth, smartwatch to smartphone"
SLIDER = f'.q-slider[aria-label="{BANDWIDTH}"]'


@contextmanager
def serving(*arguments: str) -> Iterator[str]:
    """The command as a process of its own; the address of its page."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "offramp", "explore", *arguments, "--port", str(port), "--no-browser"]
    # NiceGUI serves otherwise where it finds itself in a test.
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "NICEGUI"))}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=outside)
    assert process.stdout
    try:
        deadline = time.monotonic() + 90
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert process.poll() is None, process.stdout.read()
                assert time.monotonic() < deadline
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        told, _ = process.communicate(timeout=20)
    assert "Traceback" not in told, told


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with serving(str(PROFILE), "--topology", "mobile") as page:
        yield page


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as running:
        chromium = running.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def tab(browser: Any) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    page.set_default_timeout(15_000)
    yield page
    context.close()
    assert faults == []


def opened(tab: Any, address: str) -> Any:
    tab.goto(address)
    tab.wait_for_selector("[data-plan]")
    tab.wait_for_selector(".chart.tall canvas")
    tab.wait_for_selector(".main section:last-child tbody tr")
    # The address comes last, when all is drawn and nothing moves any more.
    tab.wait_for_url(lambda url: "?" in url)
    return tab


def shown(tab: Any) -> str:
    return str(tab.inner_text("[data-plan]"))


def field(tab: Any, label: str) -> Any:
    return tab.locator(f'input[aria-label="{label}"]')


def slider(tab: Any, label: str) -> Any:
    return tab.locator(f'.q-slider[aria-label="{label}"] [tabindex]')


def expected(bandwidth: float) -> str:
    """The plan of the library for the first link's bandwidth and the floor that the page begins with."""
    topology = read_topology("mobile")
    links = (replace(topology.links[0], bandwidth_bits_per_s=bandwidth), *topology.links[1:])
    floor = explorer().base.requirement.min_accuracy
    planner = Planner.of(profile(), replace(topology, links=links), compiled=True)
    best = planner.best(Requirement(min_accuracy=floor)).best
    assert best is not None
    return str(best.plan)


def bandwidth_of(tab: Any, label: str) -> float:
    """The bandwidth at which the slider stands, in bits per second."""
    position = int(tab.locator(f'.q-slider[aria-label="{label}"]').get_attribute("aria-valuenow"))
    return SCALES["bandwidth_bits_per_s"].value(position)


def wait_for_answer(tab: Any, label: str, bandwidth: float, plan: str) -> None:
    """Wait until the page shows that plan for that bandwidth, in the field and at the slider."""
    tab.wait_for_function(
        """([label, bandwidth, plan]) =>
          document.querySelector(`input[aria-label="${label}"]`).value == bandwidth
          && document.querySelector(`.q-slider[aria-label="${label}"]`).ariaValueText == bandwidth
          && document.querySelector('[data-plan]').innerText == plan""",
        arg=[label, RATE.write(bandwidth), plan],
    )
    # The address comes last, when all of the answer is drawn.
    tab.wait_for_url(lambda url: f"bandwidth={RATE.write(bandwidth).replace(' ', '+')}" in url)


def test_the_page_shows_the_plan_and_loads_nothing_from_elsewhere(tab: Any, address: str) -> None:
    asked: list[str] = []
    tab.on("request", lambda request: asked.append(request.url))
    opened(tab, address)
    assert shown(tab) == expected(500e3)
    assert "fastest plan with accuracy of at least 97.50 %" in tab.inner_text(".headline")
    elsewhere = [url for url in asked if not url.startswith((address, address.replace("http", "ws"), "data:"))]
    assert elsewhere == []
    assert tab.locator("svg.diagram title").first.text_content() == f"{shown(tab)} on mobile"


def test_dragging_a_slider_changes_the_plan_to_the_librarys(tab: Any, address: str) -> None:
    opened(tab, address)
    before = shown(tab)
    box = slider(tab, BANDWIDTH).bounding_box()
    y = box["y"] + box["height"] / 2
    tab.mouse.move(box["x"] + 0.28 * box["width"], y)
    tab.mouse.down()
    for part in range(28, 0, -3):
        tab.mouse.move(box["x"] + part / 100 * box["width"], y)
    tab.mouse.up()
    # A hundredth of the way from 10 kb/s to 10 Gb/s, each step the same factor.
    tab.wait_for_function("at => Number(document.querySelector(at).ariaValueNow) == 4", arg=SLIDER)
    bandwidth = bandwidth_of(tab, BANDWIDTH)
    wait_for_answer(tab, BANDWIDTH, bandwidth, expected(bandwidth))
    assert bandwidth == pytest.approx(10 ** (4 + 0.01 * 6), rel=0.05)
    assert (before, shown(tab)) == ("1-6@smartphone", "1-6@smartwatch")
    # What the terminal would say for it is there, too.
    assert f"bandwidth: {RATE.write(bandwidth)}" in tab.inner_text("[data-command]")


def test_the_keyboard_reaches_sliders_and_pins(tab: Any, address: str) -> None:
    opened(tab, address)
    for _ in range(60):
        tab.keyboard.press("Tab")
        if tab.evaluate("document.activeElement.closest('.q-slider')?.ariaLabel") == BANDWIDTH:
            break
    else:
        raise AssertionError("no number of tabs gets to the slider")
    tab.keyboard.press("ArrowLeft")
    tab.keyboard.press("ArrowLeft")
    bandwidth = bandwidth_of(tab, BANDWIDTH)
    assert bandwidth < 500e3
    wait_for_answer(tab, BANDWIDTH, bandwidth, expected(bandwidth))
    tab.locator('button[aria-label^="Pin 1@smartphone"]').focus()
    tab.keyboard.press("Enter")
    tab.wait_for_selector('button[aria-label="Unpin 1@smartphone"]')
    assert tab.locator(".q-slider[role=slider]").first.get_attribute("aria-valuetext") == "97.50 %"


def pixel(tab: Any, text: str) -> tuple[float, float]:
    """Where on the screen the frontier's point of that plan is."""
    x, y = tab.evaluate(
        """text => {
          const element = document.querySelector('.chart.tall');
          element.scrollIntoView({block: 'center'});
          const chart = getElement(element.id.slice(1)).chart;
          const line = chart.getOption().series.find(one => one.name == 'frontier');
          const point = line.data.find(member => member.value[3] == text).value;
          const [x, y] = chart.convertToPixel({xAxisIndex: 0, yAxisIndex: 0}, point);
          const box = element.getBoundingClientRect();
          return [box.x + x, box.y + y];
        }""",
        text,
    )
    return x, y


def test_a_point_tells_its_plan_and_a_click_pins_it(tab: Any, address: str) -> None:
    opened(tab, address)
    x, y = pixel(tab, "1-3@smartphone")
    tab.mouse.move(x - 30, y)
    tab.mouse.move(x, y)
    tab.get_by_text("72.67 % in 88.09 ms: 1-3@smartphone").wait_for()
    tab.mouse.click(x, y)
    tab.wait_for_selector('button[aria-label="Unpin 1-3@smartphone"]')
    compared = tab.locator("table", has=tab.locator('button[aria-label="Unpin 1-3@smartphone"]')).inner_text()
    assert "24.89 points less accurate, 16.8 % faster" in compared
    tab.wait_for_url("**pin=1-3@smartphone**")


def test_a_point_of_the_cloud_is_pinned_as_the_plan_it_is(tab: Any, address: str) -> None:
    opened(tab, address)
    x, y, text, accuracy = tab.evaluate(
        """() => {
          const element = document.querySelector('.chart.tall');
          element.scrollIntoView({block: 'center'});
          const chart = getElement(element.id.slice(1)).chart;
          const data = chart.getOption().series[0].data;
          // The slowest of the least accurate ones, where neither the frontier nor a system is.
          const worse = (a, b) => a[1] < b[1] || (a[1] == b[1] && a[0] > b[0]);
          const at = data.reduce((worst, point, i) => worse(point, data[worst]) ? i : worst, 0);
          const [x, y] = chart.convertToPixel({xAxisIndex: 0, yAxisIndex: 0}, data[at]);
          const box = element.getBoundingClientRect();
          return [box.x + x, box.y + y, window.offrampPlans[0][at], data[at][1]];
        }"""
    )
    assert 100 * explorer().planners[0].estimate(Plan.parse(text)).estimate.accuracy == pytest.approx(
        accuracy, rel=1e-4
    )
    tab.mouse.move(x - 25, y)
    tab.mouse.move(x, y)
    tab.mouse.click(x, y)
    tab.wait_for_selector(f'button[aria-label="Unpin {text}"]')


def test_what_was_pinned_and_chosen_can_be_undone(tab: Any, address: str) -> None:
    # With so low a floor every cell of the map is found at once.
    opened(tab, f"{address}?min-accuracy=0.1")
    tab.wait_for_selector(".legend li")
    assert tab.locator(".legend .count").all_inner_texts()
    tab.evaluate("emitEvent('pin', '1-3@smartphone')")
    tab.locator('button[aria-label="Unpin 1-3@smartphone"]').click()
    tab.wait_for_selector('button[aria-label="Unpin 1-3@smartphone"]', state="detached")
    tab.evaluate("emitEvent('pin', '1-3@moon')")
    tab.get_by_text("This is no plan of Offramp's, so there is nothing to pin.").wait_for()
    tab.get_by_role("button", name="Copy").click()
    tab.get_by_text("Copied.").wait_for()
    tab.locator('button[aria-label="Begin anew"]').click()
    tab.wait_for_function("plan => document.querySelector('[data-plan]').innerText == plan", arg=expected(500e3))


def test_the_plan_can_be_taken_along(tab: Any, address: str, tmp_path: Path) -> None:
    opened(tab, address)
    for name in ("plan.json", "drawing.svg", "frontier.csv"):
        tab.locator('button[aria-label="Take along"]').click()
        with tab.expect_download() as caught:
            tab.get_by_text(name, exact=True).click()
        caught.value.save_as(tmp_path / name)
    assert str(read_plan(tmp_path / "plan.json")) == shown(tab)
    assert (tmp_path / "drawing.svg").read_text().startswith("<svg")
    assert shown(tab) in (tmp_path / "frontier.csv").read_text()


def test_the_address_holds_the_state(tab: Any, address: str, browser: Any) -> None:
    opened(tab, address)
    field(tab, BANDWIDTH).fill("3 Mb/s")
    field(tab, BANDWIDTH).press("Enter")
    field(tab, "Accuracy of at least").fill("98.4 %")
    field(tab, "Accuracy of at least").press("Enter")
    tab.wait_for_url("**min-accuracy=0.984**")
    plan = shown(tab)
    again = browser.new_page()
    opened(again, tab.url)
    assert shown(again) == plan
    assert field(again, BANDWIDTH).input_value() == "3 Mb/s"
    assert field(again, "Accuracy of at least").input_value() == "98.40 %"
    again.close()


def test_what_is_impossible_or_wrong_is_said_in_words(tab: Any, address: str) -> None:
    opened(tab, address)
    field(tab, "Accuracy of at least").fill("99.9 %")
    field(tab, "Accuracy of at least").press("Enter")
    tab.get_by_text("No plan has accuracy of at least 99.90 %.").wait_for()
    tab.get_by_text("Shown is the plan that comes nearest.").wait_for()
    before = shown(tab)
    field(tab, BANDWIDTH).fill("fast")
    field(tab, BANDWIDTH).press("Enter")
    tab.get_by_text("'fast' is not a rate; write a number and a unit, e.g. 10 Mb/s").wait_for()
    assert shown(tab) == before


def test_what_someone_writes_is_not_written_over(tab: Any, address: str) -> None:
    opened(tab, address)
    field(tab, "Accuracy of at least").fill("98.")
    slider(tab, "latency, smartwatch to smartphone").focus()
    tab.get_by_text("98.00 %", exact=False).first.wait_for()
    field(tab, BANDWIDTH).fill("3 M")
    # Another number changes while this one is being written.
    tab.evaluate("emitEvent('pin', '1-3@smartphone')")
    tab.wait_for_selector('button[aria-label="Unpin 1-3@smartphone"]')
    assert field(tab, BANDWIDTH).input_value() == "3 M"


def test_an_address_that_says_nonsense_opens_all_the_same(tab: Any, address: str) -> None:
    opened(tab, f"{address}?source=<img src=x onerror=alert(1)>&links[0].bandwidth=1e999&%ff=%00&pin=1@moon")
    assert shown(tab) == expected(500e3)
    assert tab.locator(".warn").count() == 4
    assert tab.locator("img[src=x]").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_shows_it_all_without_scrolling_sideways(browser: Any, address: str, scheme: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 844}, color_scheme=scheme, has_touch=True)
    page = opened(context.new_page(), address)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator(".down svg.diagram").is_visible()
    assert not page.locator(".across svg.diagram").is_visible()
    paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightness = sum(map(int, re.findall(r"\d+", paper)[:3])) / 3
    assert brightness > 200 if scheme == "light" else brightness < 60
    context.close()


def test_the_page_keeps_up_with_a_deep_network(tab: Any, tmp_path: Path) -> None:
    path = Path(__file__).parents[2] / "benchmarks" / "instances.py"
    spec = importlib.util.spec_from_file_location("instances", path)
    assert spec
    assert spec.loader
    instances = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(instances)
    deep, topology = instances.problem(blocks=55, tiers=4, thresholds=20)
    write_profile(deep, tmp_path / "deep.json")
    write_topology(topology, tmp_path / "line.yaml")
    label = "bandwidth, tier1 to tier2"
    with serving(str(tmp_path / "deep.json"), "--topology", str(tmp_path / "line.yaml")) as deep_address:
        opened(tab, deep_address)
        slider(tab, label).focus()
        position = tab.locator(f'.q-slider[aria-label="{label}"]')
        first = int(position.get_attribute("aria-valuenow"))
        for _ in range(40):
            tab.keyboard.press("ArrowRight")
        # No key was taken back, and what is shown in the end is the answer to the last one.
        assert int(position.get_attribute("aria-valuenow")) == first + 40
        said = bandwidth_of(tab, label)
        links = (replace(topology.links[0], bandwidth_bits_per_s=said), *topology.links[1:])
        floor = float(re.findall(r"[\d.]+", tab.inner_text(".headline"))[0]) / 100
        planner = Planner.of(deep, replace(topology, links=links), compiled=True)
        best = planner.best(Requirement(min_accuracy=floor)).best
        assert best is not None
        wait_for_answer(tab, label, said, str(best.plan))
        assert int(position.get_attribute("aria-valuenow")) == first + 40


def test_the_commands_help_has_an_example() -> None:
    command = [sys.executable, "-m", "offramp", "explore", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "Example: offramp explore resnet20-digits" in " ".join(done.stdout.split())


def test_a_port_that_is_taken_is_said_with_the_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", "offramp", "explore", "resnet20-digits", "--port", port, "--no-browser"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 2
    assert "can't be had" in done.stderr
    assert "give another with --port" in done.stderr
