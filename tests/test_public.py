"""Public is what looks public: every such name is documented and listed."""

from __future__ import annotations

import pytest

import onebyone
from tests import public

EVERY = [module for modules in public.MODULES.values() for module in modules]


@pytest.mark.parametrize("module", EVERY)
def test_every_public_name_says_what_it_is(module: str) -> None:
    silent = [name for name, text in public.names(module).items() if not text]
    assert not silent, f"{module}: give {silent} a docstring, or a name with _"


def test_the_front_door_lists_what_it_has() -> None:
    front = public.front()
    assert set(onebyone.__all__) == {"__version__", *onebyone._HOME} == set(dir(onebyone))
    assert all(front.values())
    for name in onebyone.__all__:
        assert getattr(onebyone, name) is not None


def test_the_page_lists_what_is_public() -> None:
    page = public.PAGE.read_text(encoding="utf-8")
    assert page == public.page(), "write it anew: python -m tests.public"
