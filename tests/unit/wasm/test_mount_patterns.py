"""From paths of the host to the patterns of the component, and back."""

from __future__ import annotations

import pytest

from airssys.wasm.security.mounts import Mount, guest_pattern, host_patterns

MOUNTS = {"/data": Mount("/srv/data"), "/data/deep": Mount("/srv/deep"), "/": Mount("/srv/root")}


@pytest.mark.parametrize(
    ("path", "pattern"),
    [
        ("/srv/data", "/data"),
        ("/srv/data/a/b", "/data/a/b"),
        ("/srv/data/*", r"/data/\*"),
        ("/srv/deep/x", "/data/deep/x"),
        ("/srv/root/..x", "/..x"),
        ("/srv/database", None),
        ("/srv", None),
    ],
)
def test_a_path_of_the_host_has_one_pattern(path, pattern):
    found = guest_pattern(path, MOUNTS)
    assert found == pattern
    if pattern is not None:
        literally = path.replace("*", r"\*")
        assert literally in host_patterns(pattern, MOUNTS)
