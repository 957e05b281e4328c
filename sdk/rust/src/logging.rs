//! The `log` crate, bridged to the log of the host.

use crate::bindings::airssys::core::{host, types::LogLevel};

struct HostLog;

impl log::Log for HostLog {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let level = match record.level() {
            log::Level::Error => LogLevel::Error,
            log::Level::Warn => LogLevel::Warning,
            log::Level::Info => LogLevel::Info,
            log::Level::Debug => LogLevel::Debug,
            log::Level::Trace => LogLevel::Trace,
        };
        let fields = [("target".to_owned(), record.target().to_owned())];
        host::log(level, &record.args().to_string(), &fields);
    }

    fn flush(&self) {}
}

/// Let what is logged go to the host. Again is as once.
pub(crate) fn bridge() {
    if log::set_logger(&HostLog).is_ok() {
        log::set_max_level(log::LevelFilter::Trace);
    }
}
