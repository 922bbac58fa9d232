"""What the demo data tell: a small shop for coffee gear, its agents, customers and tickets."""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

AGENTS = {
    "dana": ("demo@example.com", "Dana Okafor"),
    "alex": ("alex@example.com", "Alex Lind"),
    "sam": ("sam@example.com", "Sam Rivera"),
}
# Saved views and macros, by name.
VIEWS: dict[str, dict[str, Any]] = {
    "Unread and unassigned": {"unread": True, "assignee": ["unassigned"]},
    "My open tickets": {"status": ["new", "open"], "assignee": ["me"]},
    "Overdue": {"sla": "breached", "sorting": {"columnKey": "sla_due_at", "order": 1}},
}
MACROS: dict[str, dict[str, Any]] = {
    "On its way": {
        "content": "Your order left us today. You will have a tracking link by email soon.",
        "actions": {"status": "pending", "tags": ["delivery"]},
    },
    "Close without an answer": {"actions": {"status": "resolved"}},
}
ROLES = {"Billing": ("alex",), "Shipping": ("dana", "sam")}

# The first distinct id is what the shop calls them, the others are browsers and mail.
CUSTOMERS: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {
    "mia": (
        ("customer-1042", "mia.keller@example.org", "0190a1b2-77aa-7c11-9d3e-5f1b2c3d4e5f"),
        {"name": "Mia Keller", "email": "mia.keller@example.org", "city": "Bern", "orders": 14},
    ),
    "jonas": (
        ("customer-1077", "jonas@example.net"),
        {"name": "Jonas Berg", "email": "jonas@example.net", "city": "Oslo", "orders": 3},
    ),
    "priya": (
        ("customer-1101", "0190b7c4-1f20-7a55-8c44-3a2b1c0d9e8f"),
        {"name": "Priya Nair", "email": "priya.nair@example.com", "city": "Leeds", "orders": 6},
    ),
    "leo": (
        ("customer-1130", "leo@kaffeehaus.example"),
        {
            "name": "Leo Brandt",
            "email": "leo@kaffeehaus.example",
            "company": "Kaffeehaus Brandt",
            "plan": "wholesale",
            "orders": 58,
        },
    ),
    "aiko": (
        ("customer-1166",),
        {"name": "Aiko Tanaka", "email": "aiko@example.jp", "city": "Kobe", "orders": 2},
    ),
    "tomas": (
        ("customer-1189", "tomas.h@example.org", "0190c9d8-6b31-7e02-b1f7-9a8b7c6d5e4f"),
        {"name": "Tomás Herrera", "email": "tomas.h@example.org", "city": "Sevilla", "orders": 9},
    ),
    "grace": (
        ("customer-1203", "grace@roastery.example"),
        {
            "name": "Grace Mwangi",
            "email": "grace@roastery.example",
            "company": "Hill Roastery",
            "plan": "wholesale",
            "orders": 31,
        },
    ),
    "eli": (
        ("customer-1240", "eli.w@example.com"),
        {"username": "eli_w", "email": "eli.w@example.com", "orders": 1},
    ),
}

# Who speaks, or what they do, and how many minutes after the turn before. Who
# answers or notes something has read the ticket; "reads" only reads it.
Turn = tuple[int, str, str]


@dataclass(frozen=True, kw_only=True)
class Story:
    """One ticket: `customer` is a name of `CUSTOMERS`, or what a stranger says of themself."""

    hours_ago: float
    customer: str | dict[str, str]
    turns: tuple[Turn, ...]
    channel: str = "widget"
    detail: str | None = None
    subject: str | None = None
    page: str | None = None
    status: str | None = None
    priority: str | None = None
    assignee: str | None = None
    tags: tuple[str, ...] = ()
    traits: dict[str, Any] = field(default_factory=dict)
    # From now on; what is due may be overdue.
    due_in: timedelta | None = None
    snoozed_for: timedelta | None = None
    escalation_reason: str | None = None


STORIES = (
    Story(
        hours_ago=24 * 33,
        customer="mia",
        page="/products/hand-grinder",
        status="resolved",
        priority="low",
        assignee="dana",
        tags=("product question",),
        turns=(
            (0, "customer", "Does the hand grinder fit an AeroPress?"),
            (9, "dana", "Hi Mia, yes: it sits on top of it, and the handle comes off for travel."),
            (4, "customer", "Perfect, ordering it now."),
            (1, "dana", "Enjoy!"),
        ),
    ),
    Story(
        hours_ago=24 * 31,
        customer="leo",
        channel="email",
        subject="Invoice for March",
        status="resolved",
        priority="medium",
        assignee="role:Billing",
        tags=("billing", "wholesale"),
        turns=(
            (
                0,
                "customer",
                "Hello, our invoice for March lacks the VAT number. Please correct it.",
            ),
            (95, "alex", "Sorry about that, Leo. The corrected invoice is on its way."),
            (2, "note by alex", "The VAT number was missing in the account; it is there now."),
            (180, "customer", "Got it, thank you."),
            (20, "reads", ""),
        ),
    ),
    Story(
        hours_ago=24 * 29,
        customer="tomas",
        page="/orders/20811",
        status="resolved",
        assignee="sam",
        tags=("returns",),
        turns=(
            (0, "customer", "The kettle arrived with a dent. Can I exchange it?"),
            (14, "sam", "Of course. Could you send a photo of the dent and of the parcel?"),
            (31, "customer", "Done, both are attached to the order."),
            (12, "sam", "Thanks. A new kettle leaves today; the label for the old one is in it."),
            (4300, "customer", "It came, and it is fine. Great service!"),
            (60, "reads", ""),
        ),
    ),
    Story(
        hours_ago=24 * 27,
        customer="priya",
        channel="api",
        status="resolved",
        priority="high",
        assignee="dana",
        tags=("account",),
        turns=(
            (0, "customer", "I can not log in, the page says my account is locked."),
            (6, "dana", "I have unlocked it. Five wrong passwords lock an account for an hour."),
            (3, "customer", "Works again."),
            (30, "reads", ""),
        ),
    ),
    Story(
        hours_ago=24 * 25,
        customer={"name": "Noor", "email": "noor@example.net"},
        page="/shipping",
        status="resolved",
        priority="low",
        tags=("shipping",),
        turns=(
            (0, "customer", "Do you ship to Iceland?"),
            (0, "AI", "Yes. Parcels to Iceland take 6 to 9 working days and cost 18 euros."),
            (2, "customer", "Good to know, thanks"),
            (700, "reads", ""),
        ),
    ),
    Story(
        hours_ago=24 * 24,
        customer="grace",
        channel="email",
        subject="Wholesale price list",
        status="resolved",
        priority="medium",
        assignee="alex",
        tags=("wholesale",),
        turns=(
            (0, "customer", "Could you send us the new wholesale price list?"),
            (210, "alex", "Here it is, valid until the end of the year."),
        ),
    ),
    Story(
        hours_ago=24 * 22,
        customer="jonas",
        page="/orders/20877",
        status="open",
        priority="medium",
        assignee="sam",
        tags=("reopened", "shipping"),
        turns=(
            (0, "customer", "My parcel has not moved for a week."),
            (25, "sam", "The carrier says it left customs today. You should have it tomorrow."),
            (1, "resolved", ""),
            (3100, "customer", "It is two days later, and there is still nothing here."),
        ),
    ),
    Story(
        hours_ago=24 * 20,
        customer="aiko",
        channel="email",
        subject="Which filter papers?",
        status="resolved",
        priority="low",
        assignee="dana",
        tags=("product question",),
        turns=(
            (0, "customer", "Which papers fit the small dripper, size 1 or 2?"),
            (130, "dana", "Size 1. Size 2 is for the large one."),
        ),
    ),
    Story(
        hours_ago=24 * 19,
        customer="leo",
        channel="slack",
        detail="slack_channel_message",
        status="pending",
        priority="medium",
        assignee="role:Shipping",
        tags=("shipping", "wholesale"),
        turns=(
            (0, "customer", "Can we move our standing order from Monday to Thursday?"),
            (16, "sam", "We can. Should it begin this week, or next?"),
            (3, "note by sam", "The Thursday tour is full until the 15th, next week is easier."),
        ),
    ),
    Story(
        hours_ago=24 * 17,
        customer="eli",
        page="/checkout",
        status="resolved",
        priority="high",
        assignee="alex",
        tags=("billing", "checkout"),
        turns=(
            (0, "customer", "I was charged twice!"),
            (0, "AI", "I am sorry. I am handing this over to a colleague who can see payments."),
            (
                7,
                "note by alex",
                "Two authorisations, one capture: the second one lapses by itself.",
            ),
            (2, "alex", "Only one payment was taken; the other was a reservation, gone by Friday."),
            (15, "customer", "OK, I can see that now. Thanks for explaining."),
            (44, "reads", ""),
        ),
        escalation_reason="The customer reports a double payment.",
    ),
    Story(
        hours_ago=24 * 16,
        customer="mia",
        channel="email",
        subject="Grinder: burr replacement",
        status="resolved",
        assignee="dana",
        tags=("spare parts",),
        turns=(
            (0, "customer", "How often should the burrs be replaced?"),
            (
                300,
                "dana",
                "With one or two cups a day, after about five years. They are no. SP-114.",
            ),
            (1440, "customer", "Then I have some time left :)"),
            (15, "reads", ""),
        ),
    ),
    Story(
        hours_ago=24 * 14,
        customer="tomas",
        channel="api",
        status="on_hold",
        priority="low",
        assignee="sam",
        tags=("out of stock",),
        snoozed_for=timedelta(days=6),
        turns=(
            (0, "customer", "When will the copper kettle be back?"),
            (35, "sam", "In about three weeks. I will write to you as soon as it is here."),
            (1, "note by sam", "Delivery announced for next week, snoozed until then."),
        ),
    ),
    Story(
        hours_ago=24 * 13,
        customer={"email": "office@example.org"},
        channel="email",
        subject="Offer for an office of 40",
        status="pending",
        priority="medium",
        assignee="alex",
        tags=("wholesale",),
        turns=(
            (
                0,
                "customer",
                "We need two machines and beans for 40 people. What would you suggest?",
            ),
            (260, "alex", "Happy to help. How many cups a day would that be, roughly?"),
        ),
    ),
    Story(
        hours_ago=24 * 12,
        customer="priya",
        page="/orders/20951",
        status="resolved",
        priority="medium",
        assignee="role:Shipping",
        tags=("shipping",),
        turns=(
            (0, "customer", "Can I still change the delivery address of my order?"),
            (5, "dana", "Yes, it has not left yet. What is the new one?"),
            (4, "customer", "14 Mill Lane, Leeds"),
            (3, "dana", "Changed."),
        ),
    ),
    Story(
        hours_ago=24 * 11,
        customer="grace",
        channel="slack",
        detail="slack_channel_message",
        status="open",
        priority="high",
        assignee="alex",
        tags=("billing", "wholesale"),
        due_in=timedelta(hours=-20),
        turns=(
            (0, "customer", "Our credit note from last month is still missing."),
            (50, "alex", "I am asking accounting, back in a minute."),
            (7, "note by alex", "Accounting needs the number of the return slip."),
            (5700, "customer", "Any news on this?"),
        ),
    ),
    Story(
        hours_ago=24 * 9,
        customer="jonas",
        channel="email",
        subject="Scale shows wrong weight",
        status="pending",
        priority="medium",
        assignee="dana",
        tags=("defect",),
        turns=(
            (0, "customer", "The scale is off by about 4 grams since last week."),
            (170, "dana", "Could you hold the tare key for five seconds, on an even table?"),
            (600, "customer", "I did, it is the same as before."),
            (45, "dana", "Then we replace it. May I send it to the address of your last order?"),
        ),
    ),
    Story(
        hours_ago=24 * 8,
        customer={"name": "Sasha"},
        page="/products/espresso-machine",
        status="resolved",
        tags=("product question",),
        turns=(
            (0, "customer", "Is there a version for 110 V?"),
            (0, "AI", "The espresso machine is made for 220 to 240 V only."),
            (480, "reads", ""),
        ),
    ),
    Story(
        hours_ago=24 * 7,
        customer="aiko",
        page="/account",
        status="resolved",
        priority="low",
        assignee="sam",
        tags=("account", "newsletter"),
        turns=(
            (0, "customer", "Please take me off the newsletter."),
            (11, "sam", "Done. It may take a day until the last one has gone out."),
        ),
    ),
    Story(
        hours_ago=24 * 6,
        customer="leo",
        channel="email",
        subject="Machine leaks",
        status="open",
        priority="critical",
        assignee="dana",
        tags=("defect", "wholesale"),
        due_in=timedelta(minutes=40),
        escalation_reason="A wholesale customer can not work.",
        turns=(
            (0, "customer", "The machine in our second shop leaks under the boiler. We open at 7!"),
            (12, "dana", "Please switch it off and close the tap. I am sending a technician."),
            (4, "note by dana", "Technician booked, with the gasket set SP-201."),
            (1300, "customer", "The gasket is replaced, but it still drips a little."),
            (30, "note by dana", "Asked for a second visit; the boiler may have a crack."),
            (90, "customer", "When can somebody come?"),
        ),
    ),
    Story(
        hours_ago=24 * 5,
        customer="tomas",
        page="/subscriptions",
        status="on_hold",
        assignee="role:Billing",
        tags=("billing", "subscription"),
        snoozed_for=timedelta(hours=20),
        turns=(
            (0, "customer", "I would like to pause my bean subscription for August."),
            (26, "alex", "Gladly. I will pause it right after the next delivery, tomorrow."),
        ),
    ),
    Story(
        hours_ago=24 * 4,
        customer="eli",
        channel="email",
        subject="Gift card",
        status="pending",
        priority="low",
        assignee="sam",
        tags=("gift card",),
        turns=(
            (0, "customer", "Can a gift card be used in two orders?"),
            (340, "sam", "Yes, the rest stays on it. Did that answer your question?"),
        ),
    ),
    Story(
        hours_ago=24 * 3.4,
        customer="mia",
        page="/orders/21033",
        status="open",
        priority="medium",
        assignee="role:Shipping",
        tags=("shipping",),
        due_in=timedelta(days=1),
        turns=(
            (0, "customer", "My order came without the filters."),
            (18, "sam", "Sorry, Mia! I am looking into it with the warehouse."),
            (55, "note by sam", "The warehouse has found them, they go out with today's parcels."),
            (20, "customer", "Thank you. Could you add a second pack? I would pay for it."),
        ),
    ),
    Story(
        hours_ago=24 * 2.9,
        customer="priya",
        channel="github",
        detail="github_issue",
        status="open",
        priority="low",
        assignee="alex",
        tags=("api",),
        turns=(
            (0, "customer", "The stock feed has prices with a comma. Is that on purpose?"),
            (410, "alex", "It is not. We will correct it with the next release."),
            (65, "customer", "Great, I will leave my workaround in until then."),
        ),
    ),
    Story(
        hours_ago=24 * 2.2,
        customer="grace",
        channel="email",
        subject="Samples for the autumn roast",
        status="new",
        priority="medium",
        tags=("wholesale",),
        due_in=timedelta(hours=30),
        turns=((0, "customer", "Could we have samples of the three new Ethiopian lots?"),),
    ),
    Story(
        hours_ago=40,
        customer={"name": "Ines Duarte", "email": "ines@example.net"},
        page="/checkout",
        status="open",
        priority="high",
        assignee="dana",
        tags=("checkout",),
        due_in=timedelta(hours=3),
        traits={"cart_total": 184.5, "browser": "Firefox"},
        turns=(
            (0, "customer", "The checkout says my card is declined, but the bank says it is not."),
            (0, "AI", "Which card is it, and which country is it from?"),
            (1, "customer", "A debit card, Portugal"),
            (22, "dana", "Thank you. Could you try once more? We have relaxed a check."),
            (36, "customer", "The same again."),
            (2, "customer", "Now it says: issuer not supported."),
        ),
    ),
    Story(
        hours_ago=28,
        customer="jonas",
        channel="teams",
        status="new",
        tags=("product question",),
        turns=((0, "customer", "Is the travel mug safe for the dishwasher?"),),
    ),
    Story(
        hours_ago=20,
        customer="aiko",
        channel="email",
        subject="Wrong colour",
        status="open",
        priority="medium",
        assignee="sam",
        tags=("returns",),
        turns=(
            (0, "customer", "I ordered the mug in green and got a blue one."),
            (75, "sam", "Oh no! Would you like to keep it at half the price, or exchange it?"),
            (140, "customer", "I would rather exchange it, please."),
        ),
    ),
    Story(
        hours_ago=9,
        customer={"name": "Viktor", "email": "viktor@example.org"},
        page="/products/roaster",
        status="new",
        priority="low",
        traits={"referrer": "newsletter"},
        turns=(
            (0, "customer", "Hi, is the small roaster loud?"),
            (1, "customer", "I live in a flat, so this matters to me."),
        ),
    ),
    Story(
        hours_ago=5,
        customer="tomas",
        page="/orders/21060",
        status="new",
        priority="high",
        tags=("shipping",),
        due_in=timedelta(minutes=55),
        turns=(
            (0, "customer", "The courier says the parcel was delivered. It was not."),
            (20, "customer", "I asked the neighbours as well, nobody has it."),
        ),
    ),
    Story(
        hours_ago=2.5,
        customer="eli",
        channel="api",
        status="open",
        priority="medium",
        assignee="alex",
        tags=("billing",),
        turns=(
            (0, "customer", "Where do I find the invoice of my order?"),
            (12, "alex", "In your account, under Orders, at the bottom of each one."),
            (19, "customer", "There is only a delivery note there."),
        ),
    ),
    Story(
        hours_ago=0.7,
        customer="mia",
        page="/products/espresso-machine",
        status="new",
        tags=("product question",),
        turns=((0, "customer", "Does the espresso machine come with a naked portafilter?"),),
    ),
)
