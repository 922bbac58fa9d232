"""docs/reliability.md has a row for each fault that is tested, and no other."""

import ast
from pathlib import Path

from tests.faults import document


def test_it_has_the_faults_that_are_tested_and_no_others() -> None:
    texts = {
        node.value
        for path in Path(__file__).parent.glob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }

    assert document.faults() <= texts
