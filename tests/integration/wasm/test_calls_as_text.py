"""A call that is typed wrongly: one error with the place, what was expected, and an example."""

from __future__ import annotations

from pathlib import Path

import pytest

from airssys.wasm import Engine, Host, InvalidComponent, UnknownExport

BUILT = Path(__file__).parents[3] / "build" / "components"
ADD = "is not a call of add(a: u32, b: u32): "
OPEN = "is not a call of open-file(path: string): "


@pytest.mark.parametrize(
    ("guest", "text", "says"),
    [
        ("calculator", "add 2 3", f"{ADD}arguments stand in parentheses, with commas between them"),
        ("calculator", "add(2)", f"{ADD}it takes 2 arguments"),
        ("calculator", "add", f"{ADD}it takes 2 arguments"),
        ("calculator", "add(2, 3", f"{ADD}it has no end"),
        ("calculator", "add(two, 3)", f"{ADD}invalid value type at `two`"),
        ("calculator", "add(-1, 3)", f"{ADD}invalid value at `-1`"),
        ("calculator", "version(1)", "is not a call of version(): it takes no arguments"),
        (
            "file-reader",
            "open-file(word)",
            f'{OPEN}invalid value type at `word`; a string stands in quotes: "word"',
        ),
        ("file-reader", "open-file word", f"{OPEN}arguments stand in parentheses"),
    ],
)
def test_what_is_no_call_says_where_and_how_it_is_written(guest, text, says):
    component = Engine().load(BUILT / f"{guest}.wasm")
    with pytest.raises(ValueError, match="is not a call") as caught:
        component.parse_call(text)
    said = str(caught.value)
    assert says in said
    # The example is one.
    _, _, example = said.partition("; written like this: ")
    component.parse_call(example)


def test_the_example_of_every_function_can_be_read():
    component = Engine().load(BUILT / "echo.wasm")
    checked = 0
    for path in component.exports:
        try:
            with pytest.raises(ValueError, match="is not a call") as caught:
                component.parse_call(f"{path}(?)")
        except BaseException as error:
            if "cannot be called by text" in str(error):
                continue
            raise
        if "it takes no arguments" not in str(caught.value):
            component.parse_call(str(caught.value).partition("; written like this: ")[2])
            checked += 1
    assert checked > 20


def test_a_function_that_is_not_there_is_named_without_its_arguments():
    with pytest.raises(UnknownExport, match="no export 'f'; it exports 'add'"):
        Engine().load(BUILT / "calculator.wasm").parse_call("f 3")


def test_a_file_that_is_no_component_is_named(tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("hello")
    with pytest.raises(InvalidComponent, match=r"notes\.txt: not WebAssembly: the file begins"):
        Engine().load(file)
    with (
        Host.open_blocking(tmp_path / "state") as host,
        pytest.raises(InvalidComponent, match=r"notes.txt: not WebAssembly.*; expected a comp"),
    ):
        host.deploy(file, name="acme/notes")
