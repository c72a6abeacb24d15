"""The JavaScript of docs/howto/front-end.md does what the page says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from checks.repository import ROOT

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.integration.api import Caller
    from tests.integration.deployed import Deployed

RUN = """async ([code, token]) => {
  const {exportFlights, download} = new Function("getToken", `${code}; return {exportFlights, download}`)(() => token);
  const seen = [], exported = await exportFlights((each) => seen.push(each.status));
  const {url} = await fetch(exported.links.file, {headers: {Authorization: token, Accept: "application/json"}})
    .then((answer) => answer.json());
  await download(exported.id);
  return [seen.at(-1), url];
}"""


def test_it_requests_an_export_follows_it_and_downloads_its_file(
    browser: Browser, deployed: Deployed, caller: Caller
) -> None:
    [code] = re.findall(r"```js\n(.*?)```", (ROOT / "docs/howto/front-end.md").read_text("utf-8"), re.DOTALL)
    code = code.replace("https://exports.example.com", deployed["api_url"])
    page = browser.new_context(bypass_csp=True).new_page()
    page.goto(f"{deployed['api_url']}/")  # any page with an origin
    with page.expect_download(timeout=60_000) as downloaded:
        status, url = page.evaluate(RUN, [code, caller.token])
    assert status == "SUCCEEDED"
    assert downloaded.value.url.partition("?")[0] == url.partition("?")[0]
    assert re.fullmatch(r"flights-\S+\.csv", downloaded.value.suggested_filename)
    page.context.close()
