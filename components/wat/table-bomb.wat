;; Grows its table by the given number of elements; the previous size, or -1 when the host refuses.
(component
  (core module $m
    (table 1 funcref)
    (func (export "grow") (param i32) (result i32)
      (table.grow 0 (ref.null func) (local.get 0))))
  (core instance $i (instantiate $m))
  (func (export "grow") (param "elements" u32) (result s32)
    (canon lift (core func $i "grow"))))
