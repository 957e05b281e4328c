;; Wants a function that no host has, and an interface whose name is one letter off.
(component
  (import "demo:nowhere/missing" (instance (export "call" (func))))
  (import "wasi:clocks/monotonic-clok@0.2.0" (instance (export "now" (func (result u64))))))
