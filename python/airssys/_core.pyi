"""The native module: a component engine, its instances, and the gate. Private; use `airssys.wasm` and `airssys.osl`."""
