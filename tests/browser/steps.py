"""What a person does and sees, in the words of the tests."""

from __future__ import annotations


def ready(page) -> None:
    """Wait until the page is drawn and knows its visitor, without whom nothing can be asked."""
    page.get_by_role("button", name="Generate").first.wait_for()
    page.wait_for_function("() => localStorage.getItem('quintet-visitor')")


def bound(page) -> None:
    """Wait until two frames are drawn and nothing is left to do. Gradio draws fields when they are first seen and
    binds their values a moment later; what a script, quicker than any hand, types in between is lost."""
    page.evaluate(
        """() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(
            () => requestIdleCallback(done, { timeout: 1000 }))))"""
    )


def open_tab(page, title: str) -> None:
    """On a narrow page the last tabs are behind a button."""
    tab = page.get_by_role("tab", name=title, exact=True)
    more = page.get_by_role("button", name="More tabs")
    tab.or_(more).filter(visible=True).first.wait_for()
    if tab.is_visible():
        tab.click()
    else:
        more.click()
        page.locator(".overflow-dropdown").get_by_role("button", name=title, exact=True).click()
    bound(page)


class Tab:
    """One method's tab of a page."""

    def __init__(self, page, title: str) -> None:
        self.page = page
        open_tab(page, title)
        self.panel = page.get_by_role("tabpanel").filter(visible=True)
        self.prompt = self.panel.get_by_role("textbox", name="Prompt").first
        self.generate = self.panel.get_by_role("button", name="Generate")
        self.stop = self.panel.get_by_role("button", name="Stop")
        self.seed = self.panel.get_by_label("Seed", exact=False).and_(self.panel.get_by_role("spinbutton"))
        self.new_seed = self.panel.get_by_label("New seed each time")
        self.stage = self.panel.locator(".q-stage")
        self.line = self.panel.locator(".q-line > span").first
        self.alert = self.panel.locator(".q-alert")

    def open_advanced(self) -> None:
        self.panel.get_by_role("button", name="Advanced").click()
        bound(self.page)

    def wait_for(self, state: str) -> None:
        self.panel.locator(f".q-stage[data-state={state}]").wait_for()

    def finish(self) -> None:
        """Generate and wait for a video that was not there before; a quick job leaves no time to see it run."""
        link = ".q-stage[data-state=done] .q-download"
        before = self.panel.locator(link).get_attribute("href") if self.panel.locator(link).count() else ""
        self.generate.click()
        self.panel.locator(f"{link}[href]:not([href='{before}'])").wait_for()

    def make(self, prompt: str, seed: int | None = None) -> None:
        """Finish a video of this prompt, with a drawn seed or this one."""
        self.prompt.fill(prompt)
        if seed is not None:
            self.new_seed.uncheck()
            self.seed.fill(str(seed))
        self.finish()

    def hold(self) -> None:
        """Generate in the tab Held and wait until it stands at its third step."""
        self.generate.click()
        self.line.get_by_text("Step 3 of 5").wait_for()


def playing(page, selector: str = ".q-stage video") -> bool:
    """True once the visible video has moved on by itself; fails after the page's patience."""
    page.wait_for_function(
        """selector => [...document.querySelectorAll(selector)].some(
            clip => clip.offsetParent && clip.readyState >= 2 && clip.currentTime > 0.2 && !clip.paused)""",
        arg=selector,
    )
    return True


def overflowing(page) -> list[str]:
    """Visible elements that reach past the right edge of the window."""
    return page.evaluate(
        """() => [...document.querySelectorAll('body *')].filter(e => {
            const box = e.getBoundingClientRect();
            return box.width > 1 && box.height > 1 && box.right > innerWidth + 1 && e.checkVisibility();
        }).map(e => e.tagName + '.' + e.className)"""
    )
