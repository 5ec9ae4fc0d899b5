"""Instructor and student in a real browser: formgrader in JupyterLab, and the released notebook.

Needs Debian's `chromium` and `chromium-driver`; without them the tests fail, they are not skipped. With SCREENSHOTS set to
a folder, what the browser shows is kept there.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from nbgrader.api import Gradebook
from selenium import webdriver
from selenium.common.exceptions import WebDriverException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement

from graders import ROOT
from graders.for_nbgrader.course import course_files
from tests.for_nbgrader.hostile_text import ALL, HOSTILE, RUN
from tests.for_nbgrader.nbgrader_course import (
    LESSON,
    exercise_scores,
    hand_in,
    nbgrader,
    new_course,
    notebook,
    rows,
    samples,
)
from tests.for_nbgrader.nbgrader_samples import named

pytestmark = [pytest.mark.timeout(900), pytest.mark.alone]
PATIENCE = 120  # seconds that a page may take on a busy machine
WRONG = "def integer_range(dtype):\n    info = torch.iinfo(dtype)\n    return -info.max, info.max"

SETTINGS = {
    "notebook-extension/tracker": {"windowingMode": "none"},  # else cells out of sight have no output
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
}


class Server:
    """JupyterLab in a folder, with settings and a home of its own."""

    def __init__(self, folder: Path, home: Path) -> None:
        runtime = home / "runtime"
        for name, chosen in SETTINGS.items():
            path = home / "settings" / "@jupyterlab" / f"{name}.jupyterlab-settings"
            path.parent.mkdir(parents=True)
            path.write_text(json.dumps(chosen), encoding="utf-8")
        environment = {
            **os.environ,
            "HOME": str(home),
            "JUPYTER_RUNTIME_DIR": str(runtime),
            "JUPYTER_CONFIG_DIR": str(home / "config"),
            "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        }
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--port=0", "--ip=127.0.0.1"]
        self._log = (home / "server.log").open("wb")
        self._process = subprocess.Popen(command, cwd=folder, env=environment, stdout=self._log, stderr=self._log)
        told = wait(lambda: next(runtime.glob("jpserver-*.json"), None) if runtime.is_dir() else None)
        about = wait(lambda: json.loads(told.read_text(encoding="utf-8") or "null"))
        self.url, self.token = about["url"], about["token"]

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=60)
        self._log.close()


class Page:
    """A browser window in which one waits for what one looks for."""

    def __init__(self, driver: webdriver.Chrome) -> None:
        self.driver = driver

    def find(self, xpath: str) -> WebElement:
        """The first visible element."""
        return wait(lambda: next((each for each in self._all(xpath) if each.is_displayed()), None), xpath)

    def all(self, xpath: str) -> list[WebElement]:
        """All elements, once there is one."""
        return wait(lambda: self._all(xpath) or None, xpath)

    def click(self, xpath: str) -> None:
        """Click an element as soon as it can be clicked."""
        wait(lambda: self.find(xpath).click() or True, xpath)

    def close(self, modal: str) -> None:
        """Click OK in a dialog until it is gone: it takes no click while it fades in."""

        def gone() -> bool | None:
            for button in self._all(f"//div[@id='{modal}']//button[text()='OK']"):
                if button.is_displayed():
                    button.click()
            return not self._all("//div[contains(@class, 'modal-backdrop')]") or None

        wait(gone, f"the end of {modal}")

    def text(self, xpath: str) -> str:
        return self.find(xpath).text

    def show(self, element: WebElement) -> None:
        """Scroll to an element."""
        self.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)

    def keep(self, name: str) -> None:
        """Keep what the window shows, if it is wanted."""
        if folder := os.environ.get("SCREENSHOTS"):
            Path(folder).mkdir(parents=True, exist_ok=True)
            self.driver.save_screenshot(str(Path(folder) / f"{name}.png"))

    def _all(self, xpath: str) -> list[WebElement]:
        return self.driver.find_elements(By.XPATH, xpath)


def wait(what: Callable[[], Any], name: str = "") -> Any:
    """Return what is there as soon as it is there; a page that is being drawn counts as not yet."""
    end = time.monotonic() + PATIENCE
    problem: Exception | None = None
    while time.monotonic() < end:
        try:
            if (found := what()) is not None:
                return found
        except (WebDriverException, ValueError) as error:
            problem = error
        time.sleep(0.2)
    raise TimeoutError(f"{name or what} did not appear") from problem


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    assert browser, "install chromium (apt-get install chromium)"
    assert driver, "install chromium-driver (apt-get install chromium-driver)"
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1400,1000"):
        options.add_argument(argument)
    options.add_argument(f"--user-data-dir={tmp_path / 'chromium'}")
    made = webdriver.Chrome(options, webdriver.ChromeService(driver))
    made.set_page_load_timeout(PATIENCE)
    try:
        yield Page(made)
    finally:
        made.quit()


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[Path], Server]]:
    running: list[Server] = []

    def start(folder: Path) -> Server:
        home = tmp_path / f"home{len(running)}"
        home.mkdir()
        running.append(Server(folder, home))
        return running[-1]

    yield start
    for server in running:
        server.close()


def open_lab(page: Page, server: Server, path: str = "") -> None:
    page.driver.get(f"{server.url}lab{path}?token={server.token}&reset")
    page.find("//div[@id='jp-MainMenu']//li")


def test_an_instructor_grades_in_formgrader(tmp_path, page, serve):
    folder = new_course(tmp_path / "course", LESSON)
    made = samples(folder)
    hand_in(
        folder, "ann", made.with_answers({"integer_range": WRONG, "answer": "Because <script>bad()</script> of range."})
    )
    hand_in(folder, "ben", b"{")
    server = serve(folder)
    open_lab(page, server)

    page.click("//div[@id='jp-MainMenu']//li[.//div[text()='Nbgrader']]")
    page.click("//li[contains(@class, 'lm-Menu-item')][.//div[contains(text(), 'Formgrader')]]")
    page.driver.switch_to.frame(page.find("//iframe[contains(@src, 'formgrader')]"))
    lessons = sorted({Path(name).parts[1] for name in course_files() if name.startswith("source/")})
    assert lessons == sorted(path.stem for path in (ROOT / "solutions").glob("l[0-9]_*.py"))
    for lesson in lessons:
        assert page.find(f"//td//a[text()='{lesson}']")
    page.keep("formgrader_assignments")

    page.click(f"//a[contains(@href, 'manage_submissions/{LESSON}')]")
    page.click("//tr[td[text()='ann']]//td[contains(@class, 'autograde')]//a")
    assert "Successfully autograded" in page.text("//div[@id='success-modal']//div[@class='modal-body']")
    page.keep("formgrader_autograded")
    page.close("success-modal")
    row = "//tr[td[text()='ann']]"
    score = sum(filter(None, exercise_scores(rows(folder)["ann"]).values()))
    assert page.text(f"{row}//td[contains(@class, 'status')]") == "needs manual grading"
    assert page.text(f"{row}//td[contains(@class, 'score')]").startswith(f"{score:g} / ")

    page.click("//tr[td[text()='ben']]//td[contains(@class, 'autograde')]//a")
    assert "ben: could not grade: " in page.text("//div[@id='error-modal']//div[@class='modal-body']")
    page.keep("formgrader_could_not_grade")

    page.driver.get(f"{server.url}formgrader/gradebook/{LESSON}/{LESSON}")
    submission = "//tr[.//a[text()='ann']]"  # names are hidden in manual grading, but they are there
    total = f"{submission}//td[contains(@class, 'score')][1]"
    assert page.text(total).startswith(f"{score:g} / ")
    page.click(f"{submission}//a[contains(text(), 'Submission #')]")
    shown = page.text("//div[contains(@class, 'rendered_html')][contains(., 'of range')]")
    assert shown == "Because <script>bad()</script> of range."
    assert "two's complement is not symmetric" in page.text("//pre[contains(., 'not symmetric')]")
    box = page.find("//input[@id='answer']")
    page.show(box)
    page.keep("formgrader_written_answer")
    box.send_keys("1.5\t")
    wait(lambda: _manual_score(folder))
    page.driver.get(f"{server.url}formgrader/gradebook/{LESSON}/{LESSON}")
    assert page.text(total).startswith(f"{score + 1.5:g} / ")
    page.keep("formgrader_total")


def test_hostile_text_is_inert_in_formgrader_and_on_the_feedback_page(tmp_path, page, serve):
    folder = new_course(tmp_path / "course", LESSON)
    handed_in = json.loads(samples(folder).with_answers({"answer": ALL}))
    code = handed_in["cells"][0] | {
        "cell_type": "code",
        "source": RUN,
        "metadata": {},
        "outputs": [],
        "execution_count": 1,
    }
    output = {"output_type": "display_data", "data": {"text/html": f"<script>{RUN}</script>"}, "metadata": {}}
    handed_in["cells"] += [
        {"cell_type": "raw", "metadata": {}, "source": HOSTILE["image"]},
        {"cell_type": "raw", "metadata": {"raw_mimetype": "text/html"}, "source": HOSTILE["script"]},
        code | {"outputs": [output], "metadata": {"tags": [f'"><script>{RUN}</script>']}},
    ]
    handed_in["metadata"]["title"] = f"</title><script>{RUN}</script>"
    hand_in(folder, "eve", json.dumps(handed_in).encode())
    nbgrader(folder, "autograde", LESSON, "--student", "eve")
    nbgrader(folder, "generate_feedback", LESSON, "--student", "eve")
    pages = list((folder / "feedback" / "eve" / LESSON).glob("*.html"))
    assert len(pages) == 1

    server = serve(folder)
    page.driver.get(f"{server.url}lab?token={server.token}&reset")
    page.driver.get(f"{server.url}formgrader/gradebook/{LESSON}/{LESSON}")
    page.click("//tr[.//a[text()='eve']]//a[contains(text(), 'Submission #')]")
    assert "<script>" in page.text("//div[contains(@class, 'rendered_html')][contains(., 'graph TD')]")
    _assert_inert(page)
    page.keep("formgrader_hostile")

    page.driver.get(pages[0].as_uri())
    assert "<script>" in page.text("//section[@id='answer']")
    _assert_inert(page)
    assert (
        page.driver.find_elements(By.XPATH, "//script | //iframe | //form | //img[not(starts-with(@src, 'data:'))]")
        == []
    )
    page.keep("feedback_hostile")


def _assert_inert(page: Page) -> None:
    """Nothing that was written has run or been loaded, and no link or element would run it."""
    time.sleep(1)
    assert page.driver.title != "ran"
    loaded = page.driver.execute_script("return performance.getEntriesByType('resource').map(each => each.name)")
    links = page.driver.execute_script("return [...document.links].map(each => each.href)")
    assert [address for address in loaded if "example.invalid" in address] == []
    assert [address for address in links if not address.startswith(("http://", "https://", "file://"))] == []
    assert page.driver.find_elements(By.XPATH, "//*[contains(@*, \"'ran'\")]") == []


def _manual_score(folder: Path) -> float | None:
    with Gradebook(f"sqlite:///{folder / 'gradebook.db'}") as gradebook:
        return gradebook.find_grade("answer", LESSON, LESSON, "ann").manual_score


def test_a_student_runs_the_released_notebook(tmp_path, page, serve):
    folder = new_course(tmp_path / "course", LESSON)
    released, solved = notebook(folder, "release"), samples(folder).solved
    named(released, "integer_range")["source"] = WRONG
    named(released, "range_from_bits")["source"] = named(solved, "range_from_bits")["source"]
    place = tmp_path / "student"
    place.mkdir()
    (place / f"{LESSON}.ipynb").write_text(json.dumps(released), encoding="utf-8")
    open_lab(page, serve(place), f"/tree/{LESSON}.ipynb")
    page.find("//div[contains(@class, 'jp-Notebook')]//div[contains(@class, 'jp-CodeCell')]")
    page.click("//div[@id='jp-MainMenu']//li[.//div[text()='Run']]")
    page.click("//li[contains(@class, 'lm-Menu-item')][.//div[text()='Run All Cells']]")

    output = "//div[contains(@class, 'jp-OutputArea-output')]"
    found = page.find(f"{output}[contains(., 'want')]")
    wrong = found.text
    assert wrong.splitlines()[0].startswith("integer_range(torch.int8)")
    assert [line.split()[0] for line in wrong.splitlines()[1:4]] == ["got", "want", "hint"]
    assert page.find(f"{output}[contains(., 'range_from_bits: ') and contains(., ' examples right')]")
    page.show(found)
    page.keep("student_check")
    assert page.find(f"{output}[contains(., 'mixed_precision_dot is not started yet')]")
    picture = page.all(f"{output}//img")[0]
    assert picture.get_attribute("alt")
    page.show(picture)
    page.keep("student_picture")
