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
// Bytes that are no UTF-8, and what the Unicode standard makes of them.
const BYTES = [
  [[0xed, 0xa0, 0x80], "\ufffd\ufffd\ufffd"], // half of a pair
  [[0xc0, 0x80], "\ufffd\ufffd"], // longer than need be
  [[0xe2, 0x82], "\ufffd"], // cut off
  [[0x41, 0xff, 0x42], "A\ufffdB"],
  [[0xef, 0xbb, 0xbf, 0x41], "A"],
];

export function greet(name) {
  console.log("out", name);
  console.error("err");
  const text = new TextDecoder().decode(new TextEncoder().encode("\u00e9\ud83d\ude00"));
  if (text !== "\u00e9\ud83d\ude00") throw text;
  const half = new TextEncoder().encode("a\ud800").join();
  if (half !== "97,239,191,189") throw half;
  const read = (...bytes) => new TextDecoder().decode(Uint8Array.from(bytes));
  for (const [bytes, wanted] of BYTES) if (read(...bytes) !== wanted) throw `${bytes}`;
  const strict = new TextDecoder("utf-8", { fatal: true });
  try {
    strict.decode(Uint8Array.from([0xff]));
    return "taken";
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
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
C = """
#include "airssys.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

bool exports_component_greet(component_string_t *name, component_string_t *answer,
                             component_string_t *error) {
    printf("out %.*s\\n", (int)name->len, (char *)name->ptr);
    component_string_free(name);
    fprintf(stderr, "err\\n");
    printf("no end");
    fflush(stdout);
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    uint64_t drawn[4];
    getentropy(drawn, sizeof drawn);
    airssys_format(answer, "%f %08x-%04x-4%03x-8%03x-%012llx %llu %llu",
                   now.tv_sec + now.tv_nsec / 1e9, (unsigned)(drawn[0] >> 32),
                   (unsigned)drawn[0] & 0xffff, (unsigned)(drawn[1] >> 52),
                   (unsigned)(drawn[1] >> 40) & 0xfff, drawn[1] & 0xffffffffff, drawn[2], drawn[3]);
    return true;
}
"""
SOURCES = {
    "python": ("python3", "app.py", PYTHON),
    "javascript": ("node", "app.js", JAVASCRIPT),
    "rust": ("cargo", "src/lib.rs", RUST),
    "c": ("python3", "app.c", C),
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


def test_an_import_that_the_world_has_not_is_named(project):
    from airssys.authoring import BuildFailed, build

    if shutil.which("node") is None:
        pytest.skip("needs node")
    folder = project("javascript")
    source = (
        'import { tell } from "airssys-component";\nexport function greet() { tell("a/b", 1); }\n'
    )
    (folder / "app.js").write_text(source)
    with pytest.raises(BuildFailed, match="imports airssys:messaging/messaging@1"):
        build(folder)
