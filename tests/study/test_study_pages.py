"""People rate in a real browser, where there is one."""

import json
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from chromium import chromium
from small_study import small_study
from web_server import running

from gluon_enhance.study.app import study_app
from gluon_enhance.study.database import Database, file_url
from gluon_enhance.study.results import results_of

PHONE, DESKTOP = (390, 844, 3), (1280, 900, 1)
LEFT, RIGHT, ENTER, BACKSPACE = "\ue012", "\ue014", "\ue007", "\ue003"


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    """One for all tests here, which takes less time than to start one for each."""
    with chromium(tmp_path_factory.mktemp("browser")) as driver:
        yield driver


class Page:
    """The pages of a study, as a person uses them."""

    def __init__(self, driver, port):
        self.driver, self.port = driver, port

    def open(self):
        self.driver.get(f"http://localhost:{self.port}/")
        self.wait(lambda: self.is_shown("#start") or self.is_shown("#end"))

    def wait(self, until):
        from selenium.webdriver.support.ui import WebDriverWait

        WebDriverWait(self.driver, 60, poll_frequency=0.05).until(lambda _: until())

    def find(self, selector):
        return self.driver.find_element("css selector", selector)

    def is_shown(self, selector):
        return self.find(selector).is_displayed()

    def begin(self):
        self.find("#begin").click()
        self.wait(lambda: self.place() and self.is_ready())

    def is_ready(self):
        return "waiting" not in self.find("#pictures").get_attribute("class")

    def place(self):
        return self.find("#place").text

    def keys(self, text):
        self.driver.switch_to.active_element.send_keys(text)

    def faults(self):
        """Return what the console says of answers that were errors, once."""
        log = self.driver.get_log("browser")
        return [entry["message"] for entry in log if entry["level"] == "SEVERE"]

    def rate(self, act):
        """Do what rates, and wait for the next item or the end."""
        before = self.place()
        act()
        self.wait(lambda: self.is_shown("#end") or (self.place() != before and self.is_ready()))


def look(browser, size, scheme):
    """Give the browser a window of a size, and a scheme of colors."""
    width, height, ratio = size
    metrics = {"width": width, "height": height, "deviceScaleFactor": ratio, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})


@pytest.fixture
def visit(tmp_path, browser):
    """Return a context in which a study is served, which gives it, its database and its page."""
    browser.delete_all_cookies()
    look(browser, DESKTOP, "light")
    for log in ("browser", "performance"):
        browser.get_log(log)  # of earlier tests

    @contextmanager
    def visited(token=None, **changes):
        folder = tmp_path / "study"
        study, _ = small_study(folder, **changes)
        with (
            closing(Database(file_url(folder), study)) as store,
            running(study_app(folder, study, store, "127.0.0.1", token)) as port,
        ):
            page = Page(browser, port)
            if not token:
                page.open()
            yield study, store, page
        assert page.faults() == []

    return visited


def test_a_person_rates_to_the_end_by_keys_and_the_results_have_it(visit):
    with visit(anchors=(("nearest", 1),)) as (study, store, page):
        assert page.find("h1").text == "Sharp or not"
        assert "9 ratings" in page.find("#length").text
        page.begin()
        for index, item in enumerate(study.sequence(0)):
            assert f"{index + 1} of 9" in page.place()
            assert page.is_shown("#hint") == (item.stage == "training")
            if item.suggested:
                assert "1 (bad)" in page.find("#hint").text
            page.rate(lambda shown=item: page.keys("25"[shown.shown == ("original",)]))
        assert page.is_shown("#end")
        assert [e.text for e in page.driver.find_elements("css selector", "#methods li")] == [
            "nearest",
            "secret_net",
            "original",
        ]
        mos = {
            row["method"]: row["mos"] for row in results_of(study, store.ratings(), 1)["methods"]
        }
        assert mos == {"nearest": 2, "secret_net": 2, "original": 5}


def test_who_leaves_comes_back_to_the_same_item(visit):
    with visit() as (_, store, page):
        page.begin()
        page.rate(lambda: page.keys("4"))
        page.open()
        assert page.find("#begin").text == "Go on" and "rated 1 of 9" in page.find("#length").text
        page.begin()
        assert page.place() == "Practice: 2 of 9" and store.joined() == 1


def test_a_slip_is_mended_by_going_back(visit):
    with visit() as (_, store, page):
        page.begin()
        page.rate(lambda: page.keys("4"))
        page.rate(lambda: page.keys(BACKSPACE))
        assert page.place() == "Practice: 1 of 9"
        pressed = page.find("#scale [aria-pressed=true]")
        assert pressed.text == "4 good"
        page.rate(lambda: page.find("#scale [data-rating='2']").click())
        assert store.rated(0) == {0: 2} and page.place() == "Practice: 2 of 9"


def test_a_double_click_rates_one_item(visit):
    """The second click may come when the next picture is there, and nobody has seen it yet."""
    with visit() as (_, store, page):
        page.begin()
        page.rate(lambda: page.find("#scale [data-rating='2']").click())
        page.driver.execute_script(
            "const second = new MouseEvent('click', { detail: 2, bubbles: true });"
            "document.querySelector('#scale').children[1].dispatchEvent(second);"
        )
        page.rate(lambda: page.find("#scale [data-rating='4']").click())
        assert store.rated(0) == {0: 2, 1: 4}


def test_arrows_move_along_the_scale_and_enter_rates(visit):
    with visit() as (_, store, page):
        page.begin()
        for key in (RIGHT, RIGHT, RIGHT, LEFT):
            page.keys(key)
        assert store.rated(0) == {}
        page.rate(lambda: page.keys(ENTER))
        assert store.rated(0) == {0: 2}


def test_an_arrow_chooses_one_of_two_pictures(visit):
    with visit(kind="pairs") as (study, store, page):
        page.begin()
        captions = [e.text for e in page.driver.find_elements("css selector", "figcaption")]
        assert captions == ["first", "second"]
        page.rate(lambda: page.keys(RIGHT))
        page.rate(lambda: page.keys(LEFT))
        assert store.rated(0) == {0: 2, 1: 1}


def test_parts_of_the_page_have_names_for_screen_readers(visit):
    with visit(kind="dcr") as (_, _, page):
        page.begin()
        group = page.find("#scale")
        assert group.aria_role == "group" and "second picture impaired" in group.accessible_name
        names = [button.accessible_name for button in group.find_elements("css selector", "button")]
        assert names[::4] == ["1 very annoying", "5 imperceptible"]
        pictures = page.driver.find_elements("css selector", "#pictures img")
        assert [one.accessible_name for one in pictures] == ["original", "picture to rate"]
        assert page.find("#bar").accessible_name == "Rated so far"
        assert page.driver.switch_to.active_element.get_attribute("id") == "question"


def test_a_picture_is_shown_pixel_by_pixel(visit):
    with visit() as (_, _, page):
        page.begin()
        size = "const one = document.querySelector('.frame img').getBoundingClientRect();"
        script = f"{size} return [one.width * devicePixelRatio, one.height * devicePixelRatio]"
        assert page.driver.execute_script(script) == [64, 48]


def test_trouble_is_said_and_the_rating_can_be_given_again(visit):
    with visit() as (_, store, page):
        page.begin()
        page.driver.execute_script(
            "window.old = fetch; window.fetch = async () => { throw new Error('no way'); }"
        )
        page.keys("3")
        page.wait(lambda: page.is_shown("#trouble"))
        assert "That did not work: no way." in page.find("#trouble").text
        page.driver.execute_script("window.fetch = window.old")
        page.rate(lambda: page.keys("3"))
        assert store.rated(0) == {0: 3} and not page.is_shown("#trouble")


def test_a_tab_that_was_left_behind_goes_on_where_another_is(visit):
    with visit() as (study, store, page):
        page.begin()
        for index, item in enumerate(study.sequence(0)[:4]):  # in the other tab
            store.rate(0, index, item, 3)
        page.rate(lambda: page.keys("2"))
        assert page.place() == "5 of 9"
        for index, item in enumerate(study.sequence(0)):
            store.rate(0, index, item, 3)
        page.keys("2")
        page.wait(lambda: page.is_shown("#end"))
        assert store.rated(0) == dict.fromkeys(range(9), 3) and not page.is_shown("#trouble")
        assert len(page.driver.find_elements("css selector", "#methods li")) == 3
        (fault,) = page.faults()
        assert "409" in fault


def test_what_a_tab_shows_of_one_person_is_no_rating_of_the_next(visit):
    with visit() as (_, store, page):
        page.begin()
        page.driver.switch_to.new_window("tab")
        page.open()
        page.find("#start .leave").click()
        page.wait(lambda: page.find("#begin").text == "I agree, begin")
        page.begin()
        page.rate(lambda: page.keys("5"))
        page.driver.close()
        page.driver.switch_to.window(page.driver.window_handles[0])
        page.keys("1")
        page.wait(lambda: page.is_shown("#start"))
        assert (store.rated(0), store.rated(1)) == ({}, {0: 5})
        assert "rated 1 of 9" in page.find("#length").text
        page.wait(lambda: page.is_shown("#trouble"))
        assert "another person has begun in this browser" in page.find("#trouble").text
        (fault,) = page.faults()
        assert "409" in fault


def test_who_was_forgotten_in_another_tab_is_asked_to_agree(visit):
    with visit() as (_, store, page):
        page.begin()
        page.driver.delete_all_cookies()
        page.keys("3")
        page.wait(lambda: page.is_shown("#start"))
        page.wait(lambda: page.is_shown("#trouble"))
        assert "it must keep the study's cookie" in page.find("#trouble").text
        assert page.find("#begin").text == "I agree, begin" and store.ratings() == []
        (fault,) = page.faults()
        assert "401" in fault


LOST = """
    const ask = window.fetch;
    const wait = window.setTimeout;
    let end; // of the patience with the request that is made next
    window.setTimeout = (work, time) => (time > 10_000 ? void (end = work) : wait(work, time));
    window.fetch = (path, options) => {
      if (!path.includes(arguments[0])) return ask(path, options);
      ask(path, { ...options, signal: undefined }).then(end);
      return new Promise((_, no) => {
        options.signal.addEventListener("abort", () => no(options.signal.reason));
      });
    };
    window.find_answers = () => { window.fetch = ask; };
"""
"""Requests whose path has a text reach the server; what they answer is lost, until time is up."""


def test_the_end_is_shown_although_the_last_answer_was_lost(visit):
    with visit() as (study, store, page):
        page.begin()
        for index, item in enumerate(study.sequence(0)[:8]):
            store.rate(0, index, item, 3)
        page.open()
        page.begin()
        page.driver.execute_script(LOST, "rating")
        page.keys("4")
        page.wait(lambda: page.is_shown("#trouble"))
        assert "the server does not answer. Please try again." in page.find("#trouble").text
        page.driver.execute_script("find_answers()")
        page.keys("4")
        page.wait(lambda: page.is_shown("#end"))
        assert store.rated(0)[8] == 4 and not page.is_shown("#trouble")
        (fault,) = page.faults()
        assert "409" in fault


def test_who_cannot_begin_can_try_again(visit):
    with visit() as (_, store, page):
        page.driver.execute_script(LOST, "items")
        page.find("#begin").click()
        page.wait(lambda: page.is_shown("#trouble"))
        assert page.is_shown("#start")
        page.driver.execute_script("find_answers()")
        page.begin()
        assert page.place() == "Practice: 1 of 9" and store.joined() == 1


def test_the_page_asks_no_other_host_for_anything(visit):
    with visit() as (_, _, page):
        page.driver.get_log("performance")  # of the page of a new tab, which is the browser's own
        page.open()
        page.begin()
        page.rate(lambda: page.keys("3"))
        events = [json.loads(e["message"])["message"] for e in page.driver.get_log("performance")]
        asked = [
            event["params"]["request"]["url"]
            for event in events
            if event["method"] == "Network.requestWillBeSent"
        ]
        own = (f"http://localhost:{page.port}/", f"blob:http://localhost:{page.port}/", "data:,")
        assert len(asked) > 5 and all(url.startswith(own) for url in asked)


def test_a_link_with_a_token_leads_in_from_any_mail_or_site(visit):
    with visit(token="0123456789abcdef") as (_, _, page):
        link = f"http://localhost:{page.port}/?token=0123456789abcdef"
        page.driver.get(f"data:text/html,<a href={link}>Take part</a>")
        page.find("a").click()
        page.wait(lambda: page.driver.find_elements("css selector", "#start"))
        page.wait(lambda: page.is_shown("#start"))
        page.begin()
        page.rate(lambda: page.keys("3"))


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_their_window_and_axe_finds_no_fault(visit, browser, size, scheme):
    axe = Path(pytest.importorskip("axe_core_python").__file__).with_name("axe.min.js")
    look(browser, size, scheme)
    with visit(kind="dcr", anchors=(("nearest", 1),)) as (study, store, page):

        def check():
            page.driver.execute_script(axe.read_text(encoding="utf-8"))
            found = page.driver.execute_async_script("axe.run().then(arguments[0])")
            assert [(one["id"], one["nodes"][0]["target"]) for one in found["violations"]] == []
            wide = page.driver.execute_script("return document.documentElement.scrollWidth")
            assert wide <= size[0]

        check()
        page.begin()
        check()
        for index, item in enumerate(study.sequence(0)[:-1]):
            store.rate(0, index, item, 3)
        page.open()
        page.begin()
        page.rate(lambda: page.keys("3"))
        assert page.is_shown("#end")
        check()


def test_a_picture_of_a_phone_has_whole_pixels_of_the_screen(visit, browser):
    """Three of the screen's make a CSS pixel: a picture of 64 pixels is 64 CSS pixels wide."""
    look(browser, PHONE, "light")
    with visit() as (_, _, page):
        page.begin()
        script = "return document.querySelector('.frame img').getBoundingClientRect().width"
        assert page.driver.execute_script(script) == 64


def test_all_buttons_are_in_sight_where_two_pictures_need_scrolling(visit, browser):
    look(browser, (390, 320, 3), "light")
    with visit(kind="dcr", training=()) as (_, _, page):
        page.begin()
        low, high = page.driver.execute_script(
            "const { bottom } = document.querySelector('#scale').lastChild.getBoundingClientRect();"
            "return [bottom, document.documentElement.scrollHeight]"
        )
        assert low <= 320 < high
