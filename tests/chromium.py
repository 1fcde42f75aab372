"""A real browser for the tests of pages, where there is one."""

import shutil
from contextlib import contextmanager

import pytest


@contextmanager
def chromium(folder):
    """Give a browser, whose log has what its console says and what it asks the network for."""
    webdriver = pytest.importorskip("selenium.webdriver")
    if not shutil.which("chromium") or not shutil.which("chromedriver"):
        pytest.skip("Chromium and its driver are not installed")
    options = webdriver.ChromeOptions()
    for switch in ("headless", "no-sandbox", "disable-gpu", "disable-background-networking"):
        options.add_argument(f"--{switch}")
    options.add_argument(f"--user-data-dir={folder}")
    options.add_argument("--window-size=1000,900")
    options.binary_location = shutil.which("chromium")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    service = webdriver.ChromeService(executable_path=shutil.which("chromedriver"))
    driver = webdriver.Chrome(options=options, service=service)
    try:
        yield driver
    finally:
        driver.quit()
