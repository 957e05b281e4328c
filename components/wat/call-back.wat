;; Calls the host's function, which may call into this instance again: `enter` runs `demo:wat/host#back`.
(component
  (import "demo:wat/host" (instance $host
    (export "back" (func (param "depth" u32) (result u32)))))
  (core func $back (canon lower (func $host "back")))
  (core module $m
    (import "host" "back" (func $back (param i32) (result i32)))
    (func (export "enter") (param i32) (result i32)
      (i32.add (i32.const 1) (call $back (local.get 0)))))
  (core instance $i (instantiate $m (with "host" (instance (export "back" (func $back))))))
  (func (export "enter") (param "depth" u32) (result u32)
    (canon lift (core func $i "enter"))))
