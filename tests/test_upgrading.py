"""`docs/upgrading.md` lists every private name of others that is used."""

import re

from tests.support import architecture as house
from tests.support import private_names

PAGE = (house.ROOT / "docs" / "upgrading.md").read_text("utf-8")
ROWS = re.findall(r"^\| `([\w.]+)` \| .* \| `([\w/.]+)` \|$", PAGE, re.M)


def test_every_private_name_is_listed():
    assert {name for name, _ in ROWS} == set(private_names.used())


def test_every_row_names_a_test():
    missing = [t for _, t in ROWS if not (house.ROOT / "tests" / t).is_file()]
    assert len(ROWS) > 20
    assert not missing
