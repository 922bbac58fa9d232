"""The pages of agents and admins work under the policy that they are sent with."""

import re

import pytest

from tests.browser.conftest import NewCustomer, Service
from tests.browser.people import Customer

pytestmark = pytest.mark.xdist_group("browser")


@pytest.fixture
def admin(make_run: Service, new_customer: NewCustomer) -> Customer:
    """The demo's agent, logged in with what is printed."""
    found = re.search(r"Demo agent +(\S+), password (\S+)", make_run.run.output)
    assert found is not None
    visitor = new_customer()
    visitor.visit(f"{make_run.url}/login")
    visitor.page.get_by_label("Email").fill(found[1])
    visitor.page.get_by_label("Password").fill(found[2])
    visitor.page.get_by_role("button", name="Log in").click()
    visitor.page.wait_for_url(f"{make_run.url}/")
    return visitor


PAGES = [
    "/",
    "/admin/",
    "/admin/projects/user/add/",
    "/admin/projects/project/",
    "/api/docs",
    "/admin/projects/apikey/add/",
]


def test_no_page_breaks_the_policy_that_it_is_sent_with(make_run: Service, admin: Customer) -> None:
    for page in PAGES:
        admin.visit(make_run.url + page)
        admin.page.wait_for_load_state("networkidle")

    assert admin.complaints == []
    # Written by a script of the admin site, on the last one.
    assert admin.page.locator(".datetimeshortcuts").count() > 0
