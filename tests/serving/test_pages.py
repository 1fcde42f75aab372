"""The pages in a real browser: pictures go in, results come out, nothing else is asked."""

import base64
import json
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import cv2
import numpy as np
import pytest
from web_server import running

from gluon_enhance.commands.craft import CommandCraft
from gluon_enhance.imaging.resize import resize_rounding_once
from gluon_enhance.serving.app import make_app
from gluon_enhance.serving.jobs import Jobs
from gluon_enhance.serving.limits import Limits

webdriver = pytest.importorskip("selenium.webdriver")

from selenium.common.exceptions import StaleElementReferenceException  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.support.wait import WebDriverWait  # noqa: E402

DROP = """
const [name, data, selector] = arguments;
const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
const carried = new DataTransfer();
carried.items.add(new File([bytes], name, { type: "image/png" }));
const target = document.querySelector(selector);
for (const kind of ["dragover", "drop"]) {
  const options = { dataTransfer: carried, bubbles: true, cancelable: true };
  target.dispatchEvent(new DragEvent(kind, options));
}
"""
PASTE = """
const bytes = Uint8Array.from(atob(arguments[1]), (one) => one.charCodeAt(0));
const carried = new DataTransfer();
carried.items.add(new File([bytes], arguments[0], { type: "image/png" }));
document.dispatchEvent(new ClipboardEvent("paste", { clipboardData: carried }));
"""


@pytest.fixture(scope="module")
def craft(tmp_path_factory):
    return CommandCraft(tmp_path_factory.mktemp("nets"), 4 * 10**9, threads=1, engine="openvino")


@pytest.fixture
def page(browser, craft, tmp_path):
    """Return the browser with the page of a server that has begun."""
    with closing(Jobs(tmp_path / "jobs")) as jobs, running(make_app(jobs, craft, Limits())) as port:
        yield Page(browser, f"http://127.0.0.1:{port}/")


class Page:
    def __init__(self, browser, address):
        self.browser, self.address = browser, address
        self.open("#enhance")

    def open(self, part):
        self.browser.get(self.address + part)
        self.wait(lambda: self.find("html").get_attribute("data-ready") is not None)
        self.wait(lambda: self.find(part).is_displayed())

    def find(self, selector):
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def all(self, selector):
        return self.browser.find_elements(By.CSS_SELECTOR, selector)

    def wait(self, is_so, seconds=60):
        kinds = [StaleElementReferenceException]
        return WebDriverWait(self.browser, seconds, 0.1, kinds).until(lambda _: is_so())

    def choose(self, form, **values):
        script = """
            const [selector, values] = arguments;
            const form = document.querySelector(selector);
            for (const [name, value] of Object.entries(values)) form.elements[name].value = value;
            form.dispatchEvent(new Event("change"));
        """
        self.browser.execute_script(script, form, values)

    def states(self, part="#enhance"):
        return [one.text for one in self.all(f"{part} .job .state")]

    def style(self, name):
        script = """
            return [...document.querySelectorAll('.frame')].filter((one) => one.offsetParent)
                .map((one) => one.style.getPropertyValue(arguments[0]))
        """
        return self.browser.execute_script(script, name)

    def complaints(self):
        return [one for one in self.browser.get_log("browser") if one["level"] == "SEVERE"]

    def asked(self):
        """List the hosts that the browser has asked for anything."""
        for entry in self.browser.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                address = urlsplit(message["params"]["request"]["url"])
                if address.scheme in ("http", "https", "ws", "wss"):
                    yield address.netloc


@pytest.fixture
def pixels(rng):
    return rng.integers(0, 256, (16, 24, 3), np.uint8)


def png(pixels):
    return base64.b64encode(cv2.imencode(".png", pixels)[1]).decode()


def test_a_dropped_picture_is_enhanced_and_shown_beside_its_original(page, pixels):
    page.browser.execute_script(DROP, "a.png", png(pixels), "#enhance")
    page.browser.execute_script(PASTE, "b.png", png(pixels))
    assert [one.text.split()[0] for one in page.all("#enhance .chosen li")] == ["a.png", "b.png"]
    page.choose("#enhance form", model="nearest", outscale="2")
    page.find("#enhance button.main").click()
    page.wait(lambda: page.states() == ["done", "done"])
    assert page.find("#enhance .all").is_displayed()
    page.all("#enhance [data-deed=show]")[-1].click()  # of a.png, which came first
    page.wait(lambda: page.all("#enhance .line"))
    assert page.browser.switch_to.active_element.text == "a_x2.png"
    assert [one.text for one in page.all(".pair figcaption span")] == ["a.png", "a_x2.png"]
    cut = float(page.style("--cut")[0][:-2])
    page.find(".line").send_keys("\ue014" * 10)  # the right arrow
    assert float(page.style("--cut")[0][:-2]) > cut
    page.find(".view").send_keys("1")
    page.find(".view").send_keys("+" * 4)
    assert float(page.style("--scale")[0]) == 1.5**4
    assert "pixels" in page.find(".view").get_attribute("class")
    # Nearest neighbours and single pixels of the original look alike.
    page.find("#enhance [value=difference]").click()
    shot = cv2.imdecode(np.frombuffer(page.find(".pair .frame").screenshot_as_png, np.uint8), 1)
    assert np.median(shot[4:-4, 4:-4]) == 0
    assert set(page.asked()) == {urlsplit(page.address).netloc}
    assert not page.complaints()


def test_a_job_tells_its_tiles_is_canceled_tried_again_and_removed(
    page, craft, pixels, monkeypatch
):
    def held(job, folder, progress):
        while True:
            progress(2, 5)
            time.sleep(0.01)

    monkeypatch.setattr(craft, "do", held)
    page.browser.execute_script(DROP, "a.png", png(pixels), "#enhance")
    page.find("#enhance button.main").click()
    page.wait(lambda: page.states() == ["tile 2 of 5"])
    assert page.find("#enhance progress").get_attribute("value") == "0.4"
    page.find("[data-deed=cancel]").click()
    page.wait(lambda: page.states() == ["canceled"])
    page.find("[data-deed=retry]").click()
    page.wait(lambda: page.states() == ["tile 2 of 5"])
    page.find("[data-deed=cancel]").click()
    page.wait(lambda: page.states() == ["canceled"])
    page.find("[data-deed=remove]").click()
    page.wait(lambda: page.states() == [])
    assert page.find("#enhance .empty").is_displayed()


def test_an_answer_later_than_the_news_does_not_put_a_job_back(page, pixels):
    page.browser.execute_script("""
        const ask = window.fetch;
        window.answered = 0;
        window.fetch = async (...request) => {
          const answer = await ask(...request);
          await new Promise((go) => setTimeout(go, 1000));
          window.answered += 1;
          return answer;
        };
    """)
    page.choose("#enhance form", model="nearest")
    page.browser.execute_script(DROP, "a.png", png(pixels), "#enhance")
    page.find("#enhance button.main").click()
    page.wait(lambda: page.browser.execute_script("return window.answered") > 0)
    page.wait(lambda: not page.all("#enhance .chosen li"))  # the page has taken the answer up
    page.wait(lambda: page.states() == ["done"])


def test_what_is_refused_is_said_in_the_page(page, pixels):
    page.find("#enhance button.main").click()
    assert page.find("#enhance .wrong").text == "Choose a picture first."
    page.choose("#enhance form", model="nearest")
    page.browser.execute_script(DROP, "b.png", png(pixels), "#enhance")
    page.browser.execute_script(DROP, "a.png", base64.b64encode(b"text").decode(), "#enhance")
    page.find("#enhance button.main").click()
    page.wait(lambda: "a.png is no PNG" in page.find("#enhance .wrong").text)
    # What was sent is forgotten, and what was not is still there to be removed.
    assert [one.text.split()[0] for one in page.all("#enhance .chosen li")] == ["a.png"]
    page.wait(lambda: page.states() == ["done"])


def test_models_are_compared_in_the_page_that_the_command_writes(page, pixels, tmp_path):
    page.open("#compare")
    page.browser.execute_script(DROP, "a.png", png(pixels), "#compare")
    truth = tmp_path / "truth.png"
    cv2.imwrite(str(truth), resize_rounding_once(pixels, 4))
    page.find("#compare-reference").send_keys(str(truth))
    for model in ("bicubic", "srcnn_x4"):
        page.find(f"#compare [value={model}]").click()
    page.find("#compare button.main").click()
    page.wait(lambda: page.states("#compare") == ["done"])
    page.find("#compare [data-deed=show]").click()
    page.browser.switch_to.frame(page.find("iframe"))
    page.wait(lambda: page.all(".tools"))
    names = [one.text for one in page.all(".grid figcaption")]
    assert names == ["a.png (24x16, bicubic)", "bicubic", "srcnn_x4", "reference: truth.png"]
    assert page.find("tbody tr:nth-child(2) td").text == "inf"  # bicubic is the truth here
    page.find("[data-zoom=one]").click()
    assert page.style("--scale") == ["1"] * 4
    page.browser.switch_to.default_content()
    assert set(page.asked()) == {urlsplit(page.address).netloc}
    assert not page.complaints()


def test_a_model_is_chosen_by_its_card(page):
    page.open("#models")
    card = next(one for one in page.all(".card") if one.text.startswith("srcnn_x4"))
    assert "57,281" in card.text and "Apache-2.0" in card.text
    card.find_element(By.TAG_NAME, "button").click()
    page.wait(lambda: page.find("#enhance").is_displayed())
    assert page.find("#enhance [name=model]").get_attribute("value") == "srcnn_x4"


PHONE, DESKTOP = (390, 844), (1280, 900)


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_their_window_and_axe_finds_no_fault(page, pixels, size, scheme):
    axe = Path(pytest.importorskip("axe_core_python").__file__).with_name("axe.min.js")
    width, height = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
    page.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    page.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    page.browser.execute_script(DROP, "a.png", png(pixels), "#enhance")
    page.choose("#enhance form", model="nearest")
    page.find("#enhance button.main").click()
    page.wait(lambda: page.states() == ["done"])
    page.find("#enhance [data-deed=show]").click()
    page.wait(lambda: page.all("#enhance .line"))
    for part in ("#enhance", "#compare", "#models"):
        page.open(part)
        page.browser.execute_script(axe.read_text(encoding="utf-8"))
        found = page.browser.execute_async_script("axe.run().then(arguments[0])")
        assert [(one["id"], one["nodes"][0]["target"]) for one in found["violations"]] == []
        wide = page.browser.execute_script("return document.documentElement.scrollWidth")
        assert wide <= width, part
