//! Anything at all is loaded as a component: counted, compiled in this process, described, linked.
//!
//! What the loader accepts has been through the compiler, so everything behind it may rely on the engine's
//! validation; what it refuses is one typed error. `-timeout` and `-rss_limit_mb` bound time and memory.

use std::sync::Once;

use super::tolerate_panics_in;
use airssys_host::component::{Component, Loading, to_binary};
use airssys_host::engine::static_limits::{self, StaticLimits};
use airssys_host::error::Error;

/// One input.
pub fn one(bytes: &[u8]) {
    static ONCE: Once = Once::new();
    // The decoder of WIT panics on some names that the engine accepts, which the loader catches.
    ONCE.call_once(|| tolerate_panics_in(&["wit-component-", "wit-parser-"]));
    let Ok(binary) = to_binary(bytes, None) else {
        return;
    };
    let limits = StaticLimits {
        bytes: 1 << 20,
        functions: 2_000,
        ..StaticLimits::default()
    };
    let counted = match static_limits::check(&binary, &limits) {
        Ok(contents) => contents,
        Err(
            Error::NotWasm { .. } | Error::CoreModule | Error::TooLarge { .. } | Error::Invalid(_),
        ) => return,
        Err(other) => panic!("counting ended with {other:?}"),
    };
    assert!(counted.refuse_beyond(&limits).is_ok());
    let loaded = Component::load(
        &binary,
        Loading {
            limits,
            cache: None,
            in_process: true,
            progress: &mut |_| {},
            interrupted: &mut || false,
            report: &mut |_| {},
        },
    );
    match loaded {
        Ok(component) => {
            assert!(!component.contents.wit.is_empty());
            for (position, function) in component.exports.iter().enumerate() {
                assert_eq!(
                    component.export(&function.path()).ok(),
                    Some(position),
                    "{}",
                    function.path()
                );
            }
            match component.link() {
                Ok(()) | Err(Error::Link(_)) => {}
                Err(other) => panic!("linking ended with {other:?}"),
            }
        }
        Err(Error::Invalid(_) | Error::Link(_) | Error::TooLarge { .. }) => {}
        Err(other) => panic!("loading ended with {other:?}"),
    }
}
