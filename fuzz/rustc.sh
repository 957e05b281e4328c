#!/bin/sh
# Stands before rustc: the project's own code tells libFuzzer where it has been, its dependencies stay as they are.
case "$CARGO_PKG_NAME" in
airssys-host | airssys-fuzz)
    exec "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares
    ;;
*) exec "$@" ;;
esac
