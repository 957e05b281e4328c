//! Opening, reading and closing a file from a guest: governed by an allow list, governed by rules with an audit
//! log, and with the engine's own WASI.
//!
//! `cargo bench -p airssys-host --bench wasi_files`; they alternate in one run, the best of each counts. With
//! `-- governed` or `-- stock` one side runs alone, to be traced.

mod side_by_side;

use std::sync::Arc;

use airssys_host::gate::{AllowList, Allowed, Gate};
use airssys_host::wasi::Builder;
use side_by_side::{Best, Folder, WHO, authority, engine, gate, guest, ours, sides, stock, timed};
use wasmtime_wasi::{FsPerms, WasiCtx};

const CYCLES: u32 = 20_000;
const ROUNDS: u32 = 7;

#[tokio::main]
async fn main() {
    let engine = engine();
    let component = guest(&engine, "file-access");
    let (data, log) = (Folder::new("bench-data"), Folder::new("bench-log"));
    std::fs::create_dir_all(data.0.join("a/b")).expect("the temporary folder is writable");
    std::fs::write(data.0.join("a/b/file"), [b'x'; 64]).expect("the temporary folder is writable");
    let arguments = [
        "bench".to_owned(),
        format!("repeat|{CYCLES}|cycle|a/b/file"),
    ];

    let mut allowed = Allowed::default();
    allowed.directory(&data.0, false).expect("it exists");
    let listed: Arc<dyn Gate> = Arc::new(AllowList::new(allowed));
    let rules = serde_json::json!([{
        "id": "data", "effect": "allow", "principals": [format!("name:{WHO}")], "kind": "filesystem",
        "targets": [format!("{}/**", data.0.display())], "access": ["read", "metadata"],
    }]);
    let authority = authority(&log, &rules);
    let (govern, plain) = sides();
    let gates = [
        ("an allow list", listed),
        ("rules and an audit log", gate(&authority) as Arc<dyn Gate>),
    ];
    for (by, gate) in gates {
        let mut best = Best::new();
        for _ in 0..ROUNDS {
            if govern {
                let mut builder = Builder::new(Arc::clone(&gate));
                builder
                    .arguments(arguments.as_slice())
                    .mount(&data.0, "/data", false);
                best.ours(timed(ours(&engine, &mut builder), &component).await);
            }
            if plain {
                let mut builder = WasiCtx::builder();
                builder
                    .args(&arguments)
                    .allow_blocking_current_thread(true)
                    .preopened_dir(&data.0, "/data", FsPerms::ReadOnly)
                    .expect("it can be mounted");
                best.stock(timed(stock(&engine, &component, &mut builder), &component).await);
            }
        }
        let what = "open + read + close of a file, 3 components deep";
        best.print(
            &format!("{what}, by {by}, best of {ROUNDS} x {CYCLES}"),
            CYCLES,
        );
    }
}
