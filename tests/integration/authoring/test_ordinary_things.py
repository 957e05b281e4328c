"""What programs expect of their language works in a component: output, clocks, random numbers."""

from __future__ import annotations

import shutil
import time
import uuid

import pytest

from airssys.testing.components import component_under_test

PYTHON = """
import random
import sys
import time
import uuid

import wit_world

random.seed(7)  # of the snapshot; instances begin anew
BAKED = random.random()


class WitWorld(wit_world.WitWorld):
    def greet(self, name: str) -> str:
        print(f"out {name}")
        print("err", file=sys.stderr)
        print("no end", end="", flush=True)
        return f"{time.time()} {uuid.uuid4()} {random.random()} {random.randrange(10**12)}"
"""
JAVASCRIPT = r"""
export function greet(name) {
  console.log("out", name);
  console.error("err");
  const text = new TextDecoder().decode(new TextEncoder().encode("\u00e9\ud83d\ude00"));
  if (text !== "\u00e9\ud83d\ude00") throw text;
  return `${Date.now() / 1000} ${crypto.randomUUID()} ${Math.random()} ${Math.random()}`;
}
"""
RUST = """
wit_bindgen::generate!();

struct Component;

impl Guest for Component {
    fn greet(name: String) -> Result<String, String> {
        use std::hash::{BuildHasher, RandomState};
        println!("out {name}");
        eprintln!("err");
        print!("no end");
        let now = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
        let random = || RandomState::new().hash_one(0u64);
        let (high, low) = (random(), random());
        let uuid = format!("{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}", high >> 32, high & 0xffff,
            low >> 52, (low >> 40) & 0xfff, low & 0xffff_ffff);
        Ok(format!("{now} {uuid} {} {}", random(), random()))
    }
}

export!(Component);
"""
SOURCES = {
    "python": ("python3", "app.py", PYTHON),
    "javascript": ("node", "app.js", JAVASCRIPT),
    "rust": ("cargo", "src/lib.rs", RUST),
}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("language", SOURCES)
def test_output_clocks_and_random_numbers(project, language):
    program, name, source = SOURCES[language]
    if shutil.which(program) is None:
        pytest.skip(f"needs {program}")
    file = project(language, files={name: source}) / "build" / "component.wasm"
    before = time.time()
    answers = []
    for _ in range(2):  # two hosts, so two instances
        with component_under_test(file) as component:
            answers += [component.call("greet", "Ada").split() for _ in range(2)]
            lines = [(line.stream, line.message) for line in component.logs()]
            assert ("stdout", "out Ada") in lines
            assert ("stderr", "err") in lines
    assert all(before - 1 <= float(at) <= time.time() + 1 for at, *_ in answers)
    assert all(uuid.UUID(each).version == 4 for _, each, *_ in answers)
    drawn = [number for _, *numbers in answers for number in numbers]
    assert len(set(drawn)) == len(drawn), "no number was baked in"


@pytest.mark.timeout(600)
def test_what_a_world_exports_and_a_source_has_not_is_named(project):
    from airssys.authoring import BuildFailed, build

    for language, name in (("python", "app.py"), ("javascript", "app.js")):
        if shutil.which(SOURCES[language][0]) is None:
            continue
        folder = project(language)
        (folder / name).write_text(
            "greeting = 1\n" if language == "python" else "export const a = 1;\n"
        )
        with pytest.raises(BuildFailed) as caught:
            build(folder)
        told = caught.value.summary + "".join(getattr(caught.value, "__notes__", ()))
        assert "greet" in told or "WitWorld" in told
        shutil.rmtree(folder)
