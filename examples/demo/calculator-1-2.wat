;; The calculator of the demo, version 1.2, with the contract of 1.0 and 1.1: every twentieth addition of an instance
;; traps. In the text format, since no compiler is needed for something that should never have left the house.
(component
  (core module $code
    (memory (export "memory") 1)
    (data (i32.const 16) "1.2.0")
    (data (i32.const 8) "\10\00\00\00\05\00\00\00") ;; where that text is, and how long
    (global $added (mut i32) (i32.const 0))
    (global $free (mut i32) (i32.const 1024))

    (func (export "add") (param i32 i32) (result i32)
      (global.set $added (i32.add (global.get $added) (i32.const 1)))
      (if (i32.eqz (i32.rem_u (global.get $added) (i32.const 20))) (then unreachable))
      (i32.add (local.get 0) (local.get 1)))

    ;; A result: at 32 whether it is an error, at 40 the quotient, or which error.
    (func (export "divide") (param i64 i64) (result i32)
      (i32.store8 (i32.const 32) (i64.eqz (local.get 1)))
      (if (i64.eqz (local.get 1))
        (then (i32.store8 (i32.const 40) (i32.const 0)))
        (else (i64.store (i32.const 40) (i64.div_s (local.get 0) (local.get 1)))))
      (i32.const 32))

    ;; An option: at 64 whether there is one, at 72 the mean.
    (func (export "mean") (param $at i32) (param $count i32) (result i32)
      (local $sum f64) (local $left i32)
      (i32.store8 (i32.const 64) (i32.ne (local.get $count) (i32.const 0)))
      (local.set $left (local.get $count))
      (block $done
        (loop $next
          (br_if $done (i32.eqz (local.get $left)))
          (local.set $sum (f64.add (local.get $sum) (f64.load (local.get $at))))
          (local.set $at (i32.add (local.get $at) (i32.const 8)))
          (local.set $left (i32.sub (local.get $left) (i32.const 1)))
          (br $next)))
      (f64.store (i32.const 72)
        (f64.div (local.get $sum) (f64.convert_i32_u (local.get $count))))
      (global.set $free (i32.const 1024))
      (i32.const 64))

    (func (export "version") (result i32) (i32.const 8))

    (func (export "allocate") (param i32 i32 i32 i32) (result i32)
      (local $at i32)
      (local.set $at (global.get $free))
      (global.set $free (i32.add (local.get $at) (local.get 3)))
      (if (i32.gt_u (global.get $free) (i32.const 65536)) (then unreachable))
      (local.get $at)))
  (core instance $core (instantiate $code))
  (alias core export $core "memory" (core memory $memory))

  (type $failure (variant (case "division-by-zero") (case "overflow" string)))
  (func $add (param "a" u32) (param "b" u32) (result u32) (canon lift (core func $core "add")))
  (func $divide (param "dividend" s64) (param "divisor" s64) (result (result s64 (error $failure)))
    (canon lift (core func $core "divide") (memory $memory)))

  ;; An interface that has a type of its own is the instance of a component that exports both.
  (component $interface
    (type $shape (variant (case "division-by-zero") (case "overflow" string)))
    (import "failure" (type $given (eq $shape)))
    (import "add" (func $add (param "a" u32) (param "b" u32) (result u32)))
    (import "divide"
      (func $divide (param "dividend" s64) (param "divisor" s64) (result (result s64 (error $given)))))
    (export $failure "failure" (type $given))
    (export "add" (func $add))
    (export "divide" (func $divide)
      (func (param "dividend" s64) (param "divisor" s64) (result (result s64 (error $failure))))))
  (instance $ops (instantiate $interface
    (with "failure" (type $failure)) (with "add" (func $add)) (with "divide" (func $divide))))
  (export "demo:calc/ops" (instance $ops))

  (export "add" (func $add))
  (func (export "mean") (param "values" (list f64)) (result (option f64))
    (canon lift (core func $core "mean") (memory $memory) (realloc (core func $core "allocate"))))
  (func (export "version") (result string)
    (canon lift (core func $core "version") (memory $memory))))
