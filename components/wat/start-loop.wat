;; Never finishes to be instantiated.
(component
  (core module $m
    (func $start (loop $again (br $again)))
    (start $start))
  (core instance (instantiate $m)))
