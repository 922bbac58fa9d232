"""The customers behind tickets: who they are, and how they come, merge and go."""

from projects.persons.customers import Customers, find_customers, person_json, person_name
from projects.persons.links import linked_to
from projects.persons.verbs import vouch

__all__ = ["Customers", "find_customers", "linked_to", "person_json", "person_name", "vouch"]
