"""The customers behind tickets: who they are, and how they come, merge and go."""

from projects.persons.customers import Customers, find_customers, person_json, person_name

__all__ = ["Customers", "find_customers", "person_json", "person_name"]
