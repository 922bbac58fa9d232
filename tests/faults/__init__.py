import pytest

# What they find is shown as in a test.
pytest.register_assert_rewrite("tests.faults.clients", "tests.faults.document")
