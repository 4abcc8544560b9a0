import re

from tests.query_api.harness import Api


async def test_the_documentation_loads_nothing_from_another_host(api: Api) -> None:
    page = await api.anonymous.get("/docs")
    assert page.status_code == 200
    assert "//" not in re.sub(r"^\s*//.*$", "", page.text, flags=re.MULTILINE)
    named = re.findall(r"(?:src|href)=\"([^\"]+)\"|url: '([^']+)'", page.text)
    addresses = {address for pair in named for address in pair if address}
    assert {address.rsplit("/", 1)[-1] for address in addresses} == {
        "swagger-ui-bundle.js", "swagger-ui.css", "favicon-32x32.png", "openapi.json",
    }  # fmt: skip
    for address in addresses:
        loaded = await api.anonymous.get(str(page.url.join(address)))
        assert loaded.status_code == 200
        assert len(loaded.content) > 500
    assert '"validatorUrl": null' in page.text


async def test_only_files_of_the_documentation_are_served(api: Api) -> None:
    for name in ("main.py", "..%2Fmain.py", "__init__.py"):
        refused = await api.anonymous.get(f"/docs/assets/{name}")
        assert refused.status_code in {404, 422}


async def test_the_root_leads_programs_to_the_documentation_and_browsers_away(api: Api) -> None:
    told = await api.anonymous.get("/", headers={"accept": "*/*"})
    assert (told.status_code, told.json()["docs"]) == (200, "/docs")
    assert (await api.anonymous.get(told.json()["docs"])).status_code == 200
    browser = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    led = await api.anonymous.get("/", headers=browser, follow_redirects=True)
    assert (led.status_code, led.url.path) == (200, "/console/sign-in")
