;; Asks for 1 GiB of memory before its first instruction.
(component
  (core module $m
    (memory 16384))
  (core instance (instantiate $m)))
