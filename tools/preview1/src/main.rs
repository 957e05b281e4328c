//! Makes a component of a WASI preview 1 command: `preview1 IN.wasm OUT.wasm`.

use std::error::Error;
use std::{env, fs};

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER,
};
use wit_component::ComponentEncoder;

fn main() -> Result<(), Box<dyn Error>> {
    let paths: Vec<String> = env::args().skip(1).collect();
    let [input, output] = paths.as_slice() else {
        return Err("usage: preview1 IN.wasm OUT.wasm".into());
    };
    let component = ComponentEncoder::default()
        .module(&fs::read(input)?)?
        .adapter(
            WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME,
            WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER,
        )?
        .validate(true)
        .encode()?;
    fs::write(output, component)?;
    Ok(())
}
